/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The run as Markdown tables, a line for each case: single figures first, then series. */
#include "bench/report.h"

static const char *with_spread(const struct bench_case *c, const struct bench_stats *s,
			       char text[80])
{
	char median[24], min[24], p90[24];

	snprintf(text, 80, "%s (%s - %s)", bench_format(c, s->median, median),
		 bench_format(c, s->min, min), bench_format(c, s->p90, p90));
	return text;
}

static void put_figure(FILE *to, const struct bench_result *r, const struct bench_figure *f)
{
	char text[80];

	if (f->err || !f->stats.nr)
		fprintf(to, "- (%s)", f->reason);
	else
		fputs(with_spread(r->bcase, &f->stats, text), to);
}

/* All ways but the first, each with how much of it ours takes. */
static void put_others(FILE *to, const struct bench_result *r)
{
	const struct bench_figure *ours = &r->points[0].figures[0];

	for (size_t way = 1; way < r->nr_ways; way++) {
		const struct bench_figure *f = &r->points[0].figures[way];

		fprintf(to, "%s%s ", way > 1 ? "<br>" : "", f->way->name);
		put_figure(to, r, f);
		if (!f->way->ours && ours->ratio[way] > 0)
			fprintf(to, " **x%.2f**", ours->ratio[way]);
	}
}

static void put_goals(FILE *to, const struct bench_result *r)
{
	for (int i = 0; bench_has_goal(r->bcase, i); i++) {
		const struct bench_goal *g = &r->bcase->goals[i];
		enum bench_verdict v;
		char goal[64], held[24];
		double value;

		v = bench_judge(r, g, &value);
		fprintf(to, "%s%s%s%s: %s", i ? "<br>" : "", g->way ? g->way : "",
			g->way ? " " : "", bench_format_goal(r->bcase, g, goal),
			bench_verdict_text(v));
		if (v != BENCH_UNKNOWN)
			fprintf(to, " (%s)", bench_format_held(r->bcase, g, value, held));
	}
}

static void put_single(FILE *to, const struct bench_result *r)
{
	fprintf(to, "| %s | %s | %s ", r->bcase->name, r->bcase->what, r->bcase->ways[0].name);
	put_figure(to, r, &r->points[0].figures[0]);
	fputs(" | ", to);
	put_others(to, r);
	fputs(" | ", to);
	put_goals(to, r);
	fputs(" |\n", to);
}

static void put_way_of_series(FILE *to, const struct bench_result *r, size_t way)
{
	double growth;

	fprintf(to, "%s%s", way ? "<br>" : "", r->bcase->ways[way].name);
	for (size_t i = 0; i < r->nr_points; i++) {
		const struct bench_figure *f = &r->points[i].figures[way];
		char median[24];

		if (f->err && !i)
			fprintf(to, " - (%s)", f->reason);
		if (!f->err)
			fprintf(to, "%s %llu: %s", i ? "," : "",
				(unsigned long long)r->points[i].param,
				bench_format(r->bcase, f->stats.median, median));
	}
	if (bench_result_growth(r, way, &growth))
		fprintf(to, "; ~ %s^%.2f", r->bcase->axis_name, growth);
}

static void put_series(FILE *to, const struct bench_result *r)
{
	fprintf(to, "| %s | %s | ", r->bcase->name, r->bcase->what);
	for (size_t way = 0; way < r->nr_ways; way++)
		put_way_of_series(to, r, way);
	fputs(" | ", to);
	put_goals(to, r);
	fputs(" |\n", to);
}

static bool has(const struct bench_report *r, bool series)
{
	for (size_t i = 0; i < r->nr; i++)
		if (!r->results[i].bcase->axis != series)
			return true;
	return false;
}

void bench_report_markdown(FILE *to, const struct bench_report *r)
{
	fprintf(to, "gmem %s, %s, %s, %ld x %s%s\n", r->machine.version, r->machine.date,
		r->machine.kernel, r->machine.nr_processors, r->machine.processor,
		bench_clock_is_instructions() ? "; in instructions" : "");
	if (has(r, false))
		fputs("\n| case | what | ours: median (min - p90) | beside it, and ours is **x** of it | goal |\n"
		      "|---|---|---|---|---|\n",
		      to);
	for (size_t i = 0; i < r->nr; i++)
		if (!r->results[i].bcase->axis)
			put_single(to, &r->results[i]);
	if (has(r, true))
		fputs("\n| series | what | medians, and how they grow | goal |\n|---|---|---|---|\n",
		      to);
	for (size_t i = 0; i < r->nr; i++)
		if (r->results[i].bcase->axis)
			put_series(to, &r->results[i]);
}
