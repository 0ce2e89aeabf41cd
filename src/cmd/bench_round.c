/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is measured, and one measurement. */
#include "cmd/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define US 1e3
#define MS 1e6
#define NR_SINGLE 32 /* places of one page in a round, none beside another */
#define STRIDE 8

const struct bench_row bench_rows[] = {
	{ "4 KiB", BENCH_ONE, true, false, 0, { 7 * US, 5 * US } },
	{ "2 MiB", BENCH_512, true, false, 0, { 0, 0 } },
	{ "%s, touched", BENCH_ALL, true, false, 0, { 45 * MS, 70 * MS } },
	{ "%s, untouched", BENCH_ALL, false, false, 0, { 0, 0 } },
	{ "%s, huge pages", BENCH_ALL, true, true, 0, { 0.3 * MS, 0.05 * MS } },
	{ "%s, alternating", BENCH_ALTERNATING, true, false, 0, { 2000 * MS, 2000 * MS } },
	{ "4 KiB", BENCH_ONE, true, false, 1, { 0, 0 } },
	{ "2 MiB", BENCH_512, true, false, 1, { 0, 0 } },
	{ "%s, touched", BENCH_ALL, true, false, 1, { 0, 0 } },
	{ "4 KiB", BENCH_ONE, true, false, 4, { 0, 0 } },
	{ "2 MiB", BENCH_512, true, false, 4, { 0, 0 } },
	{ "%s, touched", BENCH_ALL, true, false, 4, { 0, 0 } },
};

size_t bench_nr_rows(void)
{
	return sizeof(bench_rows) / sizeof(bench_rows[0]);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A run of calls, one for each step. */
struct steps {
	uint64_t offset, size, step;
	uint64_t nr;
};

static struct steps steps_of(const struct bench_way *w, const struct bench_row *row)
{
	switch (row->shape) {
	case BENCH_ONE:
		return (struct steps){ 0, BENCH_PAGE, STRIDE * BENCH_PAGE, NR_SINGLE };
	case BENCH_512:
		return (struct steps){ BENCH_CHUNK, BENCH_CHUNK, BENCH_CHUNK, 1 };
	case BENCH_ALTERNATING:
		return (struct steps){ 0, BENCH_PAGE, 2 * BENCH_PAGE, w->size / BENCH_PAGE / 2 };
	case BENCH_ALL:
	default:
		return (struct steps){ 0, w->size, w->size, 1 };
	}
}

static int run_steps(struct bench_way *w, const struct steps *s, bool to_private, double *ns)
{
	double start = now_ns();

	for (uint64_t i = 0; i < s->nr; i++) {
		int err = w->convert(w, s->offset + i * s->step, s->size, to_private);

		if (err)
			return err;
	}
	*ns = now_ns() - start;
	return 0;
}

/* Every page present in the window, with the rights it was mapped with. */
static int touch(struct bench_way *w, const struct steps *s)
{
	uint64_t end = s->offset + s->step * s->nr;

	if (end > w->size)
		end = w->size;
	if (madvise(w->window + s->offset, end - s->offset, MADV_POPULATE_READ))
		return -errno;
	return 0;
}

int bench_round(struct bench_way *w, const struct bench_row *row, double ns[2])
{
	struct steps s = steps_of(w, row);
	int err = row->touched ? touch(w, &s) : 0;

	if (!err)
		err = run_steps(w, &s, true, &ns[TO_PRIVATE]);
	if (!err)
		err = run_steps(w, &s, false, &ns[TO_SHARED]);
	if (!err && row->shape == BENCH_ONE) {
		ns[TO_PRIVATE] /= NR_SINGLE;
		ns[TO_SHARED] /= NR_SINGLE;
	}
	return err;
}

/* One page of each 2 MiB is there first: an empty range has nothing to collapse. */
int bench_collapse(char *at, uint64_t size)
{
	for (uint64_t i = 0; i < size; i += BENCH_CHUNK)
		*(volatile char *)(at + i) = 1;
	for (uint64_t i = 0; i < size; i += BENCH_CHUNK)
		if (madvise(at + i, BENCH_CHUNK, MADV_COLLAPSE))
			return -EOPNOTSUPP;
	return 0;
}

/* ---- other processes --------------------------------------------------------------------------- */

static void sit(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	for (;;)
		pause();
}

int bench_start_others(struct bench_others *o, unsigned int nr)
{
	int ready[2];
	char letter;

	o->nr = 0;
	while (o->nr < nr) {
		pid_t pid;

		if (pipe(ready))
			return -errno;
		pid = fork();
		if (!pid)
			sit(ready[1]);
		close(ready[1]);
		if (pid < 0 || read(ready[0], &letter, 1) != 1) {
			close(ready[0]);
			return -ECHILD;
		}
		close(ready[0]);
		o->pids[o->nr++] = pid;
	}
	return 0;
}

void bench_end_others(struct bench_others *o)
{
	for (unsigned int i = 0; i < o->nr; i++) {
		kill(o->pids[i], SIGKILL);
		waitpid(o->pids[i], NULL, 0);
	}
	o->nr = 0;
}

/* ---- a way in a child -------------------------------------------------------------------------- */

/* Rows are told apart by their number; -1 closes the one that is open. */
static int serve_row(struct bench_way *w, uint64_t size, long number, long *open_row,
		     struct bench_others *others)
{
	const struct bench_row *row = number < 0 ? NULL : &bench_rows[number];
	double ns[2] = { 0, 0 };
	int err = 0;

	if (*open_row >= 0 && *open_row != number) {
		bench_end_others(others);
		w->close(w);
		*open_row = -1;
	}
	if (row && *open_row != number) {
		err = w->open(w, row, size);
		if (!err) {
			*open_row = number;
			err = bench_start_others(others, row->nr_others);
		}
	}
	if (row && !err)
		err = bench_round(w, row, ns);
	printf("%d %.0f %.0f\n", err, ns[TO_PRIVATE], ns[TO_SHARED]);
	fflush(stdout);
	return 0;
}

int bench_serve(struct bench_way *w, uint64_t size)
{
	struct bench_others others = { .nr = 0 };
	long number, open_row = -1;

	while (scanf("%ld", &number) == 1 && number < (long)bench_nr_rows())
		serve_row(w, size, number, &open_row, &others);
	bench_end_others(&others);
	return 0;
}
