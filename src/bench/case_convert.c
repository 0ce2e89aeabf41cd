/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Conversions in place of what the host has mapped, in each of the ways of convert.h. */
#include "bench/convert.h"
#include "bench/sets.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define NR_SINGLE 32 /* places of one page in a round */
#define STRIDE 8
#define MAX_OTHERS 8
#define MAX_TRIES 10

/* ---- other processes, which sit on what they have inherited until the end ---- */

static struct {
	int pids[MAX_OTHERS];
	unsigned int nr;
} others;

static void sit(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	for (;;)
		pause();
}

static int start_other(void)
{
	int ready[2];
	char letter;
	pid_t pid;
	bool sits;

	if (pipe(ready))
		return -errno;
	pid = fork();
	if (!pid)
		sit(ready[1]);
	close(ready[1]);
	sits = pid > 0 && read(ready[0], &letter, 1) == 1;
	close(ready[0]);
	if (pid > 0)
		others.pids[others.nr++] = pid;
	return sits ? 0 : -ECHILD;
}

static int start_others(unsigned int nr)
{
	int err = 0;

	while (!err && others.nr < nr)
		err = start_other();
	return err;
}

static void end_others(void)
{
	while (others.nr) {
		others.nr--;
		kill(others.pids[others.nr], SIGKILL);
		waitpid(others.pids[others.nr], NULL, 0);
	}
}

/* ---- a round ---- */

/* A run of calls, one for each step. */
struct steps {
	uint64_t offset, size, step, nr;
};

static struct steps steps_of(const struct convert_way *w, const struct convert_row *row)
{
	uint64_t nr_2m = w->size / BENCH_2M;

	switch (row->shape) {
	case CONVERT_ONE:
		return (struct steps){ 0, BENCH_PAGE, STRIDE * BENCH_PAGE, NR_SINGLE };
	case CONVERT_INSIDE:
		return (struct steps){ 17 * BENCH_PAGE, BENCH_PAGE, BENCH_2M,
				       nr_2m < NR_SINGLE ? nr_2m : NR_SINGLE };
	case CONVERT_512:
		return (struct steps){ BENCH_2M, BENCH_2M, BENCH_2M, 1 };
	case CONVERT_ALTERNATING:
		return (struct steps){ 0, BENCH_PAGE, 2 * BENCH_PAGE, w->size / BENCH_PAGE / 2 };
	case CONVERT_ALL:
	default:
		return (struct steps){ 0, w->size, w->size, 1 };
	}
}

/* A process that has the pages mapped, and is not scheduled in time, makes a conversion fail; who wants it asks again. */
static int run_step(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private)
{
	int err, tries = 0;

	do
		err = w->convert(w, offset, size, to_private);
	while (err == -EAGAIN && ++tries < MAX_TRIES);
	return err;
}

static int run_steps(struct convert_way *w, const struct steps *s, bool to_private)
{
	int err = 0;

	for (uint64_t i = 0; !err && i < s->nr; i++)
		err = run_step(w, s->offset + i * s->step, s->size, to_private);
	return err;
}

/* Every page present in the window, with the rights it was mapped with. */
static int touch(struct convert_way *w, const struct steps *s)
{
	uint64_t end = s->offset + s->step * s->nr;

	if (end > w->size)
		end = w->size;
	if (madvise(w->window + s->offset, end - s->offset, MADV_POPULATE_READ))
		return -errno;
	return 0;
}

/* To private and back, or the other way round where that is how it begins; one is counted. */
static int there_and_back(struct bench_run *r, const struct steps *s)
{
	const struct convert_row *row = r->bcase->data;
	struct convert_way *w = r->own;
	int err = row->touched ? touch(w, s) : 0;

	for (int i = 0; !err && i < 2; i++) {
		bool to_private = (i == 0) != row->moves, counts = to_private == row->to_private;

		if (counts)
			bench_start(r);
		err = run_steps(w, s, to_private);
		if (counts)
			bench_stop(r);
	}
	return err;
}

static int convert_round(struct bench_run *r)
{
	struct steps s = steps_of(r->own, r->bcase->data);
	int err = 0;

	for (uint64_t i = 0; !err && i < r->nr; i++)
		err = there_and_back(r, &s);
	r->done = r->nr * s.nr;
	return err;
}

