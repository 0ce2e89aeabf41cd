/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/opts.h"
#include "cmd/progress.h"
#include "cmd/traced.h"
#include "cmd/tty.h"
#include "cmd/watch.h"
#include "see/names.h"
#include "see/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE "gmem.trace"
#define MAX_ERRNO 4096

/* ---- record ------------------------------------------------------------------------------------- */

static struct launch launch;
static const char *output, *ring;
static bool for_lint;

static const struct opt record_opts[] = {
	{ "output", "FILE", "where to write it (default: " DEFAULT_FILE ")", .letter = 'o',
	  .value = &output },
	{ "ring", "EVENTS", "how many events wait at most to be written (default: 262144)",
	  .value = &ring },
	{ "lint", NULL, "with all that `gmem lint` wants to know; costs more", .flag = &for_lint },
	{ "profile", "NAME", "the kernel to answer like", .value = &launch.profile },
	{ "log", "LEVEL", "as of `gmem run`", .value = &launch.log, .words = LAUNCH_LOG_WORDS },
	{ "pages", "KIND", "as of `gmem run`", .value = &launch.pages,
	  .words = LAUNCH_PAGES_WORDS },
	{ "quiet", NULL, "say nothing of gmem's own unless events were lost",
	  .flag = &launch.quiet },
	{ 0 },
};

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	return *text && *text != '-' && !*end && !errno && *out <= max;
}

/* Up to a power of two. 0: it is no such number. */
static uint32_t ring_size(void)
{
	uint64_t wanted;
	uint32_t nr = 1024;

	if (!ring)
		return OBS_DEFAULT_RING;
	if (!parse_number(ring, 1u << 26, &wanted) || !wanted)
		return 0;
	while (nr < wanted)
		nr *= 2;
	return nr;
}

static int record_program(const struct cmd *cmd, char **argv)
{
	struct traced traced;
	struct watch w;
	int ret;

	if (!ring_size())
		return cmd_usage_error(cmd, "--ring %s: a number up to 67108864", ring);
	ret = launch_look(cmd, argv[0]);
	if (ret == EXIT_OK)
		ret = watch_begin(cmd, ring_size(), &w);
	if (ret != EXIT_OK)
		return ret;
	ret = traced_begin(&traced, &w, output ? output : DEFAULT_FILE);
	w.region.r->looks_closer = for_lint;
	if (ret == EXIT_OK)
		ret = watch_run(&w, &launch, argv);
	ret = traced_end(&traced, launch.quiet, ret);
	watch_end(&w);
	return ret;
}

static int record(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);

	if (first < 0 || launch_check(cmd, &launch) != EXIT_OK)
		return EXIT_USAGE;
	if (first >= argc)
		return cmd_usage_error(cmd, "no program given");
	return record_program(cmd, argv + first);
}

/* ---- show and export ------------------------------------------------------------------------------ */

static const char *kinds, *vm, *vcpu, *file, *pid, *thread, *result;
static const char *format_name;
static bool json, perfetto;

#define FILTERS                                                                      \
	{ "kind", "KIND[,KIND...]", "only events of these kinds", .value = &kinds }, \
		{ "vm", "N", "only of this VM", .value = &vm },                      \
		{ "vcpu", "ID", "only of this vCPU", .value = &vcpu },               \
		{ "file", "N", "only of this guest_memfd", .value = &file },         \
		{ "pid", "PID", "only of this process", .value = &pid },             \
		{ "thread", "TID", "only of this thread", .value = &thread },        \
	{                                                                            \
		"result", "RESULT", "only with this result: ok, error, EAGAIN, ...", \
			.value = &result                                             \
	}

static const struct opt show_opts[] = { FILTERS, { 0 } };

static const struct opt export_opts[] = {
	{ "format", "FORMAT", "json (the default), perfetto, or text, as `gmem trace show`",
	  .value = &format_name, .words = "json perfetto text" },
	{ "json", NULL, "JSON, a line for each event: --format json", .flag = &json },
	{ "perfetto", NULL, "a trace for https://ui.perfetto.dev: --format perfetto",
	  .flag = &perfetto },
	{ "output", "FILE", "where to write it (default: standard output)", .value = &output,
	  .letter = 'o' },
	FILTERS,
	{ 0 },
};

