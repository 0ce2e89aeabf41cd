/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * limit: how much memory the pages of some files may have together, of all those of a VM for one.
 *
 *	limit ── the files on it, each with what its store holds (store_backed)
 *
 * A fault and an allocation that would take more fail with -ENOMEM before they have taken any; what is punched can be
 * taken again at once. Nothing is counted beside the stores: what a program takes by a touch of its own mapping is
 * served by the host kernel, which knows no such limit, and so it counts but is not refused.
 *
 * What takes memory does so under the limit's lock, so that no two find room in the same bytes. So that every page
 * passes here when it gets memory, a leaf of such a file has no page without.
 *
 * Any thread. Lock order: file invalidate -> limit -> store.
 */
#ifndef GMEM_CORE_LIMIT_H
#define GMEM_CORE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct gmem_limit;
struct store;

/* A store's place on it; all zero when it is on none. */
struct limit_link {
	struct gmem_limit *limit;
	struct limit_link *next, **pprev;
	struct store *store;
	uint64_t size;
	uint64_t
		unit; /* memory comes by that much: a huge page where there are no smaller ones. Of a
			* store with blocks that of the small ones */
};

/* One reference is the caller's. -ENOMEM. */
int gmem_limit_create(uint64_t bytes, struct gmem_limit **out);
/* Each store on it counts as a reference, too. */
void gmem_limit_put(struct gmem_limit *limit);
uint64_t gmem_limit_bytes(const struct gmem_limit *limit);
/* What the stores on it have now. */
uint64_t gmem_limit_used(struct gmem_limit *limit);

/* For file.c. The link is the file's, which has filled in store, size and unit. */
void limit_add(struct gmem_limit *limit, struct limit_link *link);
void limit_remove(struct limit_link *link);
/* As store_fill(), and the page at offset is present afterwards. -ENOMEM. *is_over: for want of room in the limit. */
int limit_fill(struct limit_link *link, uint64_t offset, bool *is_over);
/* As store_allocate(), and the pages are present afterwards. */
int limit_allocate(struct limit_link *link, uint64_t offset, uint64_t size, bool *is_over);
/* As store_move(). -ENOMEM: also for want of room in the limit. */
int limit_move(struct limit_link *link, uint64_t block, bool huge);
/* The largest level, up to level, at which all around offset is present. */
int limit_level(struct limit_link *link, uint64_t offset, int level);

#endif
