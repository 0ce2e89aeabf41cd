/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Numbers with their units, three digits of them. */
#include "bench/report.h"

static const char *scaled(double value, double step, const char *const *units, char text[24])
{
	const char *sign = value < 0 ? "-" : "";

	value = value < 0 ? -value : value;
	while (value >= 999.5 && units[1]) {
		value /= step;
		units++;
	}
	snprintf(text, 24, "%s%.*f%s", sign,
		 value < 9.995	 ? 2
		 : value < 99.95 ? 1
				 : 0,
		 value, *units);
	return text;
}

const char *bench_format(const struct bench_case *c, double value, char text[24])
{
	static const char *const times[] = { " ns", " us", " ms", " s", NULL };
	static const char *const counts[] = { " insn", " k insn", " M insn", " G insn", NULL };
	static const char *const rates[] = { " /s", " k/s", " M/s", " G/s", NULL };
	static const char *const sizes[] = { " B", " KiB", " MiB", " GiB", " TiB", NULL };
	static const char *const plain[] = { "", NULL };

	switch (c->unit) {
	case BENCH_TIME:
		return scaled(value, 1000, bench_clock_is_instructions() ? counts : times, text);
	case BENCH_RATE:
		return scaled(value, 1000, rates, text);
	case BENCH_BYTES:
		return scaled(value, 1024, sizes, text);
	case BENCH_RATIO:
	default:
		return scaled(value, 1000, plain, text);
	}
}

const char *bench_format_goal(const struct bench_case *c, const struct bench_goal *g, char text[64])
{
	const char *stat = g->stat == BENCH_P99 ? "p99 " : "";
	char value[24];

	if (g->stat == BENCH_GROWTH)
		snprintf(text, 64, "growth <= %.2f", g->limit);
	else if (g->stat == BENCH_SPEEDUP)
		snprintf(text, 64, "at %llu >= x%.2f", (unsigned long long)g->param, g->limit);
	else if (g->beside && g->difference)
		snprintf(text, 64, "%s<= %s + %s", stat, g->beside,
			 bench_format(c, g->limit, value));
	else if (g->beside)
		snprintf(text, 64, "%s%s x%.2f %s", stat,
			 c->unit == BENCH_RATE ? ">=" : "<=", g->limit, g->beside);
	else
		snprintf(text, 64, "%s%s %s", stat,
			 c->unit == BENCH_RATE ? ">=" : "<=", bench_format(c, g->limit, value));
	return text;
}

const char *bench_format_held(const struct bench_case *c, const struct bench_goal *g, double value,
			      char text[24])
{
	if (g->stat == BENCH_GROWTH)
		snprintf(text, 24, "%.2f", value);
	else if (g->stat == BENCH_SPEEDUP || (g->beside && !g->difference))
		snprintf(text, 24, "x%.2f", value);
	else
		bench_format(c, value, text);
	return text;
}
