/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * measure: from a case to its figures. For programs that have a bench; a case needs bench.h alone.
 *
 * One thread. What is open at a time is one case with all its ways.
 */
#ifndef GMEM_BENCH_MEASURE_H
#define GMEM_BENCH_MEASURE_H

#include "bench/bench.h"
#include "bench/stats.h"

#define BENCH_MAX_POINTS 16 /* of a series */

/* Where ways run. Each function is called for a run that has bcase, way, param and size. */
struct bench_host {
	/* 0, or -errno with a reason in r. */
	int (*open)(struct bench_run *r);
	/* r->nr is wanted; fills in r->done, r->elapsed and the values. */
	int (*round)(struct bench_run *r);
	void (*close)(struct bench_run *r);
};

/* In this process. What wants to be under gmem run is refused. */
extern const struct bench_host bench_here;

struct bench_options {
	const struct bench_host *host;
	uint64_t size;	     /* 0: 1 GiB */
	unsigned int rounds; /* of each way; 0: as many as there is time for */
	double seconds;	     /* for each way of a case, or of each point of a series; 0: 0.4 */
	const char *compare; /* of what is beside ours, this alone; NULL: all */
};

/* A way of a case, or of a point of it. err: 0, or -errno with the reason why there are no figures. */
struct bench_figure {
	const struct bench_way *way;
	struct bench_stats stats;
	/* Held against another way of the same point round by round, the median of that: what disturbs the machine for longer than a
	 * round is in both. 0: not measured. */
	double ratio[BENCH_MAX_WAYS], difference[BENCH_MAX_WAYS];
	uint64_t nr; /* operations a round */
	int err;
	char reason[160];
};

struct bench_point {
	uint64_t param;
	struct bench_figure figures[BENCH_MAX_WAYS];
};

struct bench_result {
	const struct bench_case *bcase;
	size_t nr_ways, nr_points; /* no series: one point */
	uint64_t size;
	struct bench_point points[BENCH_MAX_POINTS];
};

void bench_measure(const struct bench_case *c, const struct bench_options *o,
		   struct bench_result *result);

/* Of a series, and a way that has figures at all points: see BENCH_GROWTH. Of the medians, or of the best rounds. False when
 * it has not. */
bool bench_result_growth(const struct bench_result *r, size_t way, bool best, double *growth);
/* The best of all values: the lowest, of a rate the highest. */
double bench_best(const struct bench_case *c, const struct bench_stats *s);

/* ---- goals (goal.c) ---- */

enum bench_verdict {
	BENCH_UNKNOWN, /* something it is about was not measured */
	BENCH_MET,
	BENCH_MET_AT_BEST, /* by the best round; the median is worse, as it is on a machine that does something else too */
	BENCH_MISSED,
};

/* *value: what is held against the limit; of a goal for all points of a series, the worst. */
enum bench_verdict bench_judge(const struct bench_result *r, const struct bench_goal *g,
			       double *value);
const char *bench_verdict_text(enum bench_verdict v);
/* Has the case a goal of that number? */
bool bench_has_goal(const struct bench_case *c, int number);
/* The index of the way of that name (NULL: the first), or -1. */
int bench_way_index(const struct bench_case *c, const char *name);

/* ---- finding cases (find.c) ---- */

const struct bench_case *bench_find(const char *name);
/* Does a name fit a word: the name itself, a prefix of it that ends at a slash, or a pattern with * and ? */
bool bench_matches(const char *name, const char *word);
/* Calls for each case that fits one of the words, or for all if there are none, in the order of the sets. Returns how many. */
size_t bench_for_each(char *const *words, size_t nr,
		      void (*call)(const struct bench_case *c, void *arg), void *arg);

/* ---- the clock (clock.c) ---- */

/* The clock of this machine counts instructions (a virtual machine that was started so). */
void bench_clock_set_instructions(void);
bool bench_clock_is_instructions(void);

#endif