static int take_kinds(const struct cmd *cmd, struct see_filter *f)
{
	char text[512], *save, *name;

	if (!kinds)
		return EXIT_OK;
	if (!*kinds)
		return cmd_usage_error(cmd, "--kind: no event is named");
	snprintf(text, sizeof(text), "%s", kinds);
	for (name = strtok_r(text, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		unsigned int kind = see_kind_by_name(name);

		if (kind == OBS_NR_EVENTS)
			return cmd_usage_error(cmd, "no event is called '%s'", name);
		f->kinds[kind] = true;
		f->any_kind = true;
	}
	return EXIT_OK;
}

static int take_number(const struct cmd *cmd, const char *option, const char *text, int64_t *out)
{
	uint64_t value;

	*out = -1;
	if (!text)
		return EXIT_OK;
	if (!parse_number(text, UINT32_MAX, &value))
		return cmd_usage_error(cmd, "--%s %s: no number", option, text);
	*out = (int64_t)value;
	return EXIT_OK;
}

static int take_result(const struct cmd *cmd, struct see_filter *f)
{
	bool is_known = !result || !strcmp(result, "ok") || !strcmp(result, "error");

	for (int err = 1; err < MAX_ERRNO && !is_known; err++)
		is_known = see_errno(-err) && !strcmp(see_errno(-err), result);
	if (!is_known)
		return cmd_usage_error(cmd, "--result %s: ok, error, or an errno such as EAGAIN",
				       result);
	f->result = result;
	return EXIT_OK;
}

static int take_filter(const struct cmd *cmd, struct see_filter *f)
{
	int ret = take_kinds(cmd, f);

	if (!ret)
		ret = take_result(cmd, f);
	if (!ret)
		ret = take_number(cmd, "vm", vm, &f->vm);
	if (!ret)
		ret = take_number(cmd, "vcpu", vcpu, &f->vcpu);
	if (!ret)
		ret = take_number(cmd, "file", file, &f->file);
	if (!ret)
		ret = take_number(cmd, "pid", pid, &f->pid);
	return ret ? ret : take_number(cmd, "thread", thread, &f->thread);
}

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_PERFETTO, NR_FORMATS };

/* What is asked for by name, or by an option of its own; NR_FORMATS: not just one that there is, which has been told. */
static enum format take_format(const struct cmd *cmd, enum format format)
{
	static const char *const names[NR_FORMATS] = { "text", "json", "perfetto" };
	int named = 0;

	if ((format_name != NULL) + json + perfetto > 1) {
		cmd_usage_error(cmd, "one of --format, --json and --perfetto, not several");
		return NR_FORMATS;
	}
	if (!format_name)
		return json ? FORMAT_JSON : perfetto ? FORMAT_PERFETTO : format;
	while (named < NR_FORMATS && strcmp(names[named], format_name))
		named++;
	if (named == NR_FORMATS)
		cmd_usage_error(cmd, "--format %s: there are json, perfetto and text", format_name);
	return (enum format)named;
}

struct shown {
	enum format format;
	struct see_filter filter;
	struct see_view view;
	struct see_perfetto *perfetto;
	FILE *to;
};

static void show_item(struct shown *s, const struct trace_item *item)
{
	if (item->kind == TRACE_RECORDS && !see_filter_takes(&s->filter, &s->view, &item->record))
		return;
	if (s->format == FORMAT_JSON)
		see_json(&s->view, item, s->to);
	else if (s->format == FORMAT_PERFETTO)
		see_perfetto(s->perfetto, item);
	else if (item->kind == TRACE_RECORDS)
		see_text(&s->view, &item->record, s->to);
	else if (item->kind == TRACE_LOST)
		see_text_lost(item->lost.nr, s->to);
	else if (item->kind == TRACE_END)
		see_text_end(&s->view, &item->end, s->to);
}

#define PROGRESS_EVERY 1024

/* As see_view_next(): 0, or what is wrong. */
static int show_items(struct shown *s)
{
	struct progress progress;
	struct trace_item item;
	unsigned int nr = 0;
	uint64_t size;
	int ret;

	trace_reader_done(s->view.reader, &size);
	progress_begin(&progress, "gmem trace", size);
	/* Lines that run by are progress enough. */
	progress.is_on &= !tty_is_one(s->to);
	while ((ret = see_view_next(&s->view, &item)) == 1 && !ferror(s->to)) {
		show_item(s, &item);
		if (++nr % PROGRESS_EVERY == 0)
			progress_at(&progress, trace_reader_done(s->view.reader, &size), NULL);
	}
	progress_end(&progress);
	return ret;
}

