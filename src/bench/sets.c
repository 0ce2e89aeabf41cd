/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All that the command measures. */
#include "bench/sets.h"
#include "bench/bench.h"

const struct bench_case *const bench_sets[] = {
	bench_convert_cases,
	bench_file_cases,
	NULL,
};
