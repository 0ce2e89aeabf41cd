/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/reported.h"

#include "cmd/cmd.h"
#include "cmd/linted.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- options --------------------------------------------------------------------------------------- */

static int check_formats(const struct cmd *cmd, struct report_options *o)
{
	enum report_format all = o->format ? report_format_by_name(o->format) : REPORT_NR_FORMATS;

	if (o->format && all == REPORT_NR_FORMATS)
		return cmd_usage_error(cmd, "unknown format '%s' (there are: json, junit, tap)",
				       o->format);
	for (size_t i = 0; i < o->paths.nr; i++) {
		o->formats[i] = o->format ? all : report_format_by_path(o->paths.values[i]);
		if (o->formats[i] == REPORT_NR_FORMATS)
			return cmd_usage_error(cmd,
					       "--report %s: it ends with .json, .xml or .tap, or "
					       "--report-format says what it is",
					       o->paths.values[i]);
	}
	return EXIT_OK;
}

static int check_policy(const struct cmd *cmd, struct report_options *o)
{
	for (size_t i = 0; i < o->fail_on.nr; i++) {
		const char *wrong = policy_parse(&o->policy, o->fail_on.values[i]);

		if (wrong)
			return cmd_usage_error(cmd,
					       "--fail-on: '%s' is none of " POLICY_WORDS
					       ", and no rule or code of lint",
					       wrong);
	}
	return EXIT_OK;
}

static int check_status(const struct cmd *cmd, struct report_options *o)
{
	char *end;
	long value = EXIT_FAILED;

	if (o->status) {
		value = strtol(o->status, &end, 10);
		if (end == o->status || *end || value < 1 || value > 255)
			return cmd_usage_error(cmd, "--fail-status %s: a number from 1 to 255",
					       o->status);
	}
	o->fail_status = (int)value;
	return EXIT_OK;
}

static bool is_in_an_action(void)
{
	const char *value = getenv("GITHUB_ACTIONS");

	return value && !strcmp(value, "true");
}

static int check_annotations(const struct cmd *cmd, struct report_options *o)
{
	if (o->annotations && strcmp(o->annotations, "github") && strcmp(o->annotations, "none"))
		return cmd_usage_error(cmd, "--annotations=%s: there are github and none",
				       o->annotations);
	o->annotates = o->annotations ? !strcmp(o->annotations, "github") : is_in_an_action();
	return EXIT_OK;
}

/* In an action nobody has to ask for marks, but without anything to mark nobody watches. */
static void join_lint(struct report_options *o, struct lint_options *lint)
{
	lint->wanted |= policy_wants_lint(&o->policy);
	o->wanted = o->paths.nr || o->policy.nr || (lint->error && (o->status || o->wins)) ||
		    (o->annotates && (o->annotations || lint->wanted));
	if (o->wanted && lint->error && !policy_find(&o->policy, POLICY_LINT))
		policy_parse(&o->policy, "lint");
}

/* Who has forgotten the other half has a run that is always green. */
static int check_halves(const struct cmd *cmd, const struct report_options *o)
{
	if (o->format && !o->paths.nr)
		return cmd_usage_error(cmd, "--report-format goes with --report");
	if (o->status && !o->policy.nr)
		return cmd_usage_error(cmd, "--fail-status goes with --fail-on or --lint=error");
	if (o->wins && !o->policy.nr)
		return cmd_usage_error(cmd, "--fail-wins goes with --fail-on or --lint=error");
	return EXIT_OK;
}

int reported_check(const struct cmd *cmd, struct report_options *o, struct lint_options *lint)
{
	int ret = check_formats(cmd, o);

	if (ret == EXIT_OK)
		ret = check_policy(cmd, o);
	if (ret == EXIT_OK)
		ret = check_status(cmd, o);
	if (ret == EXIT_OK)
		ret = check_annotations(cmd, o);
	join_lint(o, lint);
	return ret == EXIT_OK ? check_halves(cmd, o) : ret;
}

/* ---- a run ----------------------------------------------------------------------------------------- */

static void drop_files(struct reported *t)
{
	for (size_t i = 0; i < t->options->paths.nr; i++)
		outfile_drop(&t->files[i]);
}

static int open_files(struct reported *t)
{
	int ret = EXIT_OK;

	for (size_t i = 0; ret == EXIT_OK && i < t->options->paths.nr; i++)
		ret = outfile_open(t->cmd, t->options->paths.values[i], &t->files[i]);
	if (ret != EXIT_OK)
		drop_files(t);
	return ret;
}

int reported_begin(struct reported *t, struct watch *w, const struct report_options *o,
		   const struct report_run *run)
{
	int ret;

	*t = (struct reported){ .cmd = w->cmd, .options = o };
	ret = open_files(t);
	if (ret != EXIT_OK)
		return ret;
	if (report_begin(w->region.r, run, &t->report)) {
		drop_files(t);
		cmd_complain(t->cmd, "no memory for the report");
		return EXIT_FAILED;
	}
	watch_add(w, &t->report.sink);
	return EXIT_OK;
}

static bool write_files(struct reported *t)
{
	bool ok = true;

	for (size_t i = 0; i < t->options->paths.nr; i++) {
		report_write(&t->report, &t->options->policy, t->options->formats[i],
			     t->files[i].f);
		ok &= outfile_finish(t->cmd, &t->files[i]);
	}
	return ok;
}

/* One line for each that is broken. */
static bool tell_policy(const struct reported *t)
{
	const struct policy *p = &t->options->policy;
	bool any = false;
	char message[256];

	for (size_t i = 0; i < p->nr; i++) {
		if (!policy_is_broken(&p->items[i], &t->report, message, sizeof(message)))
			continue;
		any = true;
		cmd_complain(t->cmd, "--fail-on %s: %s", p->items[i].name, message);
	}
	return any;
}

static int status_of(const struct reported *t, bool broken, bool written, int status)
{
	if (broken && (status == EXIT_OK || t->options->wins))
		return t->options->fail_status;
	return !written && status == EXIT_OK ? EXIT_FAILED : status;
}

/* Paths are to be those of the repository. */
static void annotate(const struct reported *t)
{
	const char *root = getenv("GITHUB_WORKSPACE");
	char here[PATH_MAX];

	if (!root)
		root = getcwd(here, sizeof(here));
	report_annotate(&t->report, &t->options->policy, root, stderr);
}

static void add_findings(struct reported *t, const struct linted *linted)
{
	const struct lint_rows *rows = linted ? &linted->rows : NULL;

	t->report.run.has_lint = rows != NULL;
	for (unsigned int code = 1; linted && linted->lint && code <= LINT_NR_CODES; code++)
		t->report.run.why_not[code - 1] = lint_why_not(linted->lint, code);
	for (size_t i = 0; rows && i < rows->nr; i++) {
		const struct lint_row *r = &rows->rows[i];
		const struct report_finding f = { .code = lint_code_name(r->code),
						  .sentence = lint_code_text(r->code),
						  .suppressed = r->excuse,
						  .place = r->place,
						  .file = *r->file ? r->file : NULL,
						  .line = r->line,
						  .nr = r->nr,
						  .bytes = r->bytes };

		report_add_finding(&t->report, &f);
	}
}

int reported_end(struct reported *t, const struct linted *linted, int status)
{
	bool broken = false, written = true;

	/* Else it did not start, which is told already. */
	if (t->report.has_ended) {
		add_findings(t, linted);
		report_finish(&t->report);
		written = write_files(t);
		broken = tell_policy(t);
		if (t->options->annotates)
			annotate(t);
	}
	drop_files(t);
	report_end(&t->report);
	return status_of(t, broken, written, status);
}
