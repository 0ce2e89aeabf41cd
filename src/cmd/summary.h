/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* summary: what a program that we watched did, told at its end. */
#ifndef GMEM_CMD_SUMMARY_H
#define GMEM_CMD_SUMMARY_H

#include <stdio.h>

#include "cmd/outfile.h"
#include "cmd/watch.h"

struct summary {
	const struct cmd *cmd;
	struct outfile file; /* open when a path was given */
	FILE *to;
	struct see_sink sink;
};

/* An exit status, having complained. path NULL: stderr. */
int summary_begin(struct summary *s, struct watch *w, const char *path);
/* The status, or EXIT_FAILED, having complained, if that was EXIT_OK and it could not be written. */
int summary_end(struct summary *s, int status);

#endif
