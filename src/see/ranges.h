/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* ranges: a set of bytes as disjoint ranges in order, and how many there are. All zero: empty. */
#ifndef GMEM_SEE_RANGES_H
#define GMEM_SEE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranges {
	struct range {
		uint64_t start, end;
	} * list;
	size_t nr, max;
	uint64_t total;
};

/* False: no memory, and nothing changed. */
bool ranges_set(struct ranges *r, uint64_t start, uint64_t end, bool present);
void ranges_free(struct ranges *r);

#endif
