/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversions beside accesses. The converter says what is certain: between the return of a hide and the call of
 * the next show nothing may succeed, between the return of a show and the call of the next hide nothing may
 * fail. Whoever looks reads that before and after the access, and judges when it has not moved.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard_t.h"
#include "os/sanitize.h"

#define NR 8
#define FLIPS (OS_TSAN || OS_ASAN ? 15000 : 160000)

enum phase { SHOWN, HIDING, HIDDEN, SHOWING, NR_PHASES };

struct race {
	struct t *t;
	uint8_t *window;
	_Atomic uint64_t phase; /* counts up; modulo NR_PHASES */
	_Atomic bool over;
	_Atomic uint64_t nr_hidden, nr_shown; /* judged */
	int file;
};

static void judge(struct race *r, uint64_t before, bool succeeded)
{
	if (atomic_load(&r->phase) != before)
		return;
	if (before % NR_PHASES == HIDDEN) {
		T_OK(!succeeded);
		atomic_fetch_add_explicit(&r->nr_hidden, 1, memory_order_relaxed);
	} else if (before % NR_PHASES == SHOWN) {
		T_OK(succeeded);
		atomic_fetch_add_explicit(&r->nr_shown, 1, memory_order_relaxed);
	}
}

static void *by_cpu(void *arg)
{
	struct race *r = arg;
	uint64_t i = 0;
	uint8_t value;

	while (!atomic_load(&r->over)) {
		uint8_t *p = r->window + (2 + i % 3) * PAGE;
		uint64_t before = atomic_load(&r->phase);
		struct t_fault f = i++ % 2 ? t_read(r->t, p, &value) : t_write(r->t, p + 1, 3);

		T_OK(!f.signo || (f.signo == SIGBUS && f.code == BUS_ADRERR));
		judge(r, before, !f.signo);
	}
	return NULL;
}

static void *by_call(void *arg)
{
	struct race *r = arg;
	uint64_t i = 0;

	while (!atomic_load(&r->over)) {
		uint8_t *p = r->window + (2 + i % 3) * PAGE + 8;
		uint64_t before = atomic_load(&r->phase);
		ssize_t ret = i++ % 2 ? pread(r->file, p, 8, 0) : pwrite(r->file, p, 8, 0);

		T_OK(ret > 0 || (ret < 0 && errno == EFAULT));
		/* Less than all: the copy was interrupted, and the page hidden meanwhile. */
		if (ret < 0 || ret == 8)
			judge(r, before, ret == 8);
	}
	return NULL;
}

/* Of pages that nobody converts nothing may ever fail. */
static void *beside(void *arg)
{
	struct race *r = arg;
	uint8_t value;

	while (!atomic_load(&r->over)) {
		T_EQ(t_read(r->t, r->window + PAGE, &value).signo, 0);
		T_EQ(value, t_stamp(1));
		T_EQ(t_write(r->t, r->window + 5 * PAGE, 7).signo, 0);
		usleep(20);
	}
	return NULL;
}

static void flip(struct race *r, int i)
{
	uint64_t first = 2, nr = 3;

	T_EQ(t_hide(r->t, first, nr), 0);
	/* In parts now and then, over what is hidden already. */
	if (i % 16 == 0)
		T_EQ(t_hide(r->t, 3, 1), 0);
	atomic_fetch_add(&r->phase, 1); /* HIDDEN */
	if (i % 1024 == 0)
		usleep(100);
	atomic_fetch_add(&r->phase, 1); /* SHOWING */
	T_EQ(t_show(r->t, first, nr), 0);
	atomic_fetch_add(&r->phase, 1); /* SHOWN */
	if (i % 1024 == 512)
		usleep(100);
	atomic_fetch_add(&r->phase, 1); /* HIDING */
}

static bool has_seen_little(const struct race *r)
{
	return r->nr_hidden <= 50 || r->nr_shown <= 50;
}

