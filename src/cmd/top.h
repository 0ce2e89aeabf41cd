/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* top: what gmem top shows, made as lines of text (top.c), and the screen that shows it (top_screen.c). */
#ifndef GMEM_CMD_TOP_H
#define GMEM_CMD_TOP_H

#include "cmd/observed.h"
#include "see/accounts.h"

struct top {
	const struct cmd *cmd;
	struct observed program;
	struct account_style style;
	struct account_snapshot *now, *before;
	struct see_counts *counts, *counts_before;
	double seconds; /* between the two; 0: there is one */
	bool has_any;	/* there is a snapshot */
	bool has_before;
	bool has_ended;
};

/* Looks once more. */
void top_look(struct top *t);
/* All lines. */
void top_text(const struct top *t, struct text *text);
/* Of the terminal that newterm() has just been told of: can its cursor be moved? Else lines only follow each other. */
bool top_can_draw(void);
/* Shows it until somebody wants no more: an exit status. */
int top_screen(struct top *t, unsigned int interval_ms);

#endif
