/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/summary.h"

#include "cmd/cmd.h"
#include "see/accounts.h"
#include "see/listed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct account_style style = {
	.unit = TEXT_AUTO, .with_gone = true, .wide = true, .with_cost = true
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A process that was killed has not looked once more. */
static void add_age(struct text *t, const struct account_snapshot *s)
{
	char age[TEXT_NUMBER_MAX];

	if (!(s->flags & ACCOUNT_LAST))
		text_add(t, TEXT_ALARM,
			 "It did not end in order: these numbers are of %s before we saw it gone.",
			 text_time(now_ns() - s->time_ns, age));
}

static void add_process(struct text *t, const struct trace_process *p,
			const struct account_snapshot *s)
{
	const struct account_pair pair = { .now = s };

	text_add(t, TEXT_TITLE, "process %u: %s", p->pid, p->name);
	account_text_notes(t, s, &style);
	add_age(t, s);
	account_text(t, &pair, &style);
	account_text_twice(t, s);
	text_add(t, TEXT_PLAIN, "%s", "");
}

static void add_processes(struct text *t, const struct obs_region *r)
{
	uint32_t nr = see_nr_processes(r);
	struct account_snapshot *s = malloc(sizeof(*s));
	struct trace_process p;
	bool any = false;

	for (uint32_t i = 0; s && i < nr; i++) {
		const struct account_area *a = obs_account_find(r, i);

		if (!a || !obs_account_read(a, s) || !see_process_read(r, i, &p))
			continue;
		any = true;
		add_process(t, &p, s);
	}
	free(s);
	if (!any)
		text_add(t, TEXT_PLAIN, "No process has made a VM.");
}

static int tell(void *own, const struct obs_region *r, int status)
{
	struct summary *s = own;
	struct see_clock clock = see_region_clock(r);
	struct see_counts *counts = malloc(sizeof(*counts));
	struct text t = { 0 };

	if (!counts)
		return -ENOMEM;
	see_counts_read(r, counts);
	text_add(&t, TEXT_TITLE, "gmem: what happened (simulated KVM; exit status %d)", status);
	add_processes(&t, r);
	account_text_counts(&t, &clock, counts, NULL, 0);
	text_print(&t, s->to);
	text_free(&t);
	free(counts);
	return 0;
}

int summary_begin(struct summary *s, struct watch *w, const char *path)
{
	int ret = EXIT_OK;

	*s = (struct summary){ .cmd = w->cmd, .to = stderr };
	if (path)
		ret = outfile_open(s->cmd, path, &s->file);
	if (ret != EXIT_OK)
		return ret;
	if (path)
		s->to = s->file.f;
	s->sink = (struct see_sink){ .name = "summary", .own = s, .end = tell };
	watch_add(w, &s->sink);
	return EXIT_OK;
}

int summary_end(struct summary *s, int status)
{
	bool ok = !s->sink.failed;

	if (!ok)
		cmd_complain(s->cmd, "no memory for the summary");
	if (ok && s->file.path)
		ok = outfile_finish(s->cmd, &s->file);
	else if (ok && (fflush(s->to) || ferror(s->to)))
		ok = false; /* there is nothing that it could be told on */
	outfile_drop(&s->file);
	return !ok && status == EXIT_OK ? EXIT_FAILED : status;
}
