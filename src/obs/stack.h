/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * stack: who called the function that called gmem. Where the observer has been before, the program finds the place by
 * itself, in some loads and compares for each frame; else its stack is copied into the region, once for all that look
 * alike. Any thread, any signal handler; no system call. The stack may be unreadable.
 */
#ifndef GMEM_OBS_STACK_H
#define GMEM_OBS_STACK_H

#include "obs/record.h"
#include "obs/region.h"
#include "os/context.h"

/* Events at which it matters who called. */
bool obs_wants_place(enum obs_event kind, long result);
/* me->frame, of the exported function, is where the program's frame pointer and the address it goes on at are. For all
 * that is told until its next call me->caller becomes the place, its chain or a stack (region.h); it stays as it is when
 * there is no room for the stack. */
void obs_place_caller(struct obs_region *r, struct os_context *me);
/* The region is not used any more. */
void obs_forget_stacks(void);

#endif