/* Other processes are forked when the window is there for them to inherit. */
static int convert_setup(struct bench_run *r)
{
	const struct convert_row *row = r->bcase->data;
	struct convert_way *w = *(struct convert_way *const *)r->way->data;
	int err = w->open(w, row, row->moves ? CONVERT_MOVES_SIZE : r->size);

	r->own = w;
	if (err == -EOPNOTSUPP)
		return bench_refuse(r, err, "has none");
	if (!err)
		err = start_others(row->nr_others);
	return err;
}

static void convert_teardown(struct bench_run *r)
{
	struct convert_way *w = r->own;

	end_others();
	w->close(w);
}

/* One page of each 2 MiB is there first: an empty range has nothing to collapse. */
int convert_collapse(char *at, uint64_t size)
{
	for (uint64_t i = 0; i < size; i += BENCH_2M)
		*(volatile char *)(at + i) = 1;
	for (uint64_t i = 0; i < size; i += BENCH_2M)
		if (madvise(at + i, BENCH_2M, MADV_COLLAPSE))
			return -EOPNOTSUPP;
	return 0;
}

/* ---- the cases ---- */

static const struct bench_ops ops = { convert_setup, convert_round, convert_teardown };
static struct convert_way *const raw = &convert_raw, *const library = &convert_library,
				 *const by_ioctl = &convert_ioctl;

/* clang-format off */
#define WAYS(pages_) { \
	{ .name = "gmem", .ours = true, .ops = &ops, .data = &by_ioctl, .place = BENCH_UNDER_GMEM, .profile = "in-place", .pages = pages_ }, \
	{ .name = "library", .ours = true, .ops = &ops, .data = &library }, \
	{ .name = "raw", .ops = &ops, .data = &raw }, \
}
#define OF_RAW(way_) { .way = way_, .beside = "raw", .limit = 1.2 }
#define OF_RAW_BOTH OF_RAW("gmem"), OF_RAW("library")
#define ABSOLUTE(way_, to_private_, private_, shared_) \
	{ .way = way_, .limit = 1000.0 * (to_private_ ? private_ : shared_), .size = BENCH_1G }
#define PAGES_4K NULL
#define PAGES_OF_RAW NULL
#define PAGES_ALL NULL
#define PAGES_HUGE "thp"
#define PAGES_NO_GOAL NULL
#define PAGES_IN_2M "thp"
#define GOALS_4K(p) { OF_RAW_BOTH, ABSOLUTE("gmem", p, 7, 5) }
#define GOALS_OF_RAW(p) { OF_RAW_BOTH }
#define GOALS_ALL(p) { OF_RAW_BOTH, ABSOLUTE("gmem", p, 45000, 70000) }
#define GOALS_HUGE(p) { OF_RAW_BOTH, ABSOLUTE("gmem", p, 300, 50) }
#define GOALS_NO_GOAL(p) { { 0 } }
#define GOALS_IN_2M(p) { { 0 } }
/* To unmap 1 GiB takes as long as it takes each time, but up to twice as long with other pages of the machine. */
#define PASSES_4K 0
#define PASSES_OF_RAW 0
#define PASSES_ALL 9
#define PASSES_HUGE 0
#define PASSES_NO_GOAL 0
#define PASSES_IN_2M 0
#define CASE(name_, what_, to_private_, goals_, nr_, ...) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", .nr = nr_, .passes = PASSES_##goals_, .goals = GOALS_##goals_(to_private_), .ways = WAYS(PAGES_##goals_), \
	.data = &(const struct convert_row){ .to_private = to_private_, __VA_ARGS__ } }
/* By the same requests, with gmem run --trace as the parent and without. */
#define OBSERVED(name_, to_private_) { \
	.name = name_, .what = "convert one page, with and without an observer", .unit = BENCH_TIME, .per = "call", .nr = 1, \
	.goals = { { .way = "observed", .beside = "gmem", .limit = 1.05, .machine_idle = true } }, \
	.ways = { \
		{ .name = "observed", .ours = true, .ops = &ops, .data = &by_ioctl, .place = BENCH_OBSERVED, .profile = "in-place" }, \
		{ .name = "gmem", .ours = true, .ops = &ops, .data = &by_ioctl, .place = BENCH_UNDER_GMEM, .profile = "in-place" }, \
	}, \
	.data = &(const struct convert_row){ .to_private = to_private_, .shape = CONVERT_ONE, .touched = true } }
#define IN_1G(name_, what_, to_private_) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", .nr = 1, \
	.ways = { { .name = "library", .ours = true, .ops = &ops, .data = &library } }, \
	.data = &(const struct convert_row){ .to_private = to_private_, .shape = CONVERT_INSIDE, .pool = true } }
