/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * crew: threads that each do their part of a round, at the same time. Made once, in setup; between rounds they
 * sleep. One thread, the one that made it, calls all of these.
 */
#ifndef GMEM_BENCH_CREW_H
#define GMEM_BENCH_CREW_H

struct crew;

/* work is the part of thread number index: 0 or -errno. -ENOMEM, -EAGAIN. */
int crew_make(unsigned int nr, int (*work)(void *arg, unsigned int index), void *arg,
	      struct crew **out);
/* All begin their part. */
void crew_go(struct crew *c);
/* All are done: 0, or the error of one of them. */
int crew_wait(struct crew *c);
/* None works. */
void crew_unmake(struct crew *c);

#endif
