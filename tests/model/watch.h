/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * watch: a child that makes calls is waited for as long as it gets on. A guest that never stops, a lock that nobody
 * gives back and a machine that emulates another one look the same from here: what was asked last tells them apart.
 */
#ifndef GMEM_MODEL_WATCH_H
#define GMEM_MODEL_WATCH_H

#include <sys/types.h>

#include "op.h"

/* How far the child is: in memory that both have. */
struct pace {
	uint64_t steps; /* calls begun, and programs ended */
	uint64_t at;	/* index of the call under way */
	struct op op;	/* that call */
	int64_t slowest_ns;
	struct op slowest;
};

void watch_begin(struct pace *p, uint64_t at, const struct op *op);
void watch_end(struct pace *p);
/* As waitpid(). False: for so many seconds no call has ended, and the child was killed. */
bool watch(pid_t pid, const struct pace *p, uint64_t seconds, int *status);

#endif
