/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * join: this process becomes one of those that are observed: it maps the region that GMEM_OBS names; and where in the
 * program gmem is called. Each library that a program can have of gmem joins by itself, and is a process of its own to
 * who observes.
 *
 * obs_join() once, before threads, or under the caller's lock; the rest at any time, from any thread.
 */
#ifndef GMEM_OBS_JOIN_H
#define GMEM_OBS_JOIN_H

#include "obs/obs.h"

/* path: of the region. suffix: what stands behind the program's name, "" is nothing. Says why when it cannot be. */
int obs_join(const char *path, const char *suffix);
/* Who this is, as the system says it; name: the path of the program, and the suffix. */
struct obs_self obs_join_self(const char *suffix);
/* What obs_join_self() last gave as name. */
const char *obs_join_name(void);
/* The address is in the program, or in a library that called for it. Takes no lock. */
void obs_note_caller(uint64_t address);
/* frame: of the exported function that was called from there (obs/stack.h), or 0. */
void obs_note_call(uint64_t address, uint64_t frame);
/* All code that the loader has loaded, if stacks are wanted: callers of callers may be anywhere. The loader changes its list
 * under a lock that is not ours to take: only where no other thread is. */
void obs_learn_all(void);

#endif
