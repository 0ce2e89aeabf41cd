/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * convert: what the ways to convert in place have in common.
 *
 *	raw	 the system calls of the mechanism alone, as a program that knew what to hide would make them
 *	library	 gmem_convert()
 *	gmem	 KVM_SET_MEMORY_ATTRIBUTES2, under gmem
 */
#ifndef GMEM_BENCH_CONVERT_H
#define GMEM_BENCH_CONVERT_H

#include "bench/bench.h"

enum convert_shape {
	CONVERT_ONE,	     /* one page a call, places that are not beside each other */
	CONVERT_INSIDE,	     /* one page a call, one of each 2 MiB */
	CONVERT_512,	     /* 2 MiB of 4 KiB pages, one call */
	CONVERT_ALL,	     /* everything, in one call */
	CONVERT_ALTERNATING, /* every other page, one a call */
};

struct convert_row {
	enum convert_shape shape;
	bool touched, huge, to_private;
	bool pool; /* on pages of 1 GiB, which nobody has mapped; the library alone */
	bool moves; /* on pages of 2 MiB of the pool, private at first, and mapped: by copy, there and back */
	unsigned int nr_others; /* processes that have the memory mapped, too */
};

/* The pool is small. */
#define CONVERT_MOVES_SIZE (16ul * BENCH_2M)

/* A way, open for a row. Of a process, so one at a time. */
struct convert_way {
	/* 0 or -errno; -EOPNOTSUPP: this way has no such row. Fills in window, 2 MiB aligned. */
	int (*open)(struct convert_way *w, const struct convert_row *row, uint64_t size);
	int (*convert)(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private);
	void (*close)(struct convert_way *w);
	char *window;
	uint64_t size;
	void *own;
};
extern struct convert_way convert_raw, convert_library, convert_ioctl;

/* Backs every page, in 2 MiB pages if the row wants them, through a mapping that is not a window. -EOPNOTSUPP. */
int convert_collapse(char *at, uint64_t size);

#endif
