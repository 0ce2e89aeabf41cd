/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Threads put pages into pipes, pass them on and take them out while others ask what is pinned. A page that
 * was in a pipe before a question and still is there after it must be in the answer; when all is over, none is.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "map/host_file.h"
#include "map/pins.h"
#include "map/pipes.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define NR_WORKERS 4
#define NR_ASKERS 2
#define RUN_NS 1500000000ull

#define NEED(cond)                                                                 \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

static struct host_file file;
static char *window;
static _Atomic bool stop;
static _Atomic uint32_t held[NR_WORKERS]; /* odd: the worker's page is in a pipe */
static _Atomic uint64_t nr_rounds, nr_seen;

static void put_in(int fd, int page)
{
	struct pipe_piece piece = { &file, (uint64_t)page * PAGE, PAGE };
	struct iovec iov = { .iov_base = window + piece.offset, .iov_len = PAGE };
	struct pipe_push *push;
	ssize_t n;

	NEED(!pipe_push_begin(fd, &piece, 1, &push));
	n = vmsplice(fd, &iov, 1, 0);
	pipe_push_end(push, n);
	NEED(n == (ssize_t)PAGE);
}

static void pass_on(int in, int out, bool is_tee)
{
	struct pipe_pass *pass;
	ssize_t n;

	NEED(!pipe_pass_begin(in, out, &pass));
	n = is_tee ? tee(in, out, PAGE, 0) : splice(in, NULL, out, NULL, PAGE, 0);
	pipe_pass_end(pass, n);
	NEED(n == (ssize_t)PAGE);
}

static void take_out(int fd)
{
	static _Thread_local char bytes[PAGE];

	NEED(read(fd, bytes, PAGE) == (ssize_t)PAGE);
}

/* The page comes to the one pipe, goes on to the other or is there twice, and is taken out. */
static void round_of(int worker, uint32_t i, const int a[2], const int b[2])
{
	put_in(a[1], worker);
	atomic_fetch_add(&held[worker], 1);
	if (i % 3)
		pass_on(a[0], b[1], i % 3 == 1);
	if (i % 3 == 1)
		take_out(a[0]);
	if (i % 7 == 0)
		sched_yield();
	atomic_fetch_add(&held[worker], 1);
	take_out(i % 3 ? b[0] : a[0]);
	atomic_fetch_add(&nr_rounds, 1);
}

static void *work(void *arg)
{
	int worker = (int)(intptr_t)arg, a[2], b[2];

	while (!atomic_load(&stop)) {
		NEED(!pipe(a) && !pipe(b));
		for (uint32_t i = 0; i < 50; i++)
			round_of(worker, i, a, b);
		for (int end = 0; end < 2; end++)
			NEED(!close(a[end]) && !close(b[end]));
	}
	return NULL;
}

struct answer {
	bool told[NR_WORKERS];
};

static void note(void *arg, uint64_t offset, uint64_t size)
{
	struct answer *answer = arg;

	for (uint64_t at = offset; at < offset + size; at += PAGE)
		answer->told[at / PAGE] = true;
}

static void *ask(void *arg)
{
	while (!atomic_load(&stop)) {
		uint32_t before[NR_WORKERS];
		struct answer answer = { { false } };

		for (int i = 0; i < NR_WORKERS; i++)
			before[i] = atomic_load(&held[i]);
		pins_check(&file, 0, NR_WORKERS * PAGE, note, &answer);
		for (int i = 0; i < NR_WORKERS; i++) {
			if (!(before[i] & 1) || atomic_load(&held[i]) != before[i])
				continue;
			NEED(answer.told[i]);
			atomic_fetch_add(&nr_seen, 1);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t workers[NR_WORKERS], askers[NR_ASKERS];
	struct answer answer = { { false } };
	uint64_t live = os_alloc_live(), end;

	file.size = NR_WORKERS * PAGE;
	file.store_fd = (int)syscall(SYS_memfd_create, "store", MFD_CLOEXEC);
	NEED(!ftruncate(file.store_fd, NR_WORKERS * PAGE));
	window =
		mmap(NULL, NR_WORKERS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file.store_fd, 0);
	NEED(window != MAP_FAILED);
	for (intptr_t i = 0; i < NR_WORKERS; i++)
		NEED(!pthread_create(&workers[i], NULL, work, (void *)i));
	for (int i = 0; i < NR_ASKERS; i++)
		NEED(!pthread_create(&askers[i], NULL, ask, NULL));
	for (end = os_clock_ns() + RUN_NS; os_clock_ns() < end;)
		usleep(10000);
	atomic_store(&stop, true);
	for (int i = 0; i < NR_WORKERS; i++)
		NEED(!pthread_join(workers[i], NULL));
	for (int i = 0; i < NR_ASKERS; i++)
		NEED(!pthread_join(askers[i], NULL));
	NEED(pins_check(&file, 0, NR_WORKERS * PAGE, note, &answer) == 0);
	NEED(!file.pins.nr && !pipes_any() && os_fd_next(0) < 0 && os_alloc_live() == live);
	printf("%llu rounds, %llu times seen\n", (unsigned long long)nr_rounds,
	       (unsigned long long)nr_seen);
	NEED(nr_seen > 100);
	return 0;
}
