/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem-bench-vm: the cases by the KVM interface against the kernel that it runs on, and against gmem linked in, in
 * one file that needs nothing else: for a virtual machine whose clock counts instructions, where both are software
 * that can be compared to the last thousandth.
 */
#include "bench/report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/kvm.h"

#define USAGE                                                                       \
	"Usage: gmem-bench-vm [OPTION...] [CASE...]\n"                              \
	"Measure gmem, and the kernel this machine runs, by the same cases.\n\n"    \
	"  -i         the clock counts instructions, one each nanosecond\n"         \
	"  -t         lines of fields with tabs between them, for programs\n"       \
	"  -l         only tell which cases there are\n"                            \
	"  -n ROUNDS  of each way, instead of a time\n"                             \
	"  -s SECONDS to measure each way of a case (0.05)\n"                       \
	"  -o WAY     this way alone: gmem, kernel, memfd...; may be given again\n" \
	"  -p PROFILE the kernel that gmem answers like\n"

#define EXIT_USAGE 2

struct session {
	struct bench_options options;
	bool tabs;
	int failures;
};

static const char *only[8];
static size_t nr_only;
static const char *profile;

/* ---- the host: this process, and the ways that were asked for ------------------------------- */

static bool is_wanted(const char *way)
{
	for (size_t i = 0; i < nr_only; i++)
		if (strcmp(only[i], way) == 0)
			return true;
	return !nr_only;
}

static int open_wanted(struct bench_run *r)
{
	if (!is_wanted(r->way->name))
		return bench_refuse(r, -EOPNOTSUPP, "not asked for");
	/* Nothing of ours is open between two cases. */
	if (r->way->ours)
		kvm_set_profile(r->way->profile ? r->way->profile : profile);
	return bench_here.open(r);
}

static struct bench_host host;

/* ---- reports ------------------------------------------------------------------------------------ */

static void print_head(const struct session *s)
{
	if (s->tabs)
		printf("case\tparam\tway\tunit\tnr\tmedian\tmin\tp90\tp99\tmax\treason\n");
	else
		printf("%-32s %14s %14s %8s   %s\n", "case", "gmem", "kernel", "gmem is", "beside");
}

/* "attr/uniform/4K", or "guest/two 2" of a series. */
static void name_of(const struct bench_result *r, size_t point, char name[64])
{
	if (r->bcase->axis)
		snprintf(name, 64, "%s %llu", r->bcase->name,
			 (unsigned long long)r->points[point].param);
	else
		snprintf(name, 64, "%s", r->bcase->name);
}

static bool counts_instructions(const struct bench_result *r)
{
	return bench_clock_is_instructions() && r->bcase->unit <= BENCH_RATE;
}

/* Where instructions are counted a rate says how many one operation takes. */
static struct bench_stats stats_of(const struct bench_result *r, const struct bench_figure *f)
{
	struct bench_stats s = f->stats;

	if (r->bcase->unit != BENCH_RATE || !bench_clock_is_instructions() || !s.nr)
		return s;
	return (struct bench_stats){
		.nr = s.nr,
		.min = 1e9 / s.max,
		.median = 1e9 / s.median,
		.p90 = 1e9 / s.min, /* how its low values lie is not kept */
		.p99 = 1e9 / s.min,
		.max = 1e9 / s.min,
	};
}

static const char *value_text(const struct bench_result *r, const struct bench_figure *f,
			      char text[24])
{
	const struct bench_case as_time = { .unit = BENCH_TIME };

	if (!f || f->err || !f->stats.nr)
		return "-";
	return bench_format(counts_instructions(r) ? &as_time : r->bcase, stats_of(r, f).median,
			    text);
}

static const struct bench_figure *figure_of(const struct bench_result *r, size_t point,
					    const char *way)
{
	int i = bench_way_index(r->bcase, way);

	return i < 0 ? NULL : &r->points[point].figures[i];
}

/* What of the kernel's cost ours is; of a rate the other way round, so that less is better. */
static const char *ratio_text(const struct bench_result *r, const struct bench_figure *ours,
			      const struct bench_figure *kernel, char text[24])
{
	double a = ours ? ours->stats.median : 0, b = kernel ? kernel->stats.median : 0;

	if (a <= 0 || b <= 0)
		return "";
	snprintf(text, 24, "x%.3g", r->bcase->unit == BENCH_RATE ? b / a : a / b);
	return text;
}

