/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/injected.h"
#include "cmd/launch.h"
#include "cmd/linted.h"
#include "cmd/opts.h"
#include "cmd/outfile.h"
#include "cmd/reported.h"
#include "cmd/stacked.h"
#include "cmd/summary.h"
#include "cmd/traced.h"
#include "cmd/watch.h"

static struct launch launch;
static const char *trace, *summary_path, *inject, *seed;
static bool observe, wants_summary;
static struct stack_options stack;
static struct lint_options lint;
static struct report_options report;

static const struct opt opts[] = {
	{ "profile", "NAME", "the kernel to answer like", .value = &launch.profile },
	{ "log", "LEVEL",
	  "error, warn (default), info, debug, or why: say which rule refused a call",
	  .value = &launch.log, .words = LAUNCH_LOG_WORDS },
	{ "pages", "KIND",
	  "what guest_memfds are made of: 4k (default), thp, or the system's huge pages: 2m, 1g, 2m-shared, "
	  "1g-shared",
	  .value = &launch.pages, .words = LAUNCH_PAGES_WORDS },
	{ "limit", "SIZE", "the memory that the guest_memfds of a VM may have together: 512M",
	  .value = &launch.limit },
	{ "prealloc", NULL, "guest_memfds have all their memory from the start",
	  .flag = &launch.prealloc },
	{ "quiet", NULL, "do not say that /dev/kvm is simulated", .flag = &launch.quiet },
	{ "trace", "FILE", "write what happens into FILE: see `gmem trace`", .value = &trace },
	{ "summary", "FILE", "tell at the end how memory was used, on stderr or into FILE",
	  .value = &summary_path, .flag = &wants_summary },
	{ "lint", "error",
	  "tell at the end what the program does wrong; =error: with exit status 1",
	  .value = &lint.error, .flag = &lint.wanted, .words = "error" },
	{ "suppress", "FILE", "what is wanted so: lines of code, place, reason",
	  .value = &lint.suppress },
	{ "report", "FILE",
	  "write what happened, for machines: .json, .xml (JUnit) or .tap; may be given again",
	  .values = &report.paths },
	{ "report-format", "FORMAT", "json, junit or tap, whatever FILE is called",
	  .value = &report.format, .words = "json junit tap" },
	{ "fail-on", "LIST",
	  "what must not happen: lint, refused, lost, twice[:SIZE], leak, a rule, a code of lint",
	  .values = &report.fail_on, .words = POLICY_WORDS },
	{ "fail-status", "STATUS", "the exit status when it happened; 1 if not given",
	  .value = &report.status },
	{ "fail-wins", NULL, "that status also if the program's own is not 0",
	  .flag = &report.wins },
	{ "annotations", "KIND", "mark places on stderr: github, or none, also in an action",
	  .value = &report.annotations, .words = "github none" },
	{ "stack", "never",
	  "name who calls the functions that wrap ioctl(), not those; also with --lint and "
	  "--report, but for =never",
	  .value = &stack.when, .flag = &stack.asked, .words = "never" },
	{ "wrapper", "PATTERN",
	  "a function, file or library that only passes calls on; may be given again",
	  .values = &stack.wrappers },
	{ "observe", NULL, "stay and let others look at the program", .flag = &observe },
	{ "inject", "RULES|FILE",
	  "make calls fail and guests exit on purpose: rules, or a file of them: gmem-inject(5)",
	  .value = &inject },
	{ "seed", "NUMBER", "which events a rule with chance= picks; 1 if not given",
	  .value = &seed },
	{ 0 },
};

static int claim_files(const struct cmd *cmd)
{
	int ret = trace ? outfile_claim(cmd, trace) : EXIT_OK;

	if (ret == EXIT_OK && summary_path)
		ret = outfile_claim(cmd, summary_path);
	for (size_t i = 0; ret == EXIT_OK && i < report.paths.nr; i++)
		ret = outfile_claim(cmd, report.paths.values[i]);
	return ret;
}

/* Whoever wants to know something of the program is added here. */
static int run_watched(const struct cmd *cmd, char **argv)
{
	struct summary summary = { 0 };
	struct linted linted;
	struct reported reported;
	const struct report_run about = { .gmem = GMEM_VERSION,
					  .profile = launch_profile(&launch),
					  .argv = argv };
	struct traced traced = { 0 };
	struct stacked stacked;
	struct watch w;
	int ret = claim_files(cmd);

	if (ret == EXIT_OK)
		ret = launch_look(cmd, argv[0]);
	if (ret == EXIT_OK)
		ret = watch_begin(cmd, 0, &w);
	if (ret != EXIT_OK)
		return ret;
	ret = stacked_begin(&stacked, &w, &stack);
	if (ret == EXIT_OK)
		ret = traced_begin(&traced, &w, trace);
	if (ret == EXIT_OK)
		ret = linted_begin(&linted, &w, &lint);
	if (ret == EXIT_OK && inject)
		ret = injected_begin(&w, &launch, inject, seed);
	if (ret == EXIT_OK && wants_summary)
		ret = summary_begin(&summary, &w, summary_path);
	if (ret == EXIT_OK && report.wanted)
		ret = reported_begin(&reported, &w, &report, &about);
	if (ret == EXIT_OK) {
		ret = watch_run(&w, &launch, argv);
		if (report.wanted)
			ret = reported_end(&reported, lint.wanted ? &linted : NULL, ret);
		injected_end(&w, launch.quiet);
		if (wants_summary)
			ret = summary_end(&summary, ret);
		ret = linted_end(&linted, ret);
	}
	outfile_drop(&summary.file);
	ret = traced_end(&traced, launch.quiet, ret);
	stacked_end(&stacked, launch.quiet);
	watch_end(&w);
	return ret;
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);

	if (first < 0 || launch_check(cmd, &launch) != EXIT_OK)
		return EXIT_USAGE;
	if (first >= argc)
		return cmd_usage_error(cmd, "no program given");
	lint.quiet = launch.quiet;
	if (reported_check(cmd, &report, &lint) != EXIT_OK || linted_check(cmd, &lint) != EXIT_OK)
		return EXIT_USAGE;
	if (stacked_check(cmd, &stack, lint.wanted || report.wanted) != EXIT_OK)
		return EXIT_USAGE;
	if (seed && !inject)
		return cmd_usage_error(cmd, "--seed goes with --inject");
	if (report.wanted || trace || observe || wants_summary || inject || lint.wanted ||
	    stack.wanted)
		return run_watched(cmd, argv + first);
	return launch_exec(cmd, &launch, argv + first);
}

const struct cmd cmd_run = {
	.name = "run",
	.synopsis = "[OPTION...] [--] PROGRAM [ARGUMENT...]",
	.summary = "run a program with a simulated /dev/kvm that has guest_memfd",
	.details =
		"The exit status is the program's; 127: not found, 126: cannot be run, or is out\n"
		"of reach (static, set-user-ID, 32-bit, Go or built for another C library), which\n"
		"is also refused when a program under gmem starts one. Where it is\n"
		"to see what happens (--trace, --summary, --lint, --report, ...) gmem stays as the\n"
		"program's parent, and 128 + n is the status of one that signal n has ended.\n"
		"--lint tells in a line each what the program does wrong, where, and how often:\n"
		"`gmem explain L3` tells of a code, gmem-lint(1) of all.\n",
	.opts = opts,
	.run = run,
};
