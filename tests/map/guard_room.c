/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* When something has run out: a clean error, the state as it was, and nothing open that was hidden. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "guard_t.h"
#include "os/window.h"

static void *do_nothing(void *arg)
{
	return arg;
}

/* What a program needs mappings for. */
static void the_program_goes_on(void)
{
	pthread_t thread;
	char *p = malloc((size_t)64 << 20);

	T_OK(p);
	p[12345] = 1;
	free(p);
	T_EQ(pthread_create(&thread, NULL, do_nothing, NULL), 0);
	T_EQ(pthread_join(thread, NULL), 0);
}

static void sample(struct t *t, const uint8_t *w, uint64_t nr_pages)
{
	for (uint64_t p = 0; p < nr_pages; p += 61)
		t_check_window(t, w + p * PAGE, p, nr_pages - p < 4 ? nr_pages - p : 4);
}

static void refused_marks_end_with_no_memory(struct t *t, enum mode mode)
{
	uint64_t nr = 65536, p;
	uint8_t *w;
	int err = 0;

	if (mode == MARKED)
		t_skip("there are none");
	t_init(t, mode, nr);
	w = t_map(t, 0, nr);
	t_refuse_userfaultfd();
	for (p = 0; p < nr && !err; p += 2)
		err = t_hide(t, p, 1);
	p -= 2;
	T_EQ(err, -ENOMEM);
	T_OK(p > 4000);
	T_OK(!t_private(t, p));
	T_OK(t->m->guard.nr_mappings < os_window_max() / 2);
	the_program_goes_on();
	sample(t, w, nr);
	t_check_window(t, w + (p - 4) * PAGE, p - 4, 8);
	/* What needs less mappings goes on. */
	T_EQ(t_hide(t, 1, 1), 0);
	T_EQ(t_hide(t, 1024, 2048), 0);
	T_EQ(t_show(t, 512, 512), 0);
	sample(t, w, nr);
	/* Nor is there room to show one page of many hidden ones. */
	T_EQ(t_hide(t, 0, nr), 0);
	for (err = 0, p = 1; p < nr && !err; p += 2)
		err = t_show(t, p, 1);
	T_EQ(err, -ENOMEM);
	sample(t, w, nr);
	the_program_goes_on();
	T_EQ(t_show(t, 0, nr), 0);
	sample(t, w, nr);
}

static void marks_begin_when_mappings_end(struct t *t, enum mode mode)
{
	uint64_t nr = 65536;
	uint8_t *w;

	t_need_marks();
	t_init(t, mode, nr);
	w = t_map(t, 0, nr);
	for (uint64_t p = 0; p < nr; p += 2)
		T_EQ(t_hide(t, p, 1), 0);
	T_OK(t->m->guard.nr_mappings < os_window_max() / 2);
	T_EQ(t_nr_mappings(), t->m->guard.nr_mappings + GUARD_BALLAST + 1);
	the_program_goes_on();
	sample(t, w, nr);
	for (uint64_t p = 0; p < nr; p += 2)
		T_EQ(t_show(t, p, 1), 0);
	sample(t, w, nr);
	T_EQ(t_nr_mappings(), 1 + GUARD_BALLAST + 1);
	/* From the other side. */
	T_EQ(t_hide(t, 0, nr), 0);
	for (uint64_t p = 0; p < nr; p += 2)
		T_EQ(t_show(t, p, 1), 0);
	T_OK(t->m->guard.nr_mappings < os_window_max() / 2);
	T_EQ(t_nr_mappings(), t->m->guard.nr_mappings + GUARD_BALLAST + 1);
	sample(t, w, nr);
	/* A window made of all that. */
	w = t_map(t, 0, nr);
	sample(t, w, nr);
	T_OK(t->m->guard.nr_mappings < os_window_max() / 2);
	T_EQ(t_show(t, 0, nr), 0);
	sample(t, w, nr);
	/* With room again, and nothing marked, it is as at first. */
	T_EQ(t_hide(t, 5, 1), 0);
	T_EQ(t_show(t, 5, 1), 0);
	if (mode == OVERLAID)
		T_OK(!pieces_first(t->m, (uintptr_t)w, (uintptr_t)w + 1)->w.watched);
}

