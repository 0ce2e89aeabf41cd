/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "core/attr_pool.h"

#include <errno.h>

#include "os/os.h"

/* What is larger than SLAB_SMALL is of whole pages, and all of one size. */
#define SLAB_SMALL ((uint64_t)32 << 10)
#define SLAB_LARGE ((uint64_t)128 << 10)

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

static uint64_t slab_size(const struct attr_pool *pool, uint32_t nr_cells)
{
	return sizeof(struct attr_slab) + (uint64_t)nr_cells * pool->cell_size;
}

static int grow(struct attr_pool *pool)
{
	uint64_t size = slab_size(pool, pool->slab_cells);
	struct attr_slab *slab;
	uint32_t i;

	if (size > SLAB_SMALL) {
		size = SLAB_LARGE;
		pool->slab_cells = (uint32_t)((size - sizeof(struct attr_slab)) / pool->cell_size);
	}
	slab = os_alloc(size);
	if (!slab)
		return -ENOMEM;
	slab->next = pool->slabs;
	slab->size = size;
	pool->slabs = slab;
	pool->bytes += size;
	pool->nr_cells += pool->slab_cells;
	for (i = 0; i < pool->slab_cells; i++)
		attr_pool_give(pool, (char *)(slab + 1) + (uint64_t)i * pool->cell_size);
	if (size < SLAB_SMALL)
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
