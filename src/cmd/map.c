/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem map: what each page of guest memory is, as a list or drawn; of a running process or of a trace. */
#include "see/map.h"
#include "cmd/cmd.h"
#include "cmd/map_files.h"
#include "cmd/observed.h"
#include "cmd/opts.h"
#include "cmd/progress.h"
#include "cmd/tty.h"
#include "os/peer.h"
#include "see/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 5000
#define TEXT_COLUMNS 64
#define TEXT_ROWS 32
#define PICTURE_ROWS 64

static bool as_json, totals_only, as_text;
static const char *svg_path, *png_path, *html_path, *block_text, *range_text, *at_text;

static const struct opt opts[] = {
	{ "text", NULL,
	  "draw the guest's address space with letters; this is what is done of a trace",
	  .flag = &as_text },
	{ "svg", "FILE", "draw it, as SVG; '-' is the standard output", .value = &svg_path },
	{ "png", "FILE", "likewise, as PNG", .value = &png_path },
	{ "html", "FILE", "likewise, as a page to zoom into, and of a trace with all its times",
	  .value = &html_path },
	{ "block", "SIZE", "how much a cell is: 4K, 2M, ...; else as fits", .value = &block_text },
	{ "range", "START-END", "only these guest physical addresses", .value = &range_text },
	{ "at", "SECONDS", "as it was so long after the begin of the trace", .value = &at_text },
	{ "json", NULL, "the list of PID's guest_memfds as JSON, for programs", .flag = &as_json },
	{ "totals", NULL, "the list without the single runs", .flag = &totals_only },
	{ 0 },
};

static bool is_drawn(void)
{
	return as_text || svg_path || png_path || html_path;
}

/* ---- arguments --------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && end != text && !*end && text[0] >= '0' && text[0] <= '9' && *value &&
	       *value <= max;
}

static int parse_layout(const struct cmd *cmd, struct map_layout *l)
{
	const char *end;

	*l = (struct map_layout){ .end = UINT64_MAX, .columns = TEXT_COLUMNS };
	if (block_text && (!text_read_size(block_text, &l->block, &end) || *end ||
			   l->block < 4096 || l->block & (l->block - 1) || l->block > 1ull << 50))
		return cmd_usage_error(cmd, "--block: '%s' is not a power of two from 4K to 1024T",
				       block_text);
	if (range_text && (!text_read_size(range_text, &l->start, &end) || *end != '-' ||
			   !text_read_size(end + 1, &l->end, &end) || *end || l->start >= l->end ||
			   (l->start | l->end) % 4096))
		return cmd_usage_error(cmd,
				       "--range: '%s' is not START-END: pages, such as 0x100000-2M",
				       range_text);
	return EXIT_OK;
}

static int parse_at(const struct cmd *cmd, int64_t *until)
{
	char *end;
	double seconds;

	*until = MAP_NEVER;
	if (!at_text)
		return EXIT_OK;
	seconds = strtod(at_text, &end);
	if (end == at_text || *end || !(seconds >= 0 && seconds < 1e9))
		return cmd_usage_error(cmd, "--at: '%s' is not a number of seconds", at_text);
	*until = (int64_t)(seconds * 1e9);
	return EXIT_OK;
}

/* ---- drawing ----------------------------------------------------------------------------------- */

struct drawn {
	const struct cmd *cmd;
	bool is_trace; /* and so there is a view of it */
	struct map m;
	struct see_view v;
	struct map_layout layout;
};

enum format { TEXT, SVG, PNG, HTML };

static int write_format(struct drawn *d, enum format format, const struct map_spaces *s, FILE *to)
{
	const struct map_text_style style = { .colour = isatty(fileno(to)) && tty_may_colour() };
	bool ok = true;

	switch (format) {
	case TEXT:
		ok = map_text(&d->m, s, &style, to);
		break;
	case SVG:
		ok = map_svg(&d->m, s, to);
		break;
	case PNG:
		return map_png(&d->m, s, to);
	case HTML:
		ok = map_html(&d->m, d->is_trace ? &d->v : NULL, to);
		break;
	}
	return ok ? 0 : errno ? -errno : -EIO;
}

