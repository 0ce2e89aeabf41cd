/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * outfile: a file that has what it is to have, or is not there. It is written beside its place under another name, and
 * comes to it when it is whole; an older one goes when the new one is begun, so that nobody takes it for this. SIGINT
 * and its like leave nothing behind. What is no plain file (a pipe, /dev/stdout), or cannot be replaced (its folder may
 * not be written), is written in place.
 *
 * One thread.
 */
#ifndef GMEM_CMD_OUTFILE_H
#define GMEM_CMD_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>

struct cmd;

struct outfile {
	const char *path; /* as the user says it; NULL: none is open */
	char *target;	  /* NULL: it is written in place */
	char *temporary;
	FILE *f;
};

/* Two options must not name the same plain file: all are claimed before one is opened. Exit statuses, having complained. */
int outfile_claim(const struct cmd *cmd, const char *path);
int outfile_open(const struct cmd *cmd, const char *path, struct outfile *out);
/* All is written. False: it is not whole, which is told, and not there unless it was written in place. */
bool outfile_finish(const struct cmd *cmd, struct outfile *out);
/* There is nothing to write after all. Nothing happens when it is not open. */
void outfile_drop(struct outfile *out);

/*
 * For who writes a file beside its place himself. Where that is, without links: to be freed; NULL: something is there that
 * is no plain file, or the folder is not.
 */
char *outfile_place(const char *path);
/* What is not whole goes when a signal ends the process, until it is renamed or unlinked, and forgotten. */
void outfile_remember(const char *temporary);
void outfile_forget(const char *temporary);

#endif
