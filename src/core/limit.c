/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "core/limit.h"

#include <errno.h>

#include "core/attr_map.h"
#include "core/range.h"
#include "core/store.h"
#include "os/os.h"

/* The largest page that a store of small ones takes at once; and so much is touched between two looks for signals. */
#define STEP ((uint64_t)2 << 20)

struct gmem_limit {
	_Atomic uint32_t refs;
	uint64_t bytes;
	struct os_mutex lock; /* the list, and all that takes memory */
	struct limit_link *links;
};

/* ---- life ------------------------------------------------------------------------------------ */

int gmem_limit_create(uint64_t bytes, struct gmem_limit **out)
{
	struct gmem_limit *limit = os_alloc(sizeof(*limit));

	if (!limit)
		return -ENOMEM;
	atomic_init(&limit->refs, 1);
	limit->bytes = bytes;
	os_mutex_init(&limit->lock);
	*out = limit;
	return 0;
}

void gmem_limit_put(struct gmem_limit *limit)
{
	uint32_t refs = atomic_fetch_sub_explicit(&limit->refs, 1, memory_order_acq_rel);

	os_assert(refs);
	if (refs > 1)
		return;
	os_assert(!limit->links);
	os_free(limit, sizeof(*limit));
}

uint64_t gmem_limit_bytes(const struct gmem_limit *limit)
{
	return limit->bytes;
}

void limit_add(struct gmem_limit *limit, struct limit_link *link)
{
	os_assert(!link->limit);
	atomic_fetch_add_explicit(&limit->refs, 1, memory_order_relaxed);
	link->limit = limit;
	os_mutex_lock(&limit->lock);
	link->next = limit->links;
	if (link->next)
		link->next->pprev = &link->next;
	link->pprev = &limit->links;
	limit->links = link;
	os_mutex_unlock(&limit->lock);
}

void limit_remove(struct limit_link *link)
{
	struct gmem_limit *limit = link->limit;

	if (!limit)
		return;
	os_mutex_lock(&limit->lock);
	*link->pprev = link->next;
	if (link->next)
		link->next->pprev = link->pprev;
	os_mutex_unlock(&limit->lock);
	*link = (struct limit_link){ 0 };
	gmem_limit_put(limit);
}

/* ---- room ------------------------------------------------------------------------------------ */

static uint64_t unit_up(uint64_t unit, uint64_t offset)
{
	return (offset + unit - 1) & ~(unit - 1);
}

static uint64_t unit_at(const struct limit_link *link, uint64_t offset)
{
	return store_is_huge(link->store, offset) ? link->store->block : link->unit;
}

static uint64_t used_locked(const struct gmem_limit *limit)
{
	uint64_t bytes = 0;

	for (const struct limit_link *link = limit->links; link; link = link->next)
		bytes += store_backed(link->store);
	return bytes;
}

uint64_t gmem_limit_used(struct gmem_limit *limit)
{
	uint64_t bytes;

	os_mutex_lock(&limit->lock);
	bytes = used_locked(limit);
	os_mutex_unlock(&limit->lock);
	return bytes;
}

static bool has_room(const struct gmem_limit *limit, uint64_t bytes)
{
	uint64_t used = used_locked(limit);

	return used <= limit->bytes && bytes <= limit->bytes - used;
}

static bool is_present(struct store *s, uint64_t offset, uint64_t size)
{
	uint64_t at = offset, run;

	return store_next_present(s, &at, offset + size, &run) && at == offset && run == size;
}

/* What backing the range takes: all units of which it is and that have no page yet. */
static uint64_t missing_units(const struct limit_link *link, uint64_t unit, uint64_t offset,
			      uint64_t end)
{
	uint64_t bytes = 0, run, at;

	end = min_u64(unit_up(unit, end), link->size);
	for (offset &= ~(unit - 1); offset < end; offset = unit_up(unit, at + run)) {
		at = offset;
		if (!store_next_present(link->store, &at, end, &run))
			return bytes + unit_up(unit, end) - offset;
		bytes += (at & ~(unit - 1)) - offset;
	}
	return bytes;
}

