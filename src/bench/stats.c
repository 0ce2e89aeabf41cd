/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The smallest value that `percent` of all are not above. */
static double rank(const double *sorted, size_t nr, unsigned int percent)
{
	size_t n = (nr * percent + 99) / 100;

	return sorted[n ? n - 1 : 0];
}

struct bench_stats bench_stats(double *values, size_t nr)
{
	struct bench_stats s = { .nr = nr };

	if (!nr)
		return s;
	qsort(values, nr, sizeof(*values), compare);
	s.min = values[0];
	s.max = values[nr - 1];
	s.median = nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
	s.p90 = rank(values, nr, 90);
	s.p99 = rank(values, nr, 99);
	return s;
}

double bench_growth(const double *x, const double *y, size_t nr)
{
	double mean_x = 0, mean_y = 0, both = 0, square = 0;

	for (size_t i = 0; i < nr; i++) {
		mean_x += log(x[i]) / (double)nr;
		mean_y += log(y[i]) / (double)nr;
	}
	for (size_t i = 0; i < nr; i++) {
		double dx = log(x[i]) - mean_x;

		both += dx * (log(y[i]) - mean_y);
		square += dx * dx;
	}
	return square > 0 ? both / square : 0;
}
