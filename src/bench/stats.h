/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* stats: what many values come to. Pure functions. */
#ifndef GMEM_BENCH_STATS_H
#define GMEM_BENCH_STATS_H

#include <stddef.h>

struct bench_stats {
	size_t nr;
	double min, median, p90, p99, max;
};

/* Sorts the values. Percentiles are values that did occur (nearest rank); a median of an even number is between two. */
struct bench_stats bench_stats(double *values, size_t nr);

/* The exponent b of the power law y = a * x^b that is nearest to the points (least squares of the logarithms). All x and y are
 * positive. 0 for fewer than two different x. */
double bench_growth(const double *x, const double *y, size_t nr);

#endif
