/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem bench: which cases, for how long, and what becomes of the figures. */
#include "bench/report.h"
#include "cmd/bench_child.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_ROUNDS 100000ul

static bool as_json, only_list;
static const char *size_text = "1024", *rounds_text, *seconds_text, *compare, *plot_file, *folder;

static const struct opt opts[] = {
	{ "list", NULL, "only tell which cases there are", .flag = &only_list },
	{ "json", NULL, "write JSON, for programs", .flag = &as_json },
	{ "plot", "FILE", "draw charts of it, too (SVG)", .value = &plot_file },
	{ "save", "FOLDER", "write bench.txt, .json and .svg there", .value = &folder },
	{ "compare", "WAY", "of what is beside ours only this: host, memfd...", .value = &compare },
	{ "seconds", "S", "to measure each way of a case (0.4)", .value = &seconds_text },
	{ "rounds", "N", "of each way, instead of a time", .value = &rounds_text },
	{ "size", "MIB", "of large ranges (1024)", .value = &size_text },
	{ 0 },
};

/* A run of the command: what was asked, and what came of it. */
struct session {
	struct bench_options options;
	struct bench_report report;
	size_t room;
	FILE *text; /* NULL: none */
	struct bench_tally tally;
	struct progress progress;
};

static void count(const struct bench_case *c, void *arg)
{
	(void)c;
	(void)arg;
}

static void measure(const struct bench_case *c, void *arg)
{
	struct session *s = arg;
	struct bench_report *rep = &s->report;

	if (rep->nr == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		rep->results = realloc(rep->results, s->room * sizeof(*rep->results));
		if (!rep->results)
			abort();
	}
	progress_at(&s->progress, rep->nr, c->name);
	bench_measure(c, &s->options, &rep->results[rep->nr]);
	progress_hide(&s->progress);
	if (s->text)
		bench_print(s->text, &rep->results[rep->nr], &s->tally);
	rep->nr++;
}

static void list(const struct bench_case *c, void *arg)
{
	char ways[96] = "";

	(void)arg;
	for (size_t i = 0; i < BENCH_MAX_WAYS && c->ways[i].name; i++)
		snprintf(ways + strlen(ways), sizeof(ways) - strlen(ways), "%s%s", i ? " " : "",
			 c->ways[i].name);
	printf("%-32s %-24s %s\n", c->name, ways, c->what);
}

/* ---- what is written --------------------------------------------------------------------------- */

