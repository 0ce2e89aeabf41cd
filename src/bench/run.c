/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a way calls while it runs, and the host that runs ways in this process. */
#include "bench/measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void bench_start(struct bench_run *r)
{
	r->started = bench_clock();
}

void bench_stop(struct bench_run *r)
{
	r->elapsed += bench_clock() - r->started;
}

void bench_value(struct bench_run *r, double value)
{
	if (r->nr_values == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		double *grown = realloc(r->values, room * sizeof(*grown));

		if (!grown)
			abort();
		r->values = grown;
		r->room = room;
	}
	r->values[r->nr_values++] = value;
}

int bench_refuse(struct bench_run *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->reason, sizeof(r->reason), fmt, ap);
	va_end(ap);
	return err;
}

static int here_open(struct bench_run *r)
{
	const struct bench_ops *ops = r->way->ops;

	if (r->way->place != BENCH_PLAIN)
		return bench_refuse(r, -EOPNOTSUPP, "not in a program of its own");
	return ops->setup ? ops->setup(r) : 0;
}

static int here_round(struct bench_run *r)
{
	return r->way->ops->round(r);
}

static void here_close(struct bench_run *r)
{
	if (r->way->ops->teardown)
		r->way->ops->teardown(r);
}

const struct bench_host bench_here = {
	.open = here_open,
	.round = here_round,
	.close = here_close,
};
