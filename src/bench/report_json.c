/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The run as JSON; gmem(1) tells what is in it. */
#include "bench/report.h"

#include <json.h>

static void add(struct json_object *to, const char *name, struct json_object *value)
{
	json_object_object_add(to, name, value);
}

static void add_text(struct json_object *to, const char *name, const char *value)
{
	add(to, name, json_object_new_string(value));
}

static void add_number(struct json_object *to, const char *name, double value)
{
	add(to, name, json_object_new_double(value));
}

static const char *unit_name(const struct bench_case *c)
{
	static const char *const names[] = { "", "ns", "per second", "bytes", "ratio" };

	return c->unit == BENCH_TIME && bench_clock_is_instructions() ? "instructions"
								      : names[c->unit];
}

static struct json_object *of_figure(const struct bench_point *p, size_t way)
{
	const struct bench_figure *f = &p->figures[way], *ours = &p->figures[0];
	struct json_object *o = json_object_new_object();

	add_text(o, "way", f->way->name);
	add(o, "ours", json_object_new_boolean(f->way->ours));
	if (f->err) {
		add_text(o, "error", f->reason);
		return o;
	}
	add(o, "values", json_object_new_uint64(f->stats.nr));
	add(o, "operations", json_object_new_uint64(f->nr));
	add_number(o, "median", f->stats.median);
	add_number(o, "min", f->stats.min);
	add_number(o, "p90", f->stats.p90);
	add_number(o, "p99", f->stats.p99);
	add_number(o, "max", f->stats.max);
	if (!f->way->ours && ours->ratio[way] > 0)
		add_number(o, "ours_is", ours->ratio[way]);
	return o;
}

static struct json_object *of_point(const struct bench_result *r, size_t point)
{
	struct json_object *o = json_object_new_object(), *ways = json_object_new_array();

	if (r->bcase->axis)
		add(o, "at", json_object_new_uint64(r->points[point].param));
	for (size_t way = 0; way < r->nr_ways; way++)
		json_object_array_add(ways, of_figure(&r->points[point], way));
	add(o, "ways", ways);
	return o;
}

static struct json_object *of_growth(const struct bench_result *r)
{
	struct json_object *o = json_object_new_object();
	double growth;

	for (size_t way = 0; way < r->nr_ways; way++)
		if (bench_result_growth(r, way, false, &growth))
			add_number(o, r->bcase->ways[way].name, growth);
	return o;
}

static struct json_object *of_goal(const struct bench_result *r, const struct bench_goal *g)
{
	struct json_object *o = json_object_new_object();
	enum bench_verdict v;
	char text[64];
	double value;

	v = bench_judge(r, g, &value);
	add_text(o, "goal", bench_format_goal(r->bcase, g, text));
	add_number(o, "limit", g->limit);
	add_text(o, "way", g->way ? g->way : r->bcase->ways[0].name);
	if (g->beside)
		add_text(o, "beside", g->beside);
	if (v != BENCH_UNKNOWN)
		add_number(o, "value", value);
	add_text(o, "verdict", bench_verdict_text(v));
	return o;
}

static struct json_object *of_result(const struct bench_result *r)
{
	struct json_object *o = json_object_new_object(), *points = json_object_new_array(),
			   *goals = json_object_new_array();

	add_text(o, "case", r->bcase->name);
	add_text(o, "what", r->bcase->what);
	add_text(o, "unit", unit_name(r->bcase));
	if (r->bcase->per)
		add_text(o, "per", r->bcase->per);
	if (r->bcase->axis)
		add_text(o, "axis", r->bcase->axis_name);
	for (size_t i = 0; i < r->nr_points; i++)
		json_object_array_add(points, of_point(r, i));
	add(o, "points", points);
	if (r->bcase->axis)
		add(o, "growth", of_growth(r));
	for (int i = 0; bench_has_goal(r->bcase, i); i++)
		json_object_array_add(goals, of_goal(r, &r->bcase->goals[i]));
	add(o, "goals", goals);
	return o;
}

void bench_report_json(FILE *to, const struct bench_report *r)
{
	struct json_object *all = json_object_new_object(), *cases = json_object_new_array();

	add_text(all, "version", r->machine.version);
	add_text(all, "date", r->machine.date);
	add_text(all, "kernel", r->machine.kernel);
	add_text(all, "processor", r->machine.processor);
	add(all, "processors", json_object_new_int64(r->machine.nr_processors));
	add_number(all, "load", r->machine.load);
	add_number(all, "load_end", r->machine.load_end);
	for (size_t i = 0; i < r->nr; i++)
		json_object_array_add(cases, of_result(&r->results[i]));
	add(all, "cases", cases);
	fprintf(to, "%s\n", json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY));
	json_object_put(all);
}