static int write_file(const struct cmd *cmd, const char *name,
		      void (*write)(FILE *to, const struct bench_report *r),
		      const struct bench_report *report)
{
	FILE *f = fopen(name, "we");
	bool bad;

	if (f)
		write(f, report);
	bad = !f || ferror(f);
	if ((f && fclose(f)) || bad) {
		cmd_complain(cmd, "cannot write %s: %s", name, strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int make_folder(const struct cmd *cmd)
{
	if (!mkdir(folder, 0777) || errno == EEXIST)
		return EXIT_OK;
	cmd_complain(cmd, "cannot make %s: %s", folder, strerror(errno));
	return EXIT_FAILED;
}

/* Before minutes are spent. What stands in the file stays there until then. */
static int try_files(const struct cmd *cmd)
{
	int ret = folder ? make_folder(cmd) : EXIT_OK;
	FILE *f = plot_file ? fopen(plot_file, "ae") : NULL;

	if (plot_file && !f) {
		cmd_complain(cmd, "cannot write %s: %s", plot_file, strerror(errno));
		return EXIT_FAILED;
	}
	if (f)
		fclose(f);
	return ret;
}

static int write_folder(const struct cmd *cmd, const struct bench_report *report)
{
	static const struct {
		const char *name;
		void (*write)(FILE *to, const struct bench_report *r);
	} files[] = {
		{ "bench.txt", bench_report_text },
		{ "bench.json", bench_report_json },
		{ "bench.svg", bench_report_svg },
	};
	int ret = EXIT_OK;

	for (size_t i = 0; ret == EXIT_OK && i < sizeof(files) / sizeof(files[0]); i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", folder, files[i].name);
		ret = write_file(cmd, name, files[i].write, report);
	}
	return ret;
}

static int write_all(const struct cmd *cmd, const struct session *s)
{
	int ret = EXIT_OK;

	if (as_json)
		bench_report_json(stdout, &s->report);
	if (plot_file)
		ret = write_file(cmd, plot_file, bench_report_svg, &s->report);
	if (folder && ret == EXIT_OK)
		ret = write_folder(cmd, &s->report);
	return ret;
}

/* ---- the command ------------------------------------------------------------------------------- */

static int run(const struct cmd *cmd, struct session *s, char *const *words, size_t nr)
{
	int ret = try_files(cmd);

	if (ret != EXIT_OK)
		return ret;
	bench_machine(&s->report.machine, GMEM_VERSION);
	if (s->text) {
		bench_print_machine(s->text, &s->report.machine);
		bench_print_head(s->text);
	}
	progress_begin(&s->progress, "gmem bench", bench_for_each(words, nr, count, NULL));
	bench_for_each(words, nr, measure, s);
	progress_end(&s->progress);
	bench_machine_end(&s->report.machine);
	if (s->text)
		bench_print_end(s->text, &s->tally);
	ret = write_all(cmd, s);
	free(s->report.results);
	return ret;
}

static bool number_between(const char *text, double low, double high, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end && *value >= low && *value <= high;
}

static int read_options(const struct cmd *cmd, struct bench_options *o)
{
	double mib, rounds = 0, seconds = 0;

	if (!number_between(size_text, 4, 65536, &mib) || (uint64_t)mib % 2)
		return cmd_usage_error(cmd, "--size is an even number of MiB from 4 to 65536");
	if (rounds_text && !number_between(rounds_text, 1, MAX_ROUNDS, &rounds))
		return cmd_usage_error(cmd, "--rounds is from 1 to %lu", MAX_ROUNDS);
	if (seconds_text && !number_between(seconds_text, 0.001, 3600, &seconds))
		return cmd_usage_error(cmd, "--seconds is from 0.001 to 3600");
	*o = (struct bench_options){ .host = &bench_child,
				     .size = (uint64_t)mib << 20,
				     .rounds = (unsigned int)rounds,
				     .seconds = seconds,
				     .compare = compare };
	return EXIT_OK;
}

static void find_beside(const struct bench_case *c, void *arg)
{
	bool *found = arg;
	int way = bench_way_index(c, compare);

	*found |= way >= 0 && !c->ways[way].ours;
}

/* Some case that is asked for has that way. */
static int check_compare(const struct cmd *cmd, char *const *words, size_t nr)
{
	bool found = !compare;

	if (!found)
		bench_for_each(words, nr, find_beside, &found);
	return found ? EXIT_OK : cmd_usage_error(cmd, "no case here has '%s' beside gmem", compare);
}

static int bench(const struct cmd *cmd, int argc, char **argv)
{
	static struct session session;
	int first = opts_parse(cmd, argc, argv);

	if (first < 0 || read_options(cmd, &session.options) != EXIT_OK)
		return EXIT_USAGE;
	for (int i = first; i < argc; i++)
		if (!bench_for_each(&argv[i], 1, count, NULL))
			return cmd_usage_error(cmd, "no case '%s'", argv[i]);
	if (check_compare(cmd, &argv[first], (size_t)(argc - first)) != EXIT_OK)
		return EXIT_USAGE;
	if (only_list) {
		bench_for_each(&argv[first], (size_t)(argc - first), list, NULL);
		return EXIT_OK;
	}
	session.text = as_json ? NULL : stdout;
	return run(cmd, &session, &argv[first], (size_t)(argc - first));
}

const struct cmd cmd_bench = {
	.name = "bench",
	.synopsis = "[OPTION...] [CASE...]",
	.summary = "measure what gmem costs, beside the host's own ways",
	.details =
		"A CASE is a name as --list tells them, its beginning (\"file\", \"convert/one\"), or a\n"
		"pattern; without one, all are measured. The ways of a case take turns. The exit status\n"
		"says nothing about speed.\n",
	.opts = opts,
	.run = bench,
};
