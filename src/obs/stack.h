/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * stack: what the program's stack was when gmem was called, copied beside a record, so that the observer finds the
 * callers of the caller. Any thread, any signal handler; no system call. The stack may be unreadable.
 */
#ifndef GMEM_OBS_STACK_H
#define GMEM_OBS_STACK_H

#include "obs/region.h"
#include "obs/tell.h"
#include "os/context.h"

/* KVM_EXIT_MEMORY_FAULT */
#define OBS_EXIT_MEMORY_FAULT 39u

/* Events at which it matters who called; never each exit. Of those of one ioctl the first has it for all: its request,
 * which is told last, ends what it stands for. */
bool obs_wants_stack(const struct obs_told *t, struct os_context *me);
/* From the frame of the exported function on, where the program's frame pointer and the address it goes on at are. n: the
 * number of the record, which is not published yet. */
void obs_stack_put(struct obs_region *r, struct os_context *me, uint64_t n);

#endif
