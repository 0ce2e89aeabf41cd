/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Goals, and whether they are met. */
#include "bench/measure.h"

#include <string.h>

bool bench_has_goal(const struct bench_case *c, int number)
{
	return number < BENCH_MAX_GOALS && c->goals[number].limit > 0;
}

int bench_way_index(const struct bench_case *c, const char *name)
{
	if (!name)
		return 0;
	for (int i = 0; i < BENCH_MAX_WAYS && c->ways[i].name; i++)
		if (strcmp(c->ways[i].name, name) == 0)
			return i;
	return -1;
}

const char *bench_verdict_text(enum bench_verdict v)
{
	static const char *const texts[] = { "?", "met", "met at best", "missed" };

	return texts[v];
}

/* What of a goal's value is measured by the median, and by the best round. */
struct held {
	double typical, best;
};

static bool more_is_better(const struct bench_case *c, const struct bench_goal *g)
{
	if (g->stat == BENCH_SPEEDUP)
		return true;
	return c->unit == BENCH_RATE && g->stat != BENCH_GROWTH;
}

static bool read_figure(const struct bench_result *r, size_t point, int way, enum bench_stat stat,
			struct held *h)
{
	const struct bench_figure *f = way < 0 ? NULL : &r->points[point].figures[way];

	if (!f || f->err || !f->stats.nr)
		return false;
	h->typical = stat == BENCH_P99 ? f->stats.p99 : f->stats.median;
	h->best = stat == BENCH_P99 ? f->stats.p99 : bench_best(r->bcase, &f->stats);
	return true;
}

static bool at_point(const struct bench_result *r, size_t point, const struct bench_goal *g,
		     struct held *h)
{
	int way = bench_way_index(r->bcase, g->way), other = bench_way_index(r->bcase, g->beside);
	const struct bench_figure *f;
	struct held beside;

	if (!read_figure(r, point, way, g->stat, h))
		return false;
	if (!g->beside)
		return true;
	if (!read_figure(r, point, other, g->stat, &beside) || beside.typical <= 0)
		return false;
	f = &r->points[point].figures[way];
	h->best = g->difference ? h->best - beside.best : h->best / beside.best;
	if (g->stat == BENCH_MEDIAN)
		h->typical = g->difference ? f->difference[other] : f->ratio[other];
	else
		h->typical =
			g->difference ? h->typical - beside.typical : h->typical / beside.typical;
	return true;
}

static enum bench_verdict hold(const struct bench_result *r, const struct bench_goal *g,
			       struct held h)
{
	bool more = more_is_better(r->bcase, g);

	if (more ? h.typical >= g->limit : h.typical <= g->limit)
		return BENCH_MET;
	return (more ? h.best >= g->limit : h.best <= g->limit) ? BENCH_MET_AT_BEST : BENCH_MISSED;
}

static enum bench_verdict judge_points(const struct bench_result *r, const struct bench_goal *g,
				       double *value)
{
	enum bench_verdict worst = BENCH_UNKNOWN;
	bool more = more_is_better(r->bcase, g);

	for (size_t i = 0; i < r->nr_points; i++) {
		enum bench_verdict v;
		struct held h;

		if (g->param && r->points[i].param != g->param)
			continue;
		if (!at_point(r, i, g, &h))
			return BENCH_UNKNOWN;
		v = hold(r, g, h);
		if (worst == BENCH_UNKNOWN || (more ? h.typical < *value : h.typical > *value))
			*value = h.typical;
		if (v > worst)
			worst = v;
	}
	return worst;
}

static enum bench_verdict judge_growth(const struct bench_result *r, const struct bench_goal *g,
				       double *value)
{
	int way = bench_way_index(r->bcase, g->way);
	struct held h;

	if (way < 0 || !bench_result_growth(r, (size_t)way, false, &h.typical) ||
	    !bench_result_growth(r, (size_t)way, true, &h.best))
		return BENCH_UNKNOWN;
	*value = h.typical;
	return hold(r, g, h);
}

static enum bench_verdict judge_speedup(const struct bench_result *r, const struct bench_goal *g,
					double *value)
{
	int way = bench_way_index(r->bcase, g->way);
	struct held one, many;

	if (!read_figure(r, 0, way, BENCH_MEDIAN, &one) || one.typical <= 0)
		return BENCH_UNKNOWN;
	for (size_t i = 1; i < r->nr_points; i++) {
		if (r->points[i].param != g->param || !read_figure(r, i, way, BENCH_MEDIAN, &many))
			continue;
		many.typical /= one.typical;
		many.best /= one.best;
		*value = many.typical;
		return hold(r, g, many);
	}
	return BENCH_UNKNOWN;
}

enum bench_verdict bench_judge(const struct bench_result *r, const struct bench_goal *g,
			       double *value)
{
	*value = 0;
	if (g->size && g->size != r->size)
		return BENCH_UNKNOWN;
	switch (g->stat) {
	case BENCH_GROWTH:
		return judge_growth(r, g, value);
	case BENCH_SPEEDUP:
		return judge_speedup(r, g, value);
	case BENCH_MEDIAN:
	case BENCH_P99:
	default:
		return judge_points(r, g, value);
	}
}
