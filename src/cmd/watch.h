/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * watch: a program runs under gmem and we stay, as its parent, and see what happens.
 *
 *	watch_begin()	the region is made: sinks may look at it
 *	watch_add()	who wants to know
 *	watch_run()	the program runs; sinks are called, and their end() at its end
 *	watch_end()
 *
 * Other processes that the program made are seen as long as it runs. Signals that were sent to us alone it gets, too; those
 * of the terminal, and those for the whole group, it has got by itself. From its end on they are for us. When the terminal stops it we stop. Whoever stops it else lets it go on, and we
 * look on meanwhile. When who reads our output goes away, the program is still looked after.
 */
#ifndef GMEM_CMD_WATCH_H
#define GMEM_CMD_WATCH_H

#include <signal.h>

#include "cmd/bystander.h"
#include "see/see.h"

struct cmd;
struct launch;

struct watch {
	const struct cmd *cmd;
	struct see_region region;
	struct see_sink *sinks[SEE_MAX_SINKS];
	size_t nr_sinks;
	struct see_drain drain;
	int pid;
	int signals;	 /* a signalfd */
	sigset_t before; /* what was blocked */
	struct bystander bystander;
	bool is_to_stop; /* the terminal wants it */
};

/* An exit status, having complained when it is not EXIT_OK. ring: how many records, a power of two; 0: as many as usual. */
int watch_begin(const struct cmd *cmd, uint32_t ring, struct watch *w);
void watch_add(struct watch *w, struct see_sink *sink);
/* The program's exit status, 128 + n when signal n ended it; or why it did not start. */
int watch_run(struct watch *w, const struct launch *l, char **argv);
void watch_end(struct watch *w);

#endif
