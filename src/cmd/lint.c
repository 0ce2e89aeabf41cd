/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem lint: what a trace says that a program does wrong. */
#include "cmd/cmd.h"
#include "cmd/linted.h"
#include "cmd/opts.h"
#include "see/view.h"

#define DEFAULT_FILE "gmem.trace"

static struct lint_options options = { .wanted = true };
static bool is_error;

static const struct opt opts[] = {
	{ "error", NULL, "exit status 1 when something is found, or could not be",
	  .flag = &is_error },
	{ "suppress", "FILE", "what is wanted so: lines of code, place, reason",
	  .value = &options.suppress },
	{ "show-suppressed", NULL, "show that, too, with the reason",
	  .flag = &options.show_excused },
	{ "quiet", NULL, "findings only", .flag = &options.quiet },
	{ 0 },
};

static void take(struct lint *l, const struct trace_item *item)
{
	if (item->kind == TRACE_RECORDS)
		lint_record(l, &item->record);
	else if (item->kind == TRACE_LOST)
		lint_lost(l, item->lost.nr);
}

/* What came before the damage is judged. */
static int judge(const struct cmd *cmd, struct see_view *v, struct lint *l, const char *path)
{
	struct trace_item item;
	int ret;

	while ((ret = see_view_next(v, &item)) == 1)
		take(l, &item);
	lint_end(l);
	if (ret < 0) {
		lint_note_gap(l, LINT_CUT);
		cmd_complain(cmd, "%s: %s", path, trace_reader_problem(v->reader));
	}
	return ret < 0 ? EXIT_FAILED : EXIT_OK;
}

static int tell(const struct cmd *cmd, struct see_view *v, struct lint *l,
		struct lint_excuses *excuses)
{
	struct lint_rows rows;
	int ret = EXIT_OK;

	if (lint_rows_make(l, v->places, excuses, &rows)) {
		cmd_complain(cmd, "no memory to tell what was found");
		return EXIT_FAILED;
	}
	linted_tell(cmd, &options, l, excuses, &rows, stdout);
	if (fflush(stdout) || (is_error && (rows.nr_counting || lint_not_judged(l))))
		ret = EXIT_FAILED;
	lint_rows_free(&rows);
	return ret;
}

static int lint_view(const struct cmd *cmd, struct see_view *v, struct lint_excuses *excuses,
		     const char *path)
{
	struct lint *l = lint_new(v->clock.tsc_khz);
	int damaged, ret;

	if (!l) {
		cmd_complain(cmd, "no memory for lint");
		return EXIT_FAILED;
	}
	damaged = judge(cmd, v, l, path);
	ret = tell(cmd, v, l, excuses);
	lint_free(l);
	return ret == EXIT_OK ? damaged : ret;
}

static int lint_file(const struct cmd *cmd, const char *path)
{
	struct lint_excuses *excuses = NULL;
	struct see_view v;
	char problem[512];
	int ret;

	if (options.suppress &&
	    lint_excuses_read(options.suppress, &excuses, problem, sizeof(problem))) {
		cmd_complain(cmd, "%s", problem);
		return EXIT_USAGE;
	}
	if (see_view_open(path, &v, problem, sizeof(problem))) {
		cmd_complain(cmd, "%s: %s", path, problem);
		lint_excuses_free(excuses);
		return EXIT_FAILED;
	}
	ret = lint_view(cmd, &v, excuses, path);
	see_view_close(&v);
	lint_excuses_free(excuses);
	return ret;
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);

	if (first < 0)
		return EXIT_USAGE;
	if (first + 1 < argc)
		return cmd_usage_error(cmd, "one file only; options stand before it");
	return lint_file(cmd, first < argc ? argv[first] : DEFAULT_FILE);
}

const struct cmd cmd_lint = {
	.name = "lint",
	.synopsis = "[OPTION...] [FILE]",
	.summary = "tell what a recorded program does wrong, and where",
	.details =
		"The trace is one of `gmem trace record --lint`, or of `gmem run --lint --trace`: of\n"
		"others only L4, L9 and L10 are judged. `gmem explain L3` tells of a code;\n"
		"gmem-lint(1) of all.\n",
	.opts = opts,
	.run = run,
};
