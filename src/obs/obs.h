/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * obs: what happened, told once, in one place.
 *
 * core and the layers above report events and the rule that refused a call; they know nothing of
 * files, formats or terminals. Any thread, any lock held; never blocks.
 */
#ifndef GMEM_OBS_OBS_H
#define GMEM_OBS_OBS_H

#include <stdint.h>

enum obs_event {
	OBS_CONVERT,	 /* a = offset or gpa, b = size, c = attributes */
	OBS_PUNCH,	 /* a = offset, b = size */
	OBS_ALLOCATE,	 /* a = offset, b = size */
	OBS_BIND,	 /* a = offset, b = size, c = first gfn */
	OBS_UNBIND,	 /* a = offset, b = size */
	OBS_RELEASE,	 /* a = size of the file */
	OBS_INVALIDATE,	 /* a = first gfn, b = nr of pages */
	OBS_SHOOTDOWN,	 /* a = vCPUs waited for, b = ns */
	OBS_GUEST_FAULT, /* a = gpa, b = access, c = result */
	OBS_EXIT,	 /* a = reason, b, c = of the reason */
	OBS_NR_EVENTS
};

void obs_count(enum obs_event event, uint64_t a, uint64_t b, uint64_t c);
uint64_t obs_counter(enum obs_event event);

/* A call is refused: err is -errno, rule one sentence that names the rule. Returns err, so that the
 * place that refuses reads: return obs_refuse(-EINVAL, "flags has bits the VM does not support"). */
int obs_refuse(int err, const char *rule);

#endif
