/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * bench_child: a way of a case in a process of its own, under gmem or not. The process is this program again, which opens
 * the way and then makes a round for each number it reads:
 *
 *	to it	  NR\n					a round of so many operations; the end closes the way
 *	from it	  ERR REASON\n				once, when it has opened
 *		  ERR DONE ELAPSED NR-VALUES VALUE... REASON\n	for each round
 */
#ifndef GMEM_CMD_BENCH_CHILD_H
#define GMEM_CMD_BENCH_CHILD_H

#include "bench/measure.h"

extern const struct bench_host bench_child;

#endif
