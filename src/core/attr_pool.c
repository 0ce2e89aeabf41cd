/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "core/attr_pool.h"

#include <errno.h>

#include "os/os.h"

#define SLAB_MAX ((uint32_t)128 << 10)

struct attr_slab {
	struct attr_slab *next;
	uint64_t size;
	char pad[48]; /* cells begin on a cache line of their own */
};

void attr_pool_init(struct attr_pool *pool, uint32_t cell_size, uint32_t link)
{
	*pool = (struct attr_pool){ .cell_size = cell_size, .link = link, .slab_cells = 1 };
	/* A small first slab: most maps hold little. */
	while (pool->slab_cells * cell_size < 2048)
		pool->slab_cells *= 2;
}

void attr_pool_destroy(struct attr_pool *pool)
{
	while (pool->slabs) {
		struct attr_slab *slab = pool->slabs;

		pool->slabs = slab->next;
		os_free(slab, slab->size);
	}
}

static int grow(struct attr_pool *pool)
{
	uint64_t size = sizeof(struct attr_slab) + (uint64_t)pool->slab_cells * pool->cell_size;
	struct attr_slab *slab = os_alloc(size);
	uint32_t i;

	if (!slab)
		return -ENOMEM;
	slab->next = pool->slabs;
	slab->size = size;
	pool->slabs = slab;
	pool->bytes += size;
	pool->nr_cells += pool->slab_cells;
	for (i = 0; i < pool->slab_cells; i++)
		attr_pool_give(pool, (char *)(slab + 1) + (uint64_t)i * pool->cell_size);
	if (pool->slab_cells * pool->cell_size * 2 <= SLAB_MAX)
		pool->slab_cells *= 2;
	return 0;
}

int attr_pool_reserve(struct attr_pool *pool, uint64_t nr)
{
	while (pool->nr_free < nr) {
		int err = grow(pool);

		if (err)
			return err;
	}
	return 0;
}

void *attr_pool_take(struct attr_pool *pool)
{
	os_assert(pool->free);
	pool->nr_free--;
	return (char *)attr_cell_pop(&pool->free) - pool->link;
}

void attr_pool_give(struct attr_pool *pool, void *cell)
{
	attr_cell_push(&pool->free, (struct attr_cell *)(void *)((char *)cell + pool->link));
	pool->nr_free++;
}
