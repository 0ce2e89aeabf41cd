/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * attr_pool: cells of one size that keep their type until the pool is destroyed.
 *
 * A lookup of the attribute map may still look at a node after it was freed, and even after it was
 * used again. That is harmless only because the memory stays a cell of the same kind (see the
 * reader's rule in attr_map.c). So slabs are never given back before the end.
 *
 * All calls under the map's writer lock.
 */
#ifndef GMEM_CORE_ATTR_POOL_H
#define GMEM_CORE_ATTR_POOL_H

#include <stdatomic.h>
#include <stdint.h>

struct attr_slab;

/* What a free cell holds, at a place its user says. Atomic since a late reader may look. */
struct attr_cell {
	_Atomic uintptr_t next;
};

struct attr_pool {
	uint32_t cell_size;
	uint32_t link;	     /* offset of the attr_cell */
	uint32_t slab_cells; /* cells of the next slab: doubles up to a limit */
	struct attr_slab *slabs;
	struct attr_cell *free;
	uint64_t nr_free, nr_cells;
	uint64_t bytes;
};

void attr_pool_init(struct attr_pool *pool, uint32_t cell_size, uint32_t link);
/* Whether cells have been given back or not. */
void attr_pool_destroy(struct attr_pool *pool);
/* Makes sure that nr cells can be taken. -ENOMEM. */
int attr_pool_reserve(struct attr_pool *pool, uint64_t nr);
/* Reserved before. The contents are what the last user left, zero if there was none, but for the link. */
void *attr_pool_take(struct attr_pool *pool);
void attr_pool_give(struct attr_pool *pool, void *cell);

/* A list of cells through their links, which the user may have for cells in hand, too. */
static inline void attr_cell_push(struct attr_cell **list, struct attr_cell *cell)
{
	/* Release: a late reader that finds this link also finds the sequence moved on. */
	atomic_store_explicit(&cell->next, (uintptr_t)*list, memory_order_release);
	*list = cell;
}

static inline struct attr_cell *attr_cell_pop(struct attr_cell **list)
{
	struct attr_cell *cell = *list;

	*list = (struct attr_cell *)atomic_load_explicit(&cell->next, memory_order_relaxed);
	return cell;
}

#endif
