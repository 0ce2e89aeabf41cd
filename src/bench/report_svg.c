/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The charts of a run, one below the other:
 *
 *	goals	 for each goal a bar from the line of the goal: to the left it is met, by so many times
 *	times	 for each case the medians of its ways on one axis, with whiskers from the best to the 90th percentile
 *	series	 a small chart each, logarithmic both ways: an item that costs the same is a level line
 */
#include "bench/report.h"
#include "bench/svg.h"

#include <string.h>

#define WIDTH 1000.0
#define LABELS 330.0 /* width of the names */
#define RIGHT 190.0  /* and of what is said behind */
#define ROW 20.0
#define HEAD 60.0
#define CELL_WIDTH (WIDTH / 2)
#define CELL_HEIGHT 300.0

static double grid(FILE *to, const struct svg_scale *s, double top, double bottom,
		   const struct bench_case *c)
{
	char text[24];

	for (double v = s->low; v <= s->high * 1.001; v *= 10) {
		double x = svg_at(s, v);

		svg_line(to, x, top, x, bottom, 0.4, "1 3");
		if (c)
			bench_format(c, v, text);
		else
			snprintf(text, sizeof(text), "x%g", v);
		svg_text(to, x, top - 4, SVG_MIDDLE, 10, text);
	}
	return top;
}

/* ---- goals ------------------------------------------------------------------------------------- */

/* What was reached by what was to be reached: below 1 is better. Growth is no ratio: its limit is an exponent. */
static bool of_goal(const struct bench_result *r, const struct bench_goal *g, double *part,
		    enum bench_verdict *v)
{
	bool more = g->stat == BENCH_SPEEDUP || r->bcase->unit == BENCH_RATE;
	double value;

	*v = bench_judge(r, g, &value);
	if (*v == BENCH_UNKNOWN || g->stat == BENCH_GROWTH || value <= 0)
		return false;
	*part = more ? g->limit / value : value / g->limit;
	return true;
}

static void draw_goal(FILE *to, const struct bench_result *r, const struct bench_goal *g,
		      const struct svg_scale *s, double y)
{
	enum bench_verdict v;
	char goal[64], held[24], text[120];
	double part, value, one = svg_at(s, 1), x;

	if (!of_goal(r, g, &part, &v))
		return;
	bench_judge(r, g, &value);
	x = svg_at(s, part);
	snprintf(text, sizeof(text), "%s%s%s", r->bcase->name, g->way ? ", " : "",
		 g->way ? g->way : "");
	svg_text(to, LABELS - 8, y + 13, SVG_END, 11, text);
	svg_bar(to, x < one ? x : one, y + 4, x < one ? one - x : x - one, ROW - 8,
		v == BENCH_MISSED ? "black"
		: v == BENCH_MET  ? "#dddddd"
				  : "#888888");
	snprintf(text, sizeof(text), "%s (%s)", bench_format_held(r->bcase, g, value, held),
		 bench_format_goal(r->bcase, g, goal));
	svg_text(to, WIDTH - RIGHT + 8, y + 13, SVG_START, 11, text);
}

/* Draws if to is not NULL. Returns how high it is. */
static double goals_chart(FILE *to, const struct bench_report *r, double top)
{
	struct svg_scale s = { 0.01, 10, LABELS, WIDTH - RIGHT };
	double y = top + HEAD;
	unsigned int nr = 0;

	for (size_t i = 0; i < r->nr; i++) {
		for (int g = 0; bench_has_goal(r->results[i].bcase, g); g++) {
			enum bench_verdict v;
			double part;

			if (!of_goal(&r->results[i], &r->results[i].bcase->goals[g], &part, &v))
				continue;
			if (to)
				draw_goal(to, &r->results[i], &r->results[i].bcase->goals[g], &s,
					  y + nr * ROW);
			nr++;
		}
	}
	if (!nr)
		return 0;
	if (to) {
		svg_text(
			to, 20, top + 22, SVG_START, 15,
			"Reached, by the goal: left of the line is better (light: met; grey: by the best "
			"round; black: missed)");
		grid(to, &s, y, y + nr * ROW, NULL);
		svg_line(to, svg_at(&s, 1), y, svg_at(&s, 1), y + nr * ROW, 1.5, NULL);
	}
	return HEAD + nr * ROW + 20;
}

