/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * breakpoint: the instruction breakpoints of DR0..3, the guest's own and the owner's. Private to
 * src/cpu/soft; asked by the run loop at each boundary while any is armed. Data breakpoints are not
 * looked at.
 */
#ifndef GMEM_CPU_SOFT_BREAKPOINT_H
#define GMEM_CPU_SOFT_BREAKPOINT_H

#include "cpu/soft/soft.h"

#define DR7_ENABLED 0xffull

static inline bool breakpoint_armed(const struct soft *c)
{
	return (c->state.dr7 | c->debug_dr7) & DR7_ENABLED;
}

/* One of the owner's is at state.rip: c->exit is filled. */
bool breakpoint_for_owner(struct soft *c);
/* One of the guest's is at state.rip: #DB is pending. */
bool breakpoint_for_guest(struct soft *c);

#endif