/* Not even the window as a whole can be mapped over: it is closed by protection, and no one opens that. */
static void a_window_closed_by_protection_stays_closed(struct t *t, enum mode mode)
{
	struct rlimit none = { PAGE, RLIM_INFINITY };
	uint8_t *w, value;

	if (mode == MARKED)
		t_skip("marks need no room");
	t_init(t, mode, 64);
	t->m->guard.marks_first = false;
	w = t_map(t, 0, 64);
	T_EQ(t_hide(t, 0, 64), 0);
	T_EQ(t_show(t, 0, 64), 0);
	t_refuse_userfaultfd();
	T_EQ(setrlimit(RLIMIT_AS, &none), 0);
	host_map_hide_again(t->m, &t->f, 3 * PAGE, PAGE);
	T_OK(t_private(t, 3));
	T_OK(t_read(t, w + 3 * PAGE, &value).signo);
	T_EQ(host_map_mprotect(t->m, (uintptr_t)w, 64 * PAGE, PROT_READ | PROT_WRITE, -1), -ENOMEM);
	T_EQ(host_map_mprotect(t->m, (uintptr_t)w + 2 * PAGE, 2 * PAGE, PROT_READ, -1), -ENOMEM);
	T_OK(t_read(t, w + 3 * PAGE, &value).signo);
	T_EQ(host_map_mprotect(t->m, (uintptr_t)w, 64 * PAGE, PROT_NONE, -1), 0);
	none.rlim_cur = RLIM_INFINITY;
	T_EQ(setrlimit(RLIMIT_AS, &none), 0);
	T_OK(t_read(t, w + 3 * PAGE, &value).signo);
	T_EQ(host_map_munmap(t->m, (uintptr_t)w, 64 * PAGE), 0);
	/* A new one is as any. */
	w = t_map(t, 0, 64);
	t_check_window(t, w, 0, 64);
}

/* ---- the program takes what there is ---------------------------------------------------------- */

/* Mappings of the program until there are none; how many, at where. */
static uint64_t take_all_mappings(uint8_t **out)
{
	uint64_t max = os_window_max(), size = 2 * max * PAGE, nr = 0;
	uint8_t *area =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	T_OK(area != MAP_FAILED);
	while (nr < max && !mprotect(area + (2 * nr + 1) * PAGE, PAGE, PROT_READ))
		nr++;
	T_EQ(errno, ENOMEM);
	*out = area;
	return nr;
}

static void conversions_when_the_program_has_taken_all_mappings(struct t *t, enum mode mode)
{
	uint64_t nr = 2048, before;
	uint8_t *w, *area;
	bool was;

	t_init(t, mode, nr);
	w = t_map(t, 0, nr);
	T_EQ(t_hide(t, 100, 1), 0);
	T_EQ(t_hide(t, 600, 1200), 0);
	take_all_mappings(&area);
	for (uint64_t p = 0; p < nr; p += 7) {
		int err;

		was = t_private(t, p);
		err = was ? t_show(t, p, 1) : t_hide(t, p, 1);
		T_OK(!err || err == -ENOMEM);
		T_EQ(t_private(t, p), err ? was : !was);
	}
	t_check_window(t, w, 0, nr);
	/* All or nothing. */
	before = attr_map_count(t->f.state, 0, nr, ATTR_PRIVATE);
	before = t_hide(t, 0, nr) ? before : nr;
	T_EQ(attr_map_count(t->f.state, 0, nr, ATTR_PRIVATE), before);
	t_check_window(t, w, 0, nr);
}

static void what_was_shown_can_always_be_hidden_again(struct t *t, enum mode mode)
{
	uint64_t nr = 2048;
	uint8_t *w, *area, value;

	t_init(t, mode, nr);
	w = t_map(t, 0, nr);
	T_EQ(t_hide(t, 0, nr), 0);
	T_EQ(t_show(t, 0, nr), 0);
	/* The state has what single pages take of memory; a sanitizer's calloc() would end the program for want of it. */
	T_EQ(t_hide(t, 3, 1), 0);
	T_EQ(t_show(t, 3, 1), 0);
	if (mode == OVERLAID)
		t_refuse_userfaultfd();
	take_all_mappings(&area);
	for (uint64_t p = 3; p < nr; p += 100) {
		host_map_hide_again(t->m, &t->f, p * PAGE, PAGE);
		T_EQ(t_read(t, w + p * PAGE, &value).signo, SIGBUS);
		T_OK(t_private(t, p));
		/* What is held in reserve is enough for some. */
		if (p < 500)
			T_EQ(t_read(t, w + (p + 1) * PAGE, &value).signo, 0);
	}
	/* More than asked may be hidden by then, and none is open that must not be. */
	for (uint64_t p = 0; p < nr; p++)
		if (t_private(t, p))
			T_EQ(t_read(t, w + p * PAGE, &value).signo, SIGBUS);
}