static void race(struct t *t, enum mode mode, void *(*toucher)(void *))
{
	static struct race r;
	pthread_t threads[2];

	t_init(t, mode, NR);
	r.t = t;
	r.window = t_map(t, 0, NR);
	atomic_store(&r.phase, HIDING);
	T_EQ(os_memfd_create("file", PAGE, &r.file), 0);
	T_EQ(pthread_create(&threads[0], NULL, toucher, &r), 0);
	T_EQ(pthread_create(&threads[1], NULL, beside, &r), 0);
	/* Longer where the others hardly get to run. */
	for (int i = 0; i < FLIPS || (has_seen_little(&r) && i < 16 * FLIPS); i++)
		flip(&r, i);
	atomic_store(&r.over, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	fprintf(stderr, "# %llu judged hidden, %llu shown\n", (unsigned long long)r.nr_hidden,
		(unsigned long long)r.nr_shown);
	T_OK(!has_seen_little(&r));
}

static void flips_beside_a_thread(struct t *t, enum mode mode)
{
	race(t, mode, by_cpu);
}

static void flips_beside_system_calls(struct t *t, enum mode mode)
{
	race(t, mode, by_call);
}

/* Chunks made again while somebody reads what is shown of them. */
static void *read_shown(void *arg)
{
	struct race *r = arg;
	uint8_t value;

	while (!atomic_load(&r->over))
		for (uint64_t p = 1; p < 1024; p += 97) {
			T_EQ(t_read(r->t, r->window + p * PAGE, &value).signo, 0);
			T_EQ(value, t_stamp(p));
			T_EQ(t_read(r->t, r->window + (p + 1) * PAGE, &value).signo, SIGBUS);
			atomic_fetch_add(&r->nr_hidden, 1);
		}
	return NULL;
}

static void a_chunk_made_again_is_never_open_nor_closed(struct t *t, enum mode mode)
{
	static struct race r;
	pthread_t thread;

	t_need_marks();
	t_init(t, mode, 1200);
	r.t = t;
	r.window = t_map(t, 0, 1200);
	T_EQ(t_hide(t, 0, 1200), 0);
	for (uint64_t p = 1; p < 1024; p += 97)
		T_EQ(t_show(t, p, 1), 0);
	T_EQ(pthread_create(&thread, NULL, read_shown, &r), 0);
	for (int i = 0; i < (OS_TSAN ? 100 : 6000) || r.nr_hidden < 10000; i++) {
		uint64_t p = 50 + 97 * ((uint64_t)i % 10);

		/* An overlay, and then no room for a hole in it: the chunk is made again. */
		guard_set_limits(&t->m->guard, 20000, 20000);
		T_EQ(t_show(t, p - 3, 7), 0);
		T_EQ(t_hide(t, p - 3, 7), 0);
		guard_set_limits(&t->m->guard, 0, 0);
		T_EQ(t_show(t, p, 1), 0);
	}
	atomic_store(&r.over, true);
	pthread_join(thread, NULL);
}

/* The registry holds its lock over what the program does to a window, so a conversion never maps over what
 * has just taken its place. */
static void *convert_forever(void *arg)
{
	struct race *r = arg;

	while (!atomic_load(&r->over)) {
		T_EQ(t_hide(r->t, 0, NR), 0);
		T_EQ(t_show(r->t, 0, NR), 0);
	}
	return NULL;
}

static void windows_come_and_go_beside_conversions(struct t *t, enum mode mode)
{
	static struct race r;
	pthread_t thread;
	uint8_t value;

	t_init(t, mode, NR);
	r.t = t;
	T_EQ(pthread_create(&thread, NULL, convert_forever, &r), 0);
	for (int i = 0; i < FLIPS / 60; i++) {
		uint8_t *w = t_map(t, 0, NR);
		uint64_t at = (uintptr_t)w;
		long to = host_map_mremap(t->m, at, NR * PAGE, 2 * NR * PAGE, MREMAP_MAYMOVE, 0);

		T_OK(to > 0);
		at = (uint64_t)to;
		T_EQ(host_map_replace(t->m, at, NR * PAGE, PROT_READ,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     to);
		for (int k = 0; k < 3; k++)
			for (uint64_t p = 0; p < NR; p++) {
				T_EQ(t_read(t, (uint8_t *)(uintptr_t)at + p * PAGE, &value).signo,
				     0);
				T_EQ(value, 0);
			}
		T_EQ(host_map_munmap(t->m, at, 2 * NR * PAGE), 0);
	}
	atomic_store(&r.over, true);
	pthread_join(thread, NULL);
	T_EQ(t->pins, 0);
	T_EQ(t->m->guard.nr_mappings, 0);
}

const struct t_case t_race[] = {
	{ "flips beside a thread", flips_beside_a_thread },
	{ "flips beside system calls", flips_beside_system_calls },
	{ "a chunk made again is never open nor closed",
	  a_chunk_made_again_is_never_open_nor_closed },
	{ "windows come and go beside conversions", windows_come_and_go_beside_conversions },
	{ 0 },
};