/* ---- times ------------------------------------------------------------------------------------- */

/* A way has the same mark everywhere. */
static const char *const mark_names[] = { "gmem", "library", "host", "memfd", "raw", "plain" };
#define NR_MARKS (sizeof(mark_names) / sizeof(mark_names[0]))

static unsigned int mark_of(const char *name)
{
	unsigned int i = 0;

	while (i < NR_MARKS - 1 && strcmp(mark_names[i], name) != 0)
		i++;
	return i;
}

/* Names that a chart has, each once. */
struct names {
	const char *names[NR_MARKS + 2];
	unsigned int nr;
};

static void add_name(struct names *n, const char *name)
{
	for (unsigned int i = 0; i < n->nr; i++)
		if (strcmp(n->names[i], name) == 0)
			return;
	if (n->nr < NR_MARKS + 2)
		n->names[n->nr++] = name;
}

static void legend(FILE *to, const struct names *n, double x, double y)
{
	for (unsigned int i = 0; i < n->nr; i++) {
		svg_mark(to, x, y - 4, mark_of(n->names[i]));
		svg_text(to, x + 9, y, SVG_START, 11, n->names[i]);
		x += 85;
	}
}

static bool has_figure(const struct bench_figure *f)
{
	return !f->err && f->stats.nr && f->stats.median > 0;
}

static void draw_times(FILE *to, const struct bench_result *r, const struct svg_scale *s, double y)
{
	double middle = y + ROW / 2;

	svg_text(to, LABELS - 8, middle + 4, SVG_END, 11, r->bcase->name);
	for (size_t way = r->nr_ways; way-- > 0;) {
		const struct bench_figure *f = &r->points[0].figures[way];

		if (!has_figure(f))
			continue;
		svg_line(to, svg_at(s, f->stats.min), middle, svg_at(s, f->stats.p90), middle, 1,
			 NULL);
		svg_mark(to, svg_at(s, f->stats.median), middle, mark_of(f->way->name));
	}
}

static bool is_time(const struct bench_result *r)
{
	return !r->bcase->axis && r->bcase->unit == BENCH_TIME;
}

static struct svg_scale scale_of_times(const struct bench_report *r, struct names *n)
{
	double low = 0, high = 0;

	for (size_t i = 0; i < r->nr; i++) {
		for (size_t way = 0; is_time(&r->results[i]) && way < r->results[i].nr_ways;
		     way++) {
			const struct bench_figure *f = &r->results[i].points[0].figures[way];

			if (!has_figure(f))
				continue;
			add_name(n, f->way->name);
			low = low == 0 || f->stats.min < low ? f->stats.min : low;
			high = f->stats.p90 > high ? f->stats.p90 : high;
		}
	}
	return svg_scale(low, high, LABELS, WIDTH - 40);
}

static double times_chart(FILE *to, const struct bench_report *r, double top)
{
	const struct bench_case *unit = NULL;
	struct names n = { .nr = 0 };
	struct svg_scale s = scale_of_times(r, &n);
	double y = top + HEAD;
	unsigned int nr = 0;

	for (size_t i = 0; i < r->nr; i++) {
		if (!is_time(&r->results[i]))
			continue;
		unit = r->results[i].bcase;
		if (to)
			draw_times(to, &r->results[i], &s, y + nr * ROW);
		nr++;
	}
	if (!nr)
		return 0;
	if (to) {
		svg_text(
			to, 20, top + 22, SVG_START, 15,
			"Times of an operation: median, from the best round to the 90th percentile");
		legend(to, &n, 20, top + 42);
		grid(to, &s, y, y + nr * ROW, unit);
	}
	return HEAD + nr * ROW + 20;
}

/* ---- series ------------------------------------------------------------------------------------ */

static struct svg_scale scale_of_values(const struct bench_result *r, double from, double to)
{
	double low = 0, high = 0;

	for (size_t i = 0; i < r->nr_points; i++) {
		for (size_t way = 0; way < r->nr_ways; way++) {
			const struct bench_figure *f = &r->points[i].figures[way];

			if (!has_figure(f))
				continue;
			low = low == 0 || f->stats.min < low ? f->stats.min : low;
			high = f->stats.p90 > high ? f->stats.p90 : high;
		}
	}
	return svg_scale(low, high, from, to);
}

