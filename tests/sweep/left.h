/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a process has in hand: compared before and after, it tells what has been left behind. */
#ifndef GMEM_TESTS_SWEEP_LEFT_H
#define GMEM_TESTS_SWEEP_LEFT_H

#include <stdint.h>

struct left {
	uint64_t fds, threads;
	uint64_t files;	   /* mappings of memfds */
	uint64_t reserved; /* bytes of mappings without access */
	uint64_t
		anonymous; /* bytes of the others that are of no file; grows by what allocators keep */
};

void left_look(struct left *l);

#endif