static int draw(struct drawn *d, enum format format, const char *path)
{
	bool to_stdout = !strcmp(path, "-");
	struct map_spaces s;
	FILE *to;
	int err;

	d->layout.max_rows = format == TEXT ? TEXT_ROWS : PICTURE_ROWS;
	err = map_spaces_make(&d->m, &d->layout, &s);
	if (!err && !s.nr) {
		cmd_complain(d->cmd, "there is no memory slot in it to be drawn");
		map_spaces_free(&s);
		return EXIT_FAILED;
	}
	if (!err) {
		to = to_stdout ? stdout : fopen(path, "we");
		err = to ? write_format(d, format, &s, to) : -errno;
		if (to && (to_stdout ? fflush(to) : fclose(to)) && !err)
			err = -errno;
		map_spaces_free(&s);
	}
	if (err == -EFBIG)
		cmd_complain(d->cmd,
			     "that would be too large a picture: --block makes cells larger, "
			     "--range draws less");
	else if (err)
		cmd_complain(d->cmd, "%s cannot be written: %s",
			     to_stdout ? "the standard output" : path, strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

static int draw_all(struct drawn *d)
{
	int ret = EXIT_OK;

	if (svg_path)
		ret = draw(d, SVG, svg_path);
	if (ret == EXIT_OK && png_path)
		ret = draw(d, PNG, png_path);
	if (ret == EXIT_OK && html_path)
		ret = draw(d, HTML, html_path);
	if (ret == EXIT_OK && (as_text || (!svg_path && !png_path && !html_path)))
		ret = draw(d, TEXT, "-");
	return ret;
}

static void note(const struct cmd *cmd, const struct map *m)
{
	if (m->nr_lost)
		cmd_complain(cmd, "%" PRIu64 " events were lost: pages may have changed unseen",
			     m->nr_lost);
	if (m->is_blind)
		cmd_complain(cmd, "the program's own memory could not be looked at: what it holds "
				  "is not known");
	if (m->is_coarse)
		cmd_complain(cmd, "the list of pages had no room for all: some were put together");
}

/* ---- a running process ------------------------------------------------------------------------- */

static bool ask(const struct observed *o, struct account_snapshot *s)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	uint32_t wanted = atomic_fetch_add(&o->region.r->wants_snapshot, 1) + 1;
	const struct account_area *a = NULL;

	os_shared_wake(&o->region.r->wants_snapshot);
	for (unsigned int ms = 0; ms < ANSWER_MS && observed_lives(o); ms += 5) {
		a = obs_account_find(o->region.r, o->process);
		if (a && (int32_t)(atomic_load(&a->answered) - wanted) >= 0)
			break;
		nanosleep(&pause, NULL);
	}
	return a && obs_account_read(a, s);
}

static int draw_process(struct drawn *d, int pid)
{
	struct account_snapshot *s = malloc(sizeof(*s));
	struct observed o;
	int ret = observed_open(d->cmd, pid, &o);

	d->m = (struct map){ .log_from = UINT64_MAX, .is_simulated = true };
	if (ret != EXIT_OK) {
		free(s);
		return ret;
	}
	ret = EXIT_FAILED;
	if (!s) {
		cmd_complain(d->cmd, "out of memory");
	} else if (!ask(&o, s)) {
		cmd_complain(d->cmd, "process %d (%s) has made no VM, or does not answer", pid,
			     o.name);
	} else {
		snprintf(d->m.title, sizeof(d->m.title),
			 "process %d (%s) under gmem, simulated KVM", pid, o.name);
		map_apply_snapshot(&d->m, o.process, 0, s);
		note(d->cmd, &d->m);
		ret = draw_all(d);
	}
	map_free(&d->m);
	observed_close(&o);
	free(s);
	return ret;
}

/* ---- a trace ----------------------------------------------------------------------------------- */

static void tell(void *arg, uint64_t done, uint64_t of)
{
	struct progress *progress = arg;

	progress->total = of;
	progress_at(progress, done, NULL);
}

static int replay(const char *path, int64_t until, struct drawn *d, char *problem, size_t size)
{
	struct progress progress;
	const struct map_wish wish = {
		.until = until, .with_changes = html_path, .tell = tell, .arg = &progress
	};
	int err;

	progress_begin(&progress, "gmem map", 0);
	err = map_replay(path, &wish, &d->m, &d->v, problem, size);
	progress_end(&progress);
	return err;
}

static int draw_trace(struct drawn *d, const char *path, int64_t until)
{
	const char *name = strrchr(path, '/');
	char problem[200];
	int ret, err = replay(path, until, d, problem, sizeof(problem));

	if (err) {
		cmd_complain(d->cmd, "%s: %s", path, problem);
		return EXIT_FAILED;
	}
	if (problem[0])
		cmd_complain(d->cmd, "%s: %s; what came before is drawn", path, problem);
	snprintf(d->m.title, sizeof(d->m.title), "%.90s after %.6f s, simulated KVM",
		 name ? name + 1 : path, (double)d->m.now / 1e9);
	note(d->cmd, &d->m);
	ret = draw_all(d);
	map_free(&d->m);
	see_view_close(&d->v);
	return ret == EXIT_OK && problem[0] ? EXIT_FAILED : ret;
}

/* ---- the command ------------------------------------------------------------------------------- */

static int list(const struct cmd *cmd, int pid, int first, int argc, char **argv)
{
	const struct map_files_style style = { .json = as_json, .totals = totals_only };
	uint64_t id = MAP_ALL_FILES;

	if (first < argc && !parse_number(argv[first], UINT64_MAX - 1, &id))
		return cmd_usage_error(cmd, "'%s' is not the number of a guest_memfd", argv[first]);
	if (block_text || range_text)
		return cmd_usage_error(cmd, "--block and --range are for what is drawn: --text");
	if (cmd_no_arguments(cmd, first + 1, argc, argv) != EXIT_OK)
		return EXIT_USAGE;
	return map_files(cmd, pid, id, &style);
}

static int map(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	struct drawn d = { .cmd = cmd };
	bool is_process, is_digits;
	int64_t until;
	uint64_t pid;

	if (first < 0)
		return EXIT_USAGE;
	if (first >= argc)
		return cmd_usage_error(cmd, "no process given, and no trace");
	is_digits = argv[first][strspn(argv[first], "0123456789")] == '\0';
	is_process = parse_number(argv[first], INT32_MAX, &pid);
	if (!is_process && (is_digits || access(argv[first], F_OK)))
		return cmd_usage_error(cmd, "'%s' is not the number of a process, and no file",
				       argv[first]);
	if ((as_json || totals_only) && (!is_process || is_drawn()))
		return cmd_usage_error(cmd, "--json and --totals are for the list of a process's "
					    "guest_memfds");
	if (at_text && is_process)
		return cmd_usage_error(cmd, "--at is for a trace: a process is what it is now");
	if (parse_layout(cmd, &d.layout) != EXIT_OK || parse_at(cmd, &until) != EXIT_OK)
		return EXIT_USAGE;
	if (is_process && !is_drawn())
		return list(cmd, (int)pid, first + 1, argc, argv);
	if (cmd_no_arguments(cmd, first + 1, argc, argv) != EXIT_OK)
		return EXIT_USAGE;
	d.is_trace = !is_process;
	return is_process ? draw_process(&d, (int)pid) : draw_trace(&d, argv[first], until);
}

const struct cmd cmd_map = {
	.name = "map",
	.synopsis = "[OPTION...] PID [FILE] | [OPTION...] TRACE",
	.summary = "show what the pages of guest memory are: a list, or drawn",
	.details =
		"Of a running process: PID's guest_memfds as a list of runs that are private or shared;\n"
		"FILE is the number of one of them, as shown. With --text, --svg, --png or --html its\n"
		"guests' address spaces drawn, a cell for each page or block: private or shared, and\n"
		"where its memory is. Of a TRACE (gmem run --trace): drawn as it was at the end.\n",
	.opts = opts,
	.run = map,
};
