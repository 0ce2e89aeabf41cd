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

struct see_stacks;

/* NULL: no memory. */
struct see_stacks *see_stacks_new(void);
void see_stacks_free(struct see_stacks *s);
/* Of a see_drain. Records of the ring from number first on. Their callers become the innermost that are outside of wrappers; where none is
 * found they stay as they are. */
void see_stacks_apply(void *stacks, struct obs_region *r, struct obs_record *records, size_t nr,
		      uint64_t first);
/* How many stacks were not copied, for want of room. */
uint64_t see_stacks_lost(const struct obs_region *r);

#endif
