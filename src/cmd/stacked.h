/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* stacked: events of a program that we watch have the place outside of its wrappers (see/unwind.h). */
#ifndef GMEM_CMD_STACKED_H
#define GMEM_CMD_STACKED_H

#include "cmd/opts.h"
#include "cmd/watch.h"

struct stack_options {
	const char *when; /* what stands behind --stack= */
	bool asked, wanted;
	struct opt_values wrappers;
};

struct stacked {
	struct watch *watch;
	struct see_stacks *stacks; /* NULL: not wanted */
};

/* An exit status, having complained. by_default: wanted if nobody says anything. */
int stacked_check(const struct cmd *cmd, struct stack_options *o, bool by_default);
int stacked_begin(struct stacked *t, struct watch *w, const struct stack_options *o);
void stacked_end(struct stacked *t, bool quiet);

#endif