static uint64_t missing(const struct limit_link *link, uint64_t offset, uint64_t size)
{
	uint64_t block = link->store->block, end = offset + size, bytes = 0, stop;

	for (; offset < end; offset = stop) {
		stop = block ? min_u64((offset & ~(block - 1)) + block, end) : end;
		bytes += missing_units(link, unit_at(link, offset), offset, stop);
	}
	return bytes;
}

/* As far as the store's addresses hang together: *stop. */
static int touch(struct store *s, uint64_t offset, uint64_t end, uint64_t *stop)
{
	uint64_t span = min_u64(level_pages(store_level(s, offset)) << OS_PAGE_SHIFT, STEP);
	void *at;
	int err = store_address(s, offset, &at);

	*stop = min_u64(end, (offset & ~(span - 1)) + span);
	if (err)
		return err;
	err = os_populate(at, *stop - offset, true);
	return err == -EFAULT ? -ENOMEM : err;
}

/* ---- what takes memory --------------------------------------------------------------------------- */

static int fill_locked(struct limit_link *link, uint64_t offset, bool *is_over)
{
	struct store *s = link->store;
	uint64_t stop;
	int err = 0;

	*is_over = !has_room(link->limit, missing(link, offset, OS_PAGE_SIZE));
	if (*is_over)
		return -ENOMEM;
	/* Else the store might take a huge page, where a small one has room. */
	if (unit_at(link, offset) > OS_PAGE_SIZE || has_room(link->limit, STEP))
		err = store_fill(s, offset);
	return err ? err : touch(s, offset, offset + OS_PAGE_SIZE, &stop);
}

int limit_fill(struct limit_link *link, uint64_t offset, bool *is_over)
{
	int err;

	offset &= ~(uint64_t)(OS_PAGE_SIZE - 1);
	*is_over = false;
	if (is_present(link->store, offset, OS_PAGE_SIZE))
		return 0;
	os_mutex_lock(&link->limit->lock);
	err = fill_locked(link, offset, is_over);
	os_mutex_unlock(&link->limit->lock);
	return err;
}

static int touch_range(struct store *s, uint64_t offset, uint64_t end)
{
	uint64_t stop;
	int err = 0;

	for (; !err && offset < end; offset = stop)
		err = touch(s, offset, end, &stop);
	return err;
}

/* A piece at a time: what is allocated and not touched would count, and be taken for missing once more. */
static int allocate_range(struct store *s, uint64_t offset, uint64_t end)
{
	uint64_t stop;
	int err = 0;

	for (; !err && offset < end; offset = stop) {
		if (os_signal_pending())
			return -EINTR;
		stop = min_u64(end, (offset & ~(STEP - 1)) + STEP);
		err = store_allocate(s, offset, stop - offset);
		if (!err)
			err = touch_range(s, offset, stop);
	}
	return err;
}

int limit_allocate(struct limit_link *link, uint64_t offset, uint64_t size, bool *is_over)
{
	struct gmem_limit *limit = link->limit;
	int err;

	os_mutex_lock(&limit->lock);
	*is_over = !has_room(limit, missing(link, offset, size));
	err = *is_over ? -ENOMEM : allocate_range(link->store, offset, offset + size);
	os_mutex_unlock(&limit->lock);
	return err;
}

/* It has less in small pages than in a huge one. */
int limit_move(struct limit_link *link, uint64_t block, bool huge)
{
	struct store *s = link->store;
	uint64_t size = s->block, lacks;
	int err = -ENOMEM;

	os_mutex_lock(&link->limit->lock);
	lacks = missing_units(link, OS_PAGE_SIZE, block, block + size);
	if (!huge || lacks == size || has_room(link->limit, lacks))
		err = store_move(s, block, huge);
	os_mutex_unlock(&link->limit->lock);
	return err;
}

int limit_level(struct limit_link *link, uint64_t offset, int level)
{
	for (; level > LEVEL_4K; level--) {
		uint64_t span = level_pages(level) << OS_PAGE_SHIFT;

		if (is_present(link->store, offset & ~(span - 1), span))
			return level;
	}
	return LEVEL_4K;
}
