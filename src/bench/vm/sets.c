/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All that gmem-bench-vm measures. What others leave in memory does not count with those that come first. */
#include "bench/machine_sets.h"

/* clang-format off */
const struct bench_case *const bench_sets[] = {
	bench_life_cases,
	bench_attr_cases,
	bench_file_uapi_cases,
	bench_fault_cases,
	bench_exit_cases,
	bench_loop_cases,
	bench_shootdown_cases,
	bench_scale_fault_cases,
	bench_scale_cases,
	NULL,
};
/* clang-format on */
