/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * bench: how long conversions take, three ways in one run:
 *
 *	raw	 the system calls of the mechanism alone, as a program that knew what to hide would make them
 *	library	 gmem_convert(), in this process
 *	ioctl	 KVM_SET_MEMORY_ATTRIBUTES2 in a child under gmem
 *
 * Rounds of the three take turns, so that what else the machine does meets all of them.
 */
#ifndef GMEM_CMD_BENCH_H
#define GMEM_CMD_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PAGE ((uint64_t)4096)
#define BENCH_CHUNK ((uint64_t)2 << 20)
#define BENCH_MAX_OTHERS 8

enum bench_shape {
	BENCH_ONE,	   /* 4 KiB, a new place each time; the time of one */
	BENCH_512,	   /* 2 MiB of 4 KiB pages, one call */
	BENCH_ALL,	   /* everything, in one call */
	BENCH_ALTERNATING, /* every other page, one call each; the time of all */
};

struct bench_row {
	const char *name; /* may hold a %s for the size */
	enum bench_shape shape;
	bool touched, huge;
	unsigned int nr_others; /* processes that have the memory mapped, too */
	double target_ns[2];	/* to private, to shared; 0: none */
};

enum { TO_PRIVATE, TO_SHARED };

extern const struct bench_row bench_rows[];
size_t bench_nr_rows(void);

/* One way to convert, opened for a row. */
struct bench_way {
	/* 0 or -errno; -EOPNOTSUPP: this way has no such row. Fills in window, 2 MiB aligned. */
	int (*open)(struct bench_way *w, const struct bench_row *row, uint64_t size);
	int (*convert)(struct bench_way *w, uint64_t offset, uint64_t size, bool to_private);
	void (*close)(struct bench_way *w);
	char *window;
	uint64_t size;
	void *own;
};
extern struct bench_way bench_raw, bench_library, bench_ioctl;

/* One round of a row that is open: ns[TO_PRIVATE], ns[TO_SHARED]. -errno. */
int bench_round(struct bench_way *w, const struct bench_row *row, double ns[2]);

/* Processes that sit on what they have inherited, until the end. */
struct bench_others {
	int pids[BENCH_MAX_OTHERS];
	unsigned int nr;
};
int bench_start_others(struct bench_others *o, unsigned int nr);
void bench_end_others(struct bench_others *o);

/* Backs every page, in 2 MiB pages if the row wants them, through a mapping that is not a window. -EOPNOTSUPP. */
int bench_collapse(char *at, uint64_t size);

/* The other side of a way in a child: reads numbers of rows from stdin, one a line, writes the two times. */
int bench_serve(struct bench_way *w, uint64_t size);

#endif
