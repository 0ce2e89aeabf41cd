/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/top.h"

#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "os/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 2000

static bool once;
static const char *batch, *interval;

static const struct opt opts[] = {
	{ "once", NULL, "print what is so now, and end", .flag = &once },
	{ "batch", "N", "print it N times", .value = &batch },
	{ "interval", "SECONDS", "how often it looks: 0.1 to 3600, 1 as a rule",
	  .value = &interval },
	{ 0 },
};

static void sleep_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static bool make(struct top *t)
{
	t->now = malloc(sizeof(*t->now));
	t->before = malloc(sizeof(*t->before));
	t->counts = calloc(1, sizeof(*t->counts));
	t->counts_before = calloc(1, sizeof(*t->counts_before));
	return t->now && t->before && t->counts && t->counts_before;
}

static void discard(struct top *t)
{
	free(t->now);
	free(t->before);
	free(t->counts);
	free(t->counts_before);
}

void top_look(struct top *t)
{
	const struct obs_region *r = t->program.region.r;
	const struct account_area *area = obs_account_find(r, t->program.process);
	struct account_snapshot *older = t->before;
	struct see_counts *older_counts = t->counts_before;

	t->has_ended = !observed_lives(&t->program);
	if (!area || !obs_account_read(area, older))
		return;
	/* Nothing has been published since. */
	if (t->has_any && older->number == t->now->number && !t->has_ended)
		return;
	t->before = t->now;
	t->now = older;
	t->counts_before = t->counts;
	t->counts = older_counts;
	see_counts_read(r, t->counts);
	t->seconds = t->has_any ? (double)(t->now->time_ns - t->before->time_ns) / 1e9 : 0;
	t->has_any = true;
}

/* The program answers what is asked from here on. */
static void ask(struct top *t)
{
	struct obs_region *r = t->program.region.r;
	uint32_t wanted = atomic_fetch_add(&r->wants_snapshot, 1) + 1;

	os_shared_wake(&r->wants_snapshot);
	for (unsigned int ms = 0; ms < ANSWER_MS && observed_lives(&t->program); ms += 5) {
		const struct account_area *a = obs_account_find(r, t->program.process);

		if (a && (int32_t)(atomic_load(&a->answered) - wanted) >= 0)
			break;
		sleep_ms(5);
	}
	top_look(t);
}

/* ---- what it says ------------------------------------------------------------------------------- */

void top_text(const struct top *t, struct text *text)
{
	const struct account_pair pair = { .now = t->now,
					   .before = t->before,
					   .seconds = t->seconds };
	struct see_clock clock = see_region_clock(t->program.region.r);

	if (!t->has_any) {
		text_add(text, TEXT_PLAIN, "It has made no VM yet.");
		return;
	}
	account_text_notes(text, t->now, &t->style);
	account_text(text, &pair, &t->style);
	text_add(text, TEXT_PLAIN, "%s", "");
	account_text_counts(text, &clock, t->counts, t->counts_before, t->seconds);
}

static int print(struct top *t, unsigned long times, unsigned int ms)
{
	for (unsigned long i = 0; i < times && !t->has_ended; i++) {
		struct text text = { 0 };

		if (i)
			sleep_ms(ms);
		ask(t);
		text_add(&text, TEXT_TITLE, "gmem top: process %d (%s)%s", t->program.pid,
			 t->program.name, t->has_ended ? ", which has ended" : "");
		if (!i && t->program.was_asked)
			text_add(&text, TEXT_DIM, "%s",
				 "It was not observed, and asked to be by a signal: its pause() or "
				 "sleep() has ended, with EINTR.");
		top_text(t, &text);
		if (i + 1 < times)
			text_add(&text, TEXT_PLAIN, "%s", "");
		text_print(&text, stdout);
		text_free(&text);
		fflush(stdout);
	}
	return ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

/* ---- the command ------------------------------------------------------------------------------- */

static bool parse(const char *text, double least, double most, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end && *value >= least && *value <= most;
}

static int show(const struct cmd *cmd, int pid, unsigned long times, unsigned int ms)
{
	struct top t = { .cmd = cmd, .style = { .with_cost = times } };
	int ret = observed_open(cmd, pid, &t.program);

	if (ret != EXIT_OK)
		return ret;
	t.style.late = t.program.is_late;
	if (!make(&t)) {
		cmd_complain(cmd, "out of memory");
		ret = EXIT_FAILED;
	} else {
		ret = times ? print(&t, times, ms) : top_screen(&t, ms);
	}
	discard(&t);
	observed_close(&t.program);
	return ret;
}

static int top(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	double pid = 0, times = once, seconds = 1;

	if (first < 0)
		return EXIT_USAGE;
	if (batch && (!parse(batch, 1, 1e9, &times) || times != (double)(unsigned long)times))
		return cmd_usage_error(cmd, "'%s' is not a number of times", batch);
	if (interval && !parse(interval, 0.1, 3600, &seconds))
		return cmd_usage_error(cmd, "'%s' is not a number of seconds, 0.1 to 3600",
				       interval);
	if (first < argc && (!parse(argv[first], 1, INT32_MAX, &pid) || pid != (double)(int)pid))
		return cmd_usage_error(cmd, "'%s' is not the number of a process", argv[first]);
	if (cmd_no_arguments(cmd, first + 1, argc, argv) != EXIT_OK)
		return EXIT_USAGE;
	if (!times && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return cmd_usage_error(cmd, "no terminal here: --once or --batch N prints");
	return show(cmd, (int)pid, (unsigned long)times, (unsigned int)(seconds * 1000));
}

const struct cmd cmd_top = {
	.name = "top",
	.synopsis = "[OPTION...] [PID]",
	.summary = "show live how a running program's guest memory is used",
	.details =
		"Without PID: the one program that you run under gmem. BACKED is memory that is held,\n"
		"in the guest_memfd and in the program; BOTH is held twice. Keys: q quit, arrows and\n"
		"pages scroll, s sort, u units, v next VM, g what is gone, p pause, h help.\n"
		"A program that was not started with --observe is asked to let itself be looked at,\n"
		"which cannot be done once it filters its system calls.\n",
	.opts = opts,
	.run = top,
};