/* Good or not, what there is is shown first. */
static int show_all(const struct cmd *cmd, struct shown *s, const char *path)
{
	int ret;

	if (s->format == FORMAT_JSON)
		see_json_begin(&s->view, s->to);
	if (s->format == FORMAT_PERFETTO)
		s->perfetto = see_perfetto_begin(&s->view, s->to);
	if (s->format == FORMAT_PERFETTO && !s->perfetto)
		return EXIT_FAILED;
	ret = show_items(s);
	if (s->perfetto)
		see_perfetto_end(s->perfetto);
	if (fflush(s->to) || ferror(s->to)) {
		if (errno != EPIPE)
			cmd_complain(cmd, "cannot write: %s", strerror(errno));
		return EXIT_FAILED;
	}
	if (ret < 0)
		cmd_complain(cmd, "%s: %s", path, trace_reader_problem(s->view.reader));
	return ret < 0 ? EXIT_FAILED : EXIT_OK;
}

static int show_file(const struct cmd *cmd, enum format format, const char *path)
{
	struct shown s = { .format = format, .to = stdout };
	char problem[200];
	int ret = take_filter(cmd, &s.filter);

	if (ret != EXIT_OK)
		return ret;
	if (see_view_open(path, &s.view, problem, sizeof(problem))) {
		cmd_complain(cmd, "%s: %s", path, problem);
		return EXIT_FAILED;
	}
	if (output)
		s.to = fopen(output, "we");
	if (s.to) {
		ret = show_all(cmd, &s, path);
		if (output && fclose(s.to))
			ret = EXIT_FAILED;
	} else {
		cmd_complain(cmd, "%s: %s", output, strerror(errno));
		ret = EXIT_FAILED;
	}
	see_view_close(&s.view);
	return ret;
}

/* The options, then one file; none is what `gmem trace record` writes. */
static int with_file(const struct cmd *cmd, int argc, char **argv, enum format format)
{
	int first = opts_parse(cmd, argc, argv);

	if (first < 0)
		return EXIT_USAGE;
	if (first + 1 < argc)
		return cmd_usage_error(cmd, "one file only; options stand before it");
	format = take_format(cmd, format);
	if (format == NR_FORMATS)
		return EXIT_USAGE;
	return show_file(cmd, format, first < argc ? argv[first] : DEFAULT_FILE);
}

static int show(const struct cmd *cmd, int argc, char **argv)
{
	return with_file(cmd, argc, argv, FORMAT_TEXT);
}

static int export(const struct cmd *cmd, int argc, char **argv)
{
	return with_file(cmd, argc, argv, FORMAT_JSON);
}

/* ---- the three ---------------------------------------------------------------------------------------- */

static const struct cmd parts[] = {
	{
		.name = "trace record",
		.synopsis = "[OPTION...] [--] PROGRAM [ARGUMENT...]",
		.summary = "run a program as `gmem run` does, and write what happens into a file",
		.opts = record_opts,
		.run = record,
	},
	{
		.name = "trace show",
		.synopsis = "[OPTION...] [FILE]",
		.summary = "show a trace, a line for each event",
		.details =
			"A line has the time since the program began, process/thread, VM.vCPU and\n"
			"guest_memfd, what happened, with which result, how long it took, and the place\n"
			"in the program it was called from. A damaged file is shown up to there.\n",
		.opts = show_opts,
		.run = show,
	},
	{
		.name = "trace export",
		.synopsis = "[OPTION...] [FILE]",
		.summary = "write a trace in a format of others",
		.opts = export_opts,
		.run = export,
	},
	{ 0 },
};

static int run(const struct cmd *cmd, int argc, char **argv)
{
	if (argc < 2)
		return cmd_usage_error(cmd, "record, show or export?");
	for (size_t i = 0; parts[i].name; i++) {
		if (strcmp(parts[i].name + strlen("trace "), argv[1]))
			continue;
		if (opts_ask_for_help(argc - 1, argv + 1)) {
			cmd_print_help(stdout, &parts[i]);
			return EXIT_OK;
		}
		return parts[i].run(&parts[i], argc - 1, argv + 1);
	}
	return cmd_usage_error(cmd, "unknown command '%s' (there are: record, show, export)",
			       argv[1]);
}

const struct cmd cmd_trace = {
	.name = "trace",
	.synopsis = "record|show|export [OPTION...] ...",
	.summary = "record what happens under gmem, and look at it",
	.details = "gmem trace record [-o FILE] [--] PROGRAM [ARGUMENT...]\n"
		   "gmem trace show [OPTION...] [FILE]\n"
		   "gmem trace export [--format json|perfetto|text] [OPTION...] [FILE]\n"
		   "Each has a --help of its own; gmem-trace(5) describes the file.\n",
	.parts = parts,
	.run = run,
};
