/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/traced.h"

#include "cmd/cmd.h"
#include "see/trace.h"

#include <string.h>

int traced_begin(struct traced *t, struct watch *w, const char *path)
{
	int err;

	*t = (struct traced){ .cmd = w->cmd, .path = path };
	if (!path)
		return EXIT_OK;
	err = trace_writer_open(path, w->region.r, &t->writer);
	if (err) {
		cmd_complain(t->cmd, "%s cannot be written: %s", path, strerror(-err));
		return EXIT_FAILED;
	}
	watch_add(w, trace_writer_sink(t->writer));
	return EXIT_OK;
}

int traced_end(struct traced *t, bool quiet, int status)
{
	struct trace_totals totals;

	if (!t->writer)
		return status;
	totals = trace_writer_close(t->writer);
	if (totals.err)
		cmd_complain(t->cmd, "%s is not complete: %s", t->path, strerror(-totals.err));
	if (!quiet || totals.nr_lost)
		cmd_complain(t->cmd, "%s: %llu events, %llu lost", t->path,
			     (unsigned long long)totals.nr_records,
			     (unsigned long long)totals.nr_lost);
	return totals.err && status == EXIT_OK ? EXIT_FAILED : status;
}
