/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The clock of the benches. Where instructions are counted (a virtual machine whose time goes by them, one each
 * nanosecond) it is the same reading with another name.
 */
#include "bench/measure.h"

#include <time.h>

static bool instructions;

uint64_t bench_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void bench_clock_set_instructions(void)
{
	instructions = true;
}

bool bench_clock_is_instructions(void)
{
	return instructions;
}
