/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * observed: a program under gmem that runs, found by its number or as the only one there is, and the region in which it
 * says what happens. One that was started without an observer is asked to make a region: it gets SIGBUS by sigqueue()
 * with a value that only this gmem's library knows, which must be mapped there.
 */
#ifndef GMEM_CMD_OBSERVED_H
#define GMEM_CMD_OBSERVED_H

#include <stdbool.h>

#include "see/see.h"

struct cmd;

struct observed {
	struct see_region region;
	int pid;
	char name[64];
	uint32_t process; /* its place in the region */
	bool is_late;	  /* it was not observed from its beginning, but since somebody asked */
	bool was_asked;	  /* by us, now */
};

/* pid 0: the only one that this user runs. An exit status, having complained; with several to choose from, having
 * listed them. */
int observed_open(const struct cmd *cmd, int pid, struct observed *o);
void observed_close(struct observed *o);
bool observed_lives(const struct observed *o);

#endif
