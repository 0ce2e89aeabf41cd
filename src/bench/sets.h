/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The sets of cases, one a file: case_NAME.c has bench_NAME_cases. */
#ifndef GMEM_BENCH_SETS_H
#define GMEM_BENCH_SETS_H

#include "bench/bench.h"

extern const struct bench_case bench_convert_cases[]; /* conversions in place */
extern const struct bench_case bench_file_cases[];    /* punch, allocate */
extern const struct bench_case bench_foreign_cases[]; /* calls that are not gmem's */
extern const struct bench_case bench_map_cases[];     /* the attribute map alone */
extern const struct bench_case bench_program_cases[]; /* whole programs */
extern const struct bench_case bench_touch_cases[];   /* the host's page faults */

#endif
