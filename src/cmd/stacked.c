/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/stacked.h"

#include "cmd/cmd.h"
#include "see/unwind.h"
#include "see/wrappers.h"

#include <string.h>

int stacked_check(const struct cmd *cmd, struct stack_options *o, bool by_default)
{
	if (o->when && strcmp(o->when, "never"))
		return cmd_usage_error(cmd, "--stack=%s: there is --stack and --stack=never",
				       o->when);
	if (o->when && o->wrappers.nr)
		return cmd_usage_error(cmd, "--wrapper goes without --stack=never");
	o->wanted = !o->when && (o->asked || o->wrappers.nr || by_default);
	for (unsigned int i = 0; i < o->wrappers.nr; i++)
		see_wrappers_add(o->wrappers.values[i]);
	return EXIT_OK;
}

int stacked_begin(struct stacked *t, struct watch *w, const struct stack_options *o)
{
	*t = (struct stacked){ .watch = w };
	if (!o->wanted)
		return EXIT_OK;
	t->stacks = see_stacks_new();
	if (!t->stacks) {
		cmd_complain(w->cmd, "no memory for stacks");
		return EXIT_FAILED;
	}
	w->drain.prepare = see_stacks_apply;
	w->drain.prepare_own = t->stacks;
	w->region.r->wants_stacks = 1;
	return EXIT_OK;
}

void stacked_end(struct stacked *t, bool quiet)
{
	uint64_t lost = t->stacks ? see_stacks_lost(t->watch->region.r) : 0;

	if (lost && !quiet)
		cmd_complain(t->watch->cmd,
			     "%llu stacks were not seen: those events may name a wrapper",
			     (unsigned long long)lost);
	see_stacks_free(t->stacks);
}
