/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* linted: lint (see/lint.h) of a program that we watch, told at its end; and what both ways to ask for it share. */
#ifndef GMEM_CMD_LINTED_H
#define GMEM_CMD_LINTED_H

#include "cmd/watch.h"
#include "see/lint.h"

struct lint_options {
	const char *suppress; /* a file; NULL: none */
	const char *error;    /* what stands behind --lint= */
	bool wanted, quiet, show_excused;
};

struct linted {
	const struct cmd *cmd;
	const struct lint_options *options;
	struct lint *lint;
	struct lint_excuses *excuses;
	struct lint_rows rows; /* from watch_run() on */
	struct see_sink sink;
};

/* An exit status, having complained. */
int linted_check(const struct cmd *cmd, const struct lint_options *o);
int linted_begin(struct linted *t, struct watch *w, const struct lint_options *o);
/* The exit status: of a program that ended well it is EXIT_FAILED when findings are errors and there
 * are any, or not all was judged. */
int linted_end(struct linted *t, int status);

/* Rows and notes, as both ways print them. */
void linted_tell(const struct cmd *cmd, const struct lint_options *o, const struct lint *l,
		 const struct lint_excuses *excuses, const struct lint_rows *rows, FILE *to);
/* The modules of a region, so that places have names. NULL: no memory. */
struct see_places;
struct see_places *linted_places(const struct obs_region *r);

#endif
