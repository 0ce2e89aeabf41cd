/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All that gmem-bench-vm measures. */
#include "bench/machine_sets.h"

const struct bench_case *const bench_sets[] = {
	bench_attr_cases,	 bench_fault_cases, bench_exit_cases,
	bench_scale_fault_cases, bench_scale_cases, NULL,
};
