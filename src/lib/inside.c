/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Where a thread is: who calls from a callback what would wait for that callback is told, instead of waiting for ever. */
#include <errno.h>

#include "lib/lib.h"
#include "obs/obs.h"
#include "os/context.h"

/* A forked child has neither the callbacks nor the faults of its parent, and is no home. */
bool lib_is_inside(const struct gmem *g)
{
	const struct os_context *me = os_context();

	return g && (me->inside == g || me->faulting == g) && lib_home_file(g);
}

const void *lib_mark(const struct gmem *g)
{
	struct os_context *me = os_context();
	const void *before = me->inside;

	me->inside = g;
	return before;
}

int lib_go_inside(struct gmem *g, const void **before)
{
	if (lib_is_inside(g))
		return obs_refuse(RULE_LIB_INSIDE);
	*before = lib_mark(g);
	return 0;
}

void lib_come_out(const void *before)
{
	os_context()->inside = before;
}
