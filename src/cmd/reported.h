/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * reported: reports of a program that we watch (see/report.h), what must not happen in it, and the exit status.
 *
 * The program's own status stands if it is not 0, unless --fail-wins; of one that ended well it becomes 1 (or
 * --fail-status) when something of --fail-on happened.
 */
#ifndef GMEM_CMD_REPORTED_H
#define GMEM_CMD_REPORTED_H

#include "cmd/opts.h"
#include "cmd/outfile.h"
#include "cmd/watch.h"
#include "see/policy.h"
#include "see/report.h"

struct report_options {
	struct opt_values paths, fail_on;
	const char *format, *status, *annotations;
	bool wins;
	/* reported_check() makes these of those. */
	struct policy policy;
	enum report_format formats[OPT_MAX_VALUES];
	int fail_status;
	bool annotates;
	bool wanted; /* there is something to do at all */
};

struct lint_options;
struct linted;

struct reported {
	const struct cmd *cmd;
	const struct report_options *options;
	struct outfile files[OPT_MAX_VALUES];
	struct report report;
};

/* An exit status, having complained. What of the policy lint alone finds out turns lint on, and --lint=error is a policy,
 * too. */
int reported_check(const struct cmd *cmd, struct report_options *o, struct lint_options *lint);

/* An exit status, having complained. Files are opened before the program runs. */
int reported_begin(struct reported *t, struct watch *w, const struct report_options *o,
		   const struct report_run *run);
/* linted: NULL: nobody looked. Writes all; the exit status. */
int reported_end(struct reported *t, const struct linted *linted, int status);

#endif
