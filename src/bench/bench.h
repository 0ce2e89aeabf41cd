/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * bench: figures, each measured in several ways that stand beside each other in one run. This header is all
 * that a file of cases (case_*.c) needs.
 *
 * A case is one figure: what an operation costs, how many a second, how many bytes. It has ways: ours, and what
 * we are held against.
 *
 *	ours	 gmem	  the KVM interface in a child under gmem run, or linked in
 *		 library  libgmem, or the layers below it, linked in
 *	beside	 host	  the same case on the host's own /dev/kvm
 *		 kernel	  the same on the kernel of a virtual machine that the program was started in
 *		 memfd	  the same operation on a plain memfd
 *		 raw	  the system calls of the mechanism alone
 *		 plain	  the same without gmem
 *		 bits	  a plain array, for what is kept in memory
 *
 * A way is opened (setup), measured round by round, and closed (teardown), in a process of its own where the
 * program has children, else in turn in this one. Ways take turns within each round, so that what else the
 * machine does meets all of them; the first rounds warm up and find out how many operations a round should have.
 *
 *	static int round(struct bench_run *r)
 *	{
 *		bench_start(r);
 *		for (uint64_t i = 0; i < r->nr; i++)
 *			...
 *		bench_stop(r);
 *		return 0;
 *	}
 *
 * What a round does outside start and stop is not counted. A case with an axis is a series: it is measured anew for each
 * value of the axis (r->param).
 *
 * No more than libc is needed here. report_json.c alone knows json-c, and only programs with children
 * know how to start one (struct bench_host in measure.h).
 */
#ifndef GMEM_BENCH_BENCH_H
#define GMEM_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PAGE ((uint64_t)4096)
#define BENCH_2M ((uint64_t)2 << 20)
#define BENCH_1G ((uint64_t)1 << 30)

#define BENCH_MAX_WAYS 6
#define BENCH_MAX_GOALS 4

enum bench_unit {
	BENCH_TIME =
		1, /* clock units (ns; instructions where the clock counts those) an operation; less is better */
	BENCH_RATE,  /* operations a second; more is better */
	BENCH_BYTES, /* less is better */
	BENCH_RATIO, /* a plain number; less is better */
};

/* What of all values a goal is about. */
enum bench_stat {
	BENCH_MEDIAN = 0,
	BENCH_P99,
	/* Of a series: the exponent b of value ~ param^b. 0: an item costs the same however many there are. */
	BENCH_GROWTH,
	/* Of a series: the value at .param by the value at the first. */
	BENCH_SPEEDUP,
};

/* "Of way `way`, `stat` is at most `limit`" (at least, of a rate and a speedup), or at most `limit` times that of `beside`. */
struct bench_goal {
	const char *way;    /* NULL: the first of the case */
	const char *beside; /* NULL: the limit is absolute */
	enum bench_stat stat;
	double limit;
	bool difference;   /* at most so much more than `beside`, instead of so many times */
	uint64_t param;	   /* of a series: at this value alone; 0: at all of them */
	uint64_t size;	   /* only if large ranges have this size; 0: any */
	bool machine_idle; /* cannot be judged on a machine that does something else */
};

struct bench_way;
struct bench_case;

/* A way of a case that is open. */
struct bench_run {
	const struct bench_case *bcase;
	const struct bench_way *way;
	uint64_t param; /* of a series */
	uint64_t size;	/* bytes of memory that a large case should have; --size */
	void *own;	/* the way's own */
	/* Of this round: how many operations are wanted, and were done. A round that cannot do so many (memory ends)
	 * says how many it did; it does at least one. */
	uint64_t nr, done;
	/* The rest is the framework's. */
	uint64_t started, elapsed;
	double *values;
	size_t nr_values, room;
	char reason[160];
};

void bench_start(struct bench_run *r);
void bench_stop(
	struct bench_run *r); /* both may be called several times in a round; the times add up */

/* A value of its own, in the unit of the case (ns, a second, bytes), instead of the time between start and stop by the number of
 * operations. May be called many times a round, when the distribution of single operations is what counts (p99). */
void bench_value(struct bench_run *r, double value);

/* A reading of the clock behind bench_start(): ns, or instructions where that is what the clock of the machine counts. */
uint64_t bench_clock(void);

/* Why setup (or a round) fails: printed where the figure would be. Returns err. -EOPNOTSUPP says that there is no such thing here,
 * which is no failure. */
__attribute__((format(printf, 3, 4))) int bench_refuse(struct bench_run *r, int err,
						       const char *fmt, ...);

struct bench_ops {
	int (*setup)(
		struct bench_run *
			r); /* 0 or -errno; after an error teardown is not called. NULL: nothing to do */
	int (*round)(struct bench_run *r);     /* 0 or -errno, which ends the way */
	void (*teardown)(struct bench_run *r); /* NULL: nothing to do */
};

enum bench_place {
	BENCH_PLAIN = 0,  /* a process as any */
	BENCH_UNDER_GMEM, /* one that was started by gmem run */
	BENCH_OBSERVED,	  /* the same, and gmem run --trace is its parent */
};

struct bench_way {
	const char *name; /* NULL ends the list */
	const struct bench_ops *ops;
	const void *data; /* the case's own: r->way->data */
	enum bench_place place;
	const char *profile; /* of gmem run; NULL: the default */
	const char *pages;   /* likewise */
	bool ours;	     /* else beside */
};

struct bench_case {
	const char *name; /* "attr/uniform/1G"; NULL ends a set */
	const char *what; /* a line */
	enum bench_unit unit;
	const char *per; /* what an operation is: "page", "call" */
	/* Operations of a round; 0: as many as take about 2 ms, found out. */
	uint64_t nr;
	/* Of a series: the values of the parameter, ending with 0, and what it is ("threads"). */
	const uint64_t *axis;
	const char *axis_name;
	struct bench_goal goals[BENCH_MAX_GOALS];  /* as long as .limit is not 0 */
	struct bench_way ways[BENCH_MAX_WAYS + 1]; /* the first is ours */
	/* A round takes long (seconds): three are enough. */
	bool slow;
	/* setup takes long: its ways are opened once. Else they are opened three times, in another order each time, since it matters
	 * which pages of the machine one gets. */
	bool once;
	/* How often they are opened instead, when that decides more than anything else. */
	unsigned int passes;
	const void *data; /* the case's own: r->bcase->data */
};

/* The sets of cases that a program has. Each program with a bench defines its own; both levels end with NULL. */
extern const struct bench_case *const bench_sets[];

#endif
