/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The time that this thread has had a processor: what a test may bound, whoever else the machine works for. */
#ifndef GMEM_TESTS_CPU_TIME_H
#define GMEM_TESTS_CPU_TIME_H

#include <stdint.h>
#include <time.h>

static inline uint64_t cpu_time_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

#endif
