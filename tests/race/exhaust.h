/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion when something has run out. A bench is a VM with a small file whose pages' states are known; each
 * step tries a conversion, takes the answer for the new state, and asks the host whether it is so. Every
 * scenario runs in a process of its own.
 */
#ifndef GMEM_TESTS_RACE_EXHAUST_H
#define GMEM_TESTS_RACE_EXHAUST_H

#include "world.h"

#define BENCH_PAGES 64u

struct bench {
	struct world w;
	struct guest g;
	bool is_private[BENCH_PAGES];
	unsigned int nr_done, nr_refused;
};

void bench_make(struct bench *b);
/* Everything converts again, holds what it held, for the host and the guest. */
void bench_relieved(struct bench *b);
/* One conversion: 0, or ENOMEM at its start and nothing has changed; anything else is a failure. */
void bench_try(struct bench *b, unsigned int first, unsigned int nr, bool to_private);
/* Single pages, ranges and the whole, both ways. */
void bench_try_much(struct bench *b);
/* The host finds every page as it is known to be, through window. strict: shared ones are open for sure. */
void bench_look(const struct bench *b, uint8_t *window, bool strict);
/* A new window: 0 or ENOMEM, and right if it is there. */
void bench_try_window(struct bench *b);
/* A child sees nothing it must not. fork may fail. */
void bench_try_fork(struct bench *b);
uint64_t bench_value(unsigned int page);

/* ---- exhaust_filter.c ---- */

#define MAX_FILTERED 8u
/* The calls (none: 0) answer error from now on; error 0: they end the process. */
void filter_calls(const int *calls, unsigned int nr, int error);
void scenario_no_userfaultfd(void);
void scenario_no_memfd_later(void);
void scenario_no_memfd_at_all(void);
void scenario_jail(void);
void scenario_many_runs(void);

#endif