static void draw_curve(FILE *to, const struct bench_result *r, size_t way,
		       const struct svg_scale *sx, const struct svg_scale *sy)
{
	static const char *const dashes[] = { NULL, "6 3", "2 3", "8 3 2 3", "1 2", "10 4" };
	double last_x = 0, last_y = 0;
	bool first = true;

	for (size_t i = 0; i < r->nr_points; i++) {
		const struct bench_figure *f = &r->points[i].figures[way];
		double x, y;

		if (!has_figure(f))
			continue;
		x = svg_at(sx, (double)r->points[i].param);
		y = svg_at(sy, f->stats.median);
		if (!first)
			svg_line(to, last_x, last_y, x, y, 1.2, dashes[way % 6]);
		svg_line(to, x, svg_at(sy, f->stats.min), x, svg_at(sy, f->stats.p90), 0.6, NULL);
		svg_mark(to, x, y, mark_of(f->way->name));
		last_x = x;
		last_y = y;
		first = false;
	}
}

static void draw_axes(FILE *to, const struct bench_result *r, const struct svg_scale *sx,
		      const struct svg_scale *sy)
{
	char text[48];

	for (double v = sy->low; v <= sy->high * 1.001; v *= 10) {
		svg_line(to, sx->from, svg_at(sy, v), sx->to, svg_at(sy, v), 0.4, "1 3");
		svg_text(to, sx->from - 5, svg_at(sy, v) + 4, SVG_END, 10,
			 bench_format(r->bcase, v, text));
	}
	for (size_t i = 0; i < r->nr_points; i++) {
		double x = svg_at(sx, (double)r->points[i].param);

		svg_line(to, x, sy->from, x, sy->from + 4, 0.7, NULL);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)r->points[i].param);
		svg_text(to, x, sy->from + 15, SVG_MIDDLE, 10, text);
	}
	svg_text(to, (sx->from + sx->to) / 2, sy->from + 30, SVG_MIDDLE, 11, r->bcase->axis_name);
	svg_line(to, sx->from, sy->from, sx->to, sy->from, 1, NULL);
	svg_line(to, sx->from, sy->from, sx->from, sy->to, 1, NULL);
}

static void draw_series(FILE *to, const struct bench_result *r, double left, double top)
{
	double first = (double)r->points[0].param, last = (double)r->points[r->nr_points - 1].param;
	struct svg_scale sx = { first, last > first ? last : first * 10, left + 80,
				left + CELL_WIDTH - 30 };
	struct svg_scale sy = scale_of_values(r, top + CELL_HEIGHT - 50, top + 55);
	struct names n = { .nr = 0 };

	svg_text(to, left + 20, top + 20, SVG_START, 13, r->bcase->name);
	for (size_t i = 0; i < r->nr_points * r->nr_ways; i++) {
		const struct bench_figure *f = &r->points[i / r->nr_ways].figures[i % r->nr_ways];

		if (has_figure(f))
			add_name(&n, f->way->name);
	}
	legend(to, &n, left + 84, top + 40);
	draw_axes(to, r, &sx, &sy);
	for (size_t way = 0; way < r->nr_ways; way++)
		draw_curve(to, r, way, &sx, &sy);
}

static double series_charts(FILE *to, const struct bench_report *r, double top)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < r->nr; i++) {
		if (!r->results[i].bcase->axis)
			continue;
		if (to)
			draw_series(to, &r->results[i], nr % 2 ? CELL_WIDTH : 0,
				    top + nr / 2 * CELL_HEIGHT);
		nr++;
	}
	return (nr + 1) / 2 * CELL_HEIGHT;
}

void bench_report_svg(FILE *to, const struct bench_report *r)
{
	double goals = 40 + goals_chart(NULL, r, 0), times = goals + times_chart(NULL, r, 0);
	char text[240];

	svg_begin(to, WIDTH, times + series_charts(NULL, r, 0) + 10);
	snprintf(text, sizeof(text), "gmem %s, %s, %s, %ld x %s", r->machine.version,
		 r->machine.date, r->machine.kernel, r->machine.nr_processors,
		 r->machine.processor);
	svg_text(to, 20, 24, SVG_START, 12, text);
	goals_chart(to, r, 40);
	times_chart(to, r, goals);
	series_charts(to, r, times);
	svg_end(to);
}
