/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The table. A case is a line for each way; beside what is beside ours stands how much of it ours takes. A series is a
 * line for each value of its axis and way, and then how it grows.
 */
#include "bench/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ROW "%-34s %-9s %11s %11s %11s  %-8s"

/* "model name : ..." of the first processor. */
static void processor(char name[96])
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(name, 96, "unknown processor");
	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		snprintf(name, 96, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

static double load(void)
{
	double minutes[1];

	return getloadavg(minutes, 1) == 1 ? minutes[0] : -1;
}

void bench_machine(struct bench_machine *m, const char *version)
{
	time_t now = time(NULL);
	struct utsname u;

	uname(&u);
	processor(m->processor);
	snprintf(m->version, sizeof(m->version), "%s", version);
	snprintf(m->kernel, sizeof(m->kernel), "Linux %.60s", u.release);
	strftime(m->date, sizeof(m->date), "%Y-%m-%d", gmtime(&now));
	m->nr_processors = sysconf(_SC_NPROCESSORS_ONLN);
	m->load = load();
	m->load_end = m->load;
}

void bench_machine_end(struct bench_machine *m)
{
	m->load_end = load();
}

void bench_print_machine(FILE *to, const struct bench_machine *m)
{
	fprintf(to, "gmem %s, %s, %s, %ld x %s", m->version, m->date, m->kernel, m->nr_processors,
		m->processor);
	if (m->load >= 0)
		fprintf(to, ", load %.1f", m->load);
	fprintf(to, "%s\n\n", bench_clock_is_instructions() ? "; in instructions" : "");
}

void bench_print_head(FILE *to)
{
	fprintf(to, ROW " %s\n", "case", "way", "median", "min", "p90", "ours is", "goal");
}

/* How much ours takes of what is beside it. */
static void ratio_text(const struct bench_point *p, size_t way, char text[16])
{
	text[0] = '\0';
	if (!p->figures[way].way->ours && p->figures[0].ratio[way] > 0)
		snprintf(text, 16, "x%.2f", p->figures[0].ratio[way]);
}

/* The goals that belong to the line of a way: its own absolute ones, and those that hold ours against it. */
static bool goal_is_of(const struct bench_result *r, const struct bench_goal *g, size_t way)
{
	return bench_way_index(r->bcase, g->beside ? g->beside : g->way) == (int)way;
}

static void print_goal(FILE *to, const struct bench_result *r, const struct bench_goal *g,
		       struct bench_tally *t)
{
	enum bench_verdict v;
	char text[64], held[24];
	double value;

	v = bench_judge(r, g, &value);
	fprintf(to, "%s%s%s: %s", g->way ? g->way : "", g->way ? " " : "",
		bench_format_goal(r->bcase, g, text), bench_verdict_text(v));
	if (v == BENCH_UNKNOWN)
		fputs("; ", to);
	else
		fprintf(to, " (%s); ", bench_format_held(r->bcase, g, value, held));
	t->met += v == BENCH_MET;
	t->at_best += v == BENCH_MET_AT_BEST;
	t->missed += v == BENCH_MISSED;
	t->unknown += v == BENCH_UNKNOWN;
}

static void print_goals(FILE *to, const struct bench_result *r, size_t way, struct bench_tally *t)
{
	for (int i = 0; bench_has_goal(r->bcase, i); i++) {
		const struct bench_goal *g = &r->bcase->goals[i];

		if (goal_is_of(r, g, way))
			print_goal(to, r, g, t);
	}
}

static void print_figure(FILE *to, const struct bench_result *r, const struct bench_point *p,
			 size_t way, const char *name)
{
	const struct bench_figure *f = &p->figures[way];
	char median[24], min[24], p90[24], ratio[16];

	if (f->err || !f->stats.nr) {
		fprintf(to, "%-34s %-9s - %s ", name, f->way->name, f->reason);
		return;
	}
	ratio_text(p, way, ratio);
	fprintf(to, ROW " ", name, f->way->name, bench_format(r->bcase, f->stats.median, median),
		bench_format(r->bcase, f->stats.min, min),
		bench_format(r->bcase, f->stats.p90, p90), ratio);
}

/* A way without any figure is worth one line. */
static bool is_absent(const struct bench_result *r, size_t way)
{
	for (size_t i = 0; i < r->nr_points; i++)
		if (!r->points[i].figures[way].err)
			return false;
	return true;
}

static void print_points(FILE *to, const struct bench_result *r)
{
	for (size_t i = 0; i < r->nr_points; i++) {
		char name[48];

		snprintf(name, sizeof(name), "  %s %llu", r->bcase->axis_name,
			 (unsigned long long)r->points[i].param);
		for (size_t way = 0; way < r->nr_ways; way++) {
			if (is_absent(r, way) && i)
				continue;
			print_figure(to, r, &r->points[i], way, way ? "" : name);
			fputc('\n', to);
		}
	}
}

static void print_growths(FILE *to, const struct bench_result *r, struct bench_tally *t)
{
	double growth;

	for (size_t way = 0; way < r->nr_ways; way++) {
		if (!bench_result_growth(r, way, false, &growth))
			continue;
		fprintf(to, "  %-32s %-9s ~ %s^%.2f  ", "growth", r->bcase->ways[way].name,
			r->bcase->axis_name, growth);
		print_goals(to, r, way, t);
		fputc('\n', to);
	}
}

void bench_print(FILE *to, const struct bench_result *r, struct bench_tally *t)
{
	if (r->bcase->axis) {
		fprintf(to, "%s\n", r->bcase->name);
		print_points(to, r);
		print_growths(to, r, t);
	}
	for (size_t way = 0; !r->bcase->axis && way < r->nr_ways; way++) {
		print_figure(to, r, &r->points[0], way, way ? "" : r->bcase->name);
		print_goals(to, r, way, t);
		fputc('\n', to);
	}
	fflush(to);
}

void bench_print_end(FILE *to, const struct bench_tally *t)
{
	fprintf(to, "\ngoals: %u met, %u met at best, %u missed, %u not judged\n", t->met,
		t->at_best, t->missed, t->unknown);
}

void bench_report_text(FILE *to, const struct bench_report *r)
{
	struct bench_tally t = { 0 };

	bench_print_machine(to, &r->machine);
	bench_print_head(to);
	for (size_t i = 0; i < r->nr; i++)
		bench_print(to, &r->results[i], &t);
	bench_print_end(to, &t);
}