/* By copy. */
#define IN_MAPPED_2M(name_, what_, to_private_) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", .nr = 1, \
	.ways = { \
		{ .name = "gmem", .ours = true, .ops = &ops, .data = &by_ioctl, .place = BENCH_UNDER_GMEM, .profile = "in-place", .pages = "2m" }, \
		{ .name = "library", .ours = true, .ops = &ops, .data = &library }, \
	}, \
	.data = &(const struct convert_row){ .to_private = to_private_, .shape = CONVERT_INSIDE, .moves = true } }
/* Nothing is copied where the host can have it huge. */
#define OF_MAPPED_2M(name_, what_, to_private_) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", .nr = 16, \
	.ways = { \
		{ .name = "gmem", .ours = true, .ops = &ops, .data = &by_ioctl, .place = BENCH_UNDER_GMEM, .profile = "in-place", .pages = "2m-shared" }, \
	}, \
	.data = &(const struct convert_row){ .to_private = to_private_, .shape = CONVERT_512, .moves = true } }
#define BOTH(name, what, goals, nr, ...) \
	CASE("convert/" name "/to-private", "convert " what " to private", true, goals, nr, __VA_ARGS__), \
	CASE("convert/" name "/to-shared", "convert " what " to shared", false, goals, nr, __VA_ARGS__)

const struct bench_case bench_convert_cases[] = {
	BOTH("4K", "one page that the host has mapped", 4K, 1, .shape = CONVERT_ONE, .touched = true),
	BOTH("2M", "2 MiB of pages that the host has mapped", OF_RAW, 16, .shape = CONVERT_512, .touched = true),
	BOTH("all", "all of --size, mapped", ALL, 1, .shape = CONVERT_ALL, .touched = true),
	BOTH("untouched", "all of --size, nothing there", OF_RAW, 64, .shape = CONVERT_ALL),
	BOTH("huge", "all of --size, in huge pages", HUGE, 16, .shape = CONVERT_ALL, .touched = true, .huge = true),
	BOTH("4K/in-2M", "one page of a huge page of 2 MiB that the host has mapped", IN_2M, 1, .shape = CONVERT_INSIDE, .touched = true,
	     .huge = true),
	IN_MAPPED_2M("convert/4K/in-pool-2M/to-private", "convert the one shared page of 2 MiB that become a huge page of the pool by that, to private", true),
	IN_MAPPED_2M("convert/4K/in-pool-2M/to-shared", "convert one page of a huge page of the pool, which the host is to see, to shared", false),
	OF_MAPPED_2M("convert/2M/of-pool-2M/to-private", "convert a huge page of the pool that the host has mapped, to private", true),
	OF_MAPPED_2M("convert/2M/of-pool-2M/to-shared", "convert a huge page of the pool that the host is to see, to shared", false),
	IN_1G("convert/4K/in-1G/to-private", "convert one page of one of 1 GiB, which no host maps, to private", true),
	IN_1G("convert/4K/in-1G/to-shared", "convert one page of one of 1 GiB, which no host maps, to shared", false),
	BOTH("alternating", "every other page of --size, one a call", OF_RAW, 1, .shape = CONVERT_ALTERNATING, .touched = true),
	BOTH("4K/with-1", "one page that another process has mapped, too", NO_GOAL, 1, .shape = CONVERT_ONE, .touched = true,
	     .nr_others = 1),
	BOTH("4K/with-4", "one page that four others have mapped, too", NO_GOAL, 1, .shape = CONVERT_ONE, .touched = true,
	     .nr_others = 4),
	BOTH("2M/with-1", "2 MiB that another process has mapped, too", NO_GOAL, 16, .shape = CONVERT_512, .touched = true,
	     .nr_others = 1),
	BOTH("2M/with-4", "2 MiB that four others have mapped, too", NO_GOAL, 16, .shape = CONVERT_512, .touched = true,
	     .nr_others = 4),
	BOTH("all/with-1", "all of --size, which another process has mapped, too", NO_GOAL, 1, .shape = CONVERT_ALL,
	     .touched = true, .nr_others = 1),
	BOTH("all/with-4", "all of --size, which four others have mapped, too", NO_GOAL, 1, .shape = CONVERT_ALL,
	     .touched = true, .nr_others = 4),
	OBSERVED("observed/4K/to-private", true),
	OBSERVED("observed/4K/to-shared", false),
	{ 0 },
};
/* clang-format on */
