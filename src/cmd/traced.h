/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* traced: the trace file of a program that we watch. */
#ifndef GMEM_CMD_TRACED_H
#define GMEM_CMD_TRACED_H

#include <stdbool.h>

#include "cmd/watch.h"

struct trace_writer;

struct traced {
	const struct cmd *cmd;
	const char *path;
	struct trace_writer *writer;
};

/* An exit status, having complained. path NULL: no trace is wanted. */
int traced_begin(struct traced *t, struct watch *w, const char *path);
/*
 * Closes the file; says how much is in it unless quiet, and always when something is missing. What it is written to is
 * its place from the start: a trace that was cut off is worth reading, and says that it was. The status, or EXIT_FAILED
 * if that was EXIT_OK and the file could not be written.
 */
int traced_end(struct traced *t, bool quiet, int status);

#endif