static void print_row(const struct bench_result *r, size_t point)
{
	const struct bench_figure *ours = figure_of(r, point, "gmem");
	const struct bench_figure *kernel = figure_of(r, point, "kernel");
	char name[64], a[24], b[24], ratio[24];

	name_of(r, point, name);
	printf("%-32s %14s %14s %8s  ", name, value_text(r, ours, a), value_text(r, kernel, b),
	       ratio_text(r, ours, kernel, ratio));
	for (size_t i = 0; i < r->nr_ways; i++) {
		const struct bench_figure *f = &r->points[point].figures[i];

		if (f != ours && f != kernel)
			printf(" %s %s", f->way->name, value_text(r, f, a));
		if (f->err && is_wanted(f->way->name))
			printf(" (%s: %s)", f->way->name, f->reason);
	}
	putchar('\n');
}

static void print_tabs(const struct bench_result *r, size_t point)
{
	static const char *const units[] = { "", "time", "rate", "bytes", "ratio" };
	const char *unit = counts_instructions(r) ? "instructions" : units[r->bcase->unit];

	for (size_t i = 0; i < r->nr_ways; i++) {
		const struct bench_figure *f = &r->points[point].figures[i];
		struct bench_stats s = stats_of(r, f);

		if (!is_wanted(f->way->name))
			continue;
		printf("%s\t%llu\t%s\t%s\t%zu\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%s\n", r->bcase->name,
		       (unsigned long long)r->points[point].param, f->way->name, unit, s.nr,
		       s.median, s.min, s.p90, s.p99, s.max, f->err ? f->reason : "");
	}
}

/* What the kernel cannot do is its own affair. */
static void count_failures(struct session *s, const struct bench_result *r, size_t point)
{
	for (size_t i = 0; i < r->nr_ways; i++) {
		const struct bench_figure *f = &r->points[point].figures[i];

		if (f->way->ours && f->err && f->err != -EOPNOTSUPP)
			s->failures++;
	}
}

static void measure(const struct bench_case *c, void *arg)
{
	static struct bench_result result;
	struct session *s = arg;

	bench_measure(c, &s->options, &result);
	for (size_t i = 0; i < result.nr_points; i++) {
		count_failures(s, &result, i);
		if (s->tabs)
			print_tabs(&result, i);
		else
			print_row(&result, i);
	}
	fflush(stdout);
}

static void list(const struct bench_case *c, void *arg)
{
	printf("%-32s %s\n", c->name, c->what);
}

/* ---- options ------------------------------------------------------------------------------------ */

static bool add_only(const char *way)
{
	if (nr_only == sizeof(only) / sizeof(only[0]))
		return false;
	only[nr_only++] = way;
	return true;
}

static bool read_option(struct session *s, int option, bool *list_only)
{
	switch (option) {
	case 'i':
		bench_clock_set_instructions();
		return true;
	case 't':
		return s->tabs = true;
	case 'l':
		return *list_only = true;
	case 'n':
		s->options.rounds = (unsigned int)strtoul(optarg, NULL, 10);
		return s->options.rounds > 0;
	case 's':
		s->options.seconds = strtod(optarg, NULL);
		return s->options.seconds > 0;
	case 'o':
		return add_only(optarg);
	case 'p':
		profile = optarg;
		return kvm_set_profile(profile) == 0;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	struct session s = { .options = { .host = &host, .seconds = 0.05 } };
	bool list_only = false;
	int option;

	host = bench_here;
	host.open = open_wanted;
	while ((option = getopt(argc, argv, "itln:s:o:p:")) != -1) {
		if (read_option(&s, option, &list_only))
			continue;
		fputs(USAGE, stderr);
		return EXIT_USAGE;
	}
	if (!list_only)
		print_head(&s);
	if (!bench_for_each(&argv[optind], (size_t)(argc - optind), list_only ? list : measure,
			    &s)) {
		fprintf(stderr, "gmem-bench-vm: no case of that name\n");
		return EXIT_USAGE;
	}
	return s.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
