/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * unwind: who called the wrapper that called gmem, of the stacks that observed programs copy into the region
 * (obs/stack.h). By the call frame information of the program's files, so that it needs no frame pointers.
 */
#ifndef GMEM_SEE_UNWIND_H
#define GMEM_SEE_UNWIND_H

#include <stddef.h>
#include <stdint.h>

#include "obs/region.h"
#include "obs/walk.h"

struct see_stacks;

/* A place and who called it. */
struct see_chain {
	uint32_t process;
	struct obs_places is;
};

/* NULL: no memory. */
struct see_stacks *see_stacks_new(void);
void see_stacks_free(struct see_stacks *s);
/* Of a see_drain. Their callers become the innermost that are outside of wrappers; where none is found they stay as they
 * are. One whose stack was lost has the place of its wrapper's others, if there is only one. */
void see_stacks_apply(void *stacks, struct obs_region *r, struct obs_record *records, size_t nr);
/* How many stacks were not copied, for want of room. */
uint64_t see_stacks_lost(const struct obs_region *r);

#endif
