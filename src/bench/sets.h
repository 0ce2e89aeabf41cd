/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The sets of cases, one a file: case_NAME.c has bench_NAME_cases. */
#ifndef GMEM_BENCH_SETS_H
#define GMEM_BENCH_SETS_H

#include "bench/bench.h"

extern const struct bench_case
	bench_convert_cases[]; /* in place: the KVM interface, the library, bare calls */
extern const struct bench_case bench_file_cases[]; /* punch, allocate: the library, a plain memfd */

#endif