static void no_address_space_left(struct t *t, enum mode mode)
{
	struct rlimit none = { 1, 1 };
	uint64_t nr = 3000, at;
	uint8_t *w;

	t_init(t, mode, nr);
	w = t_map(t, 0, nr);
	T_EQ(t_hide(t, 1000, 1500), 0);
	if (mode == OVERLAID)
		guard_set_limits(&t->m->guard, 12, 12);
	T_EQ(setrlimit(RLIMIT_AS, &none), 0);
	for (uint64_t p = 0; p < nr; p += 41) {
		bool was = t_private(t, p);
		int err = was ? t_show(t, p, 2) : t_hide(t, p, 2);

		T_OK(!err || err == -ENOMEM);
		T_EQ(t_private(t, p), err ? was : !was);
	}
	t_check_window(t, w, 0, nr);
	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, 0, nr * PAGE, PROT_READ, MAP_SHARED, 0, &at),
	     -ENOMEM);
	T_EQ(host_map_mremap(t->m, (uintptr_t)w, nr * PAGE, 2 * nr * PAGE, MREMAP_MAYMOVE, 0),
	     -ENOMEM);
	T_EQ(t->pins, 1);
	t_check_window(t, w, 0, nr);
}

static void no_descriptor_left(struct t *t, enum mode mode)
{
	struct rlimit few = { 0, 0 }, before;
	uint64_t at;
	uint8_t *w;

	if (mode == MARKED)
		t_need_marks();
	t_init(t, OVERLAID, 16);
	getrlimit(RLIMIT_NOFILE, &before);
	few.rlim_max = before.rlim_max;
	T_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, 0, 16 * PAGE, PROT_READ, MAP_SHARED, 0, &at),
	     -EMFILE);
	T_EQ(t->pins, 0);
	T_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	w = t_map(t, 0, 16);
	guard_set_limits(&t->m->guard, 3, 3);
	T_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	T_EQ(t_hide(t, 1, 1), 0);
	T_EQ(t_hide(t, 5, 1), -ENOMEM);
	T_OK(!t_private(t, 5));
	T_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	t_check_window(t, w, 0, 16);
	/* It was only for then. */
	if (mode == MARKED)
		T_EQ(t_hide(t, 5, 1), 0);
	t_check_window(t, w, 0, 16);
}

/* Several windows: that of them which has no room makes all of them as they were. */
static void all_windows_or_none(struct t *t, enum mode mode)
{
	uint8_t *w[4];

	t_init(t, OVERLAID, 64);
	t_refuse_userfaultfd();
	for (int i = 0; i < 4; i++)
		w[i] = t_map(t, 0, 64);
	T_EQ(t_hide(t, 30, 4), 0);
	guard_set_limits(&t->m->guard, 4 + 8 + 5, 4 + 8 + 5);
	T_EQ(t_hide(t, 10, 2), -ENOMEM);
	for (int i = 0; i < 4; i++)
		t_check_window(t, w[i], 0, 64);
	T_EQ(t_show(t, 31, 1), -ENOMEM);
	for (int i = 0; i < 4; i++)
		t_check_window(t, w[i], 0, 64);
	T_EQ(t_hide(t, 20, 20), 0);
	for (int i = 0; i < 4; i++)
		t_check_window(t, w[i], 0, 64);
	T_OK(!t_private(t, 10));
	T_OK(t_private(t, 31));
}

static void a_long_hide_ends_for_a_signal(struct t *t, enum mode mode)
{
	uint64_t nr = (3ull << 30) / PAGE;
	uint8_t value, *w;

	t_init(t, OVERLAID, nr);
	w = t_map(t, 0, nr);
	T_EQ(t_hide(t, 7, 1), 0);
	os_signal_set_pending(true);
	T_EQ(t_hide(t, 0, nr), -EINTR);
	t_check_window(t, w, 0, 16);
	T_EQ(t_read(t, w + (nr - 1) * PAGE, &value).signo, 0);
	/* One step is not long. */
	T_EQ(t_hide(t, 0, nr / 4), 0);
	os_signal_set_pending(false);
	T_EQ(t_hide(t, 0, nr), 0);
	T_EQ(t_read(t, w + (nr - 1) * PAGE, &value).signo, SIGBUS);
}

const struct t_case t_room[] = {
	{ "refused marks end with no memory", refused_marks_end_with_no_memory },
	{ "marks begin when mappings end", marks_begin_when_mappings_end },
	{ "conversions when the program has taken all mappings",
	  conversions_when_the_program_has_taken_all_mappings },
	{ "what was shown can always be hidden again", what_was_shown_can_always_be_hidden_again },
	{ "a window closed by protection stays closed",
	  a_window_closed_by_protection_stays_closed },
	{ "no address space left", no_address_space_left },
	{ "no descriptor left", no_descriptor_left },
	{ "all windows or none", all_windows_or_none },
	{ "a long hide ends for a signal", a_long_hide_ends_for_a_signal },
	{ 0 },
};
