/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All that the command measures. */
#include "bench/sets.h"
#include "bench/machine_sets.h"

/* clang-format off */
const struct bench_case *const bench_sets[] = {
	bench_map_cases,
	bench_attr_cases,
	bench_convert_cases,
	bench_touch_cases,
	bench_file_cases,
	bench_fault_cases,
	bench_exit_cases,
	bench_loop_cases,
	bench_shootdown_cases,
	bench_life_cases,
	bench_foreign_cases,
	bench_scale_cases,
	bench_scale_fault_cases,
	bench_program_cases,
	NULL,
};
/* clang-format on */
