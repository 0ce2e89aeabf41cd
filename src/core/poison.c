/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory that has failed: what was in the pages is lost, and nobody gets them, until they are punched and others come in
 * their place. Whoever has a translation loses it in the bracket of a discard.
 */
#include <errno.h>

#include "core/file_private.h"
#include "core/range.h"
#include "obs/obs.h"

#define POISONED 1u

static struct attr_map *poisoned_of(struct gmem_file *f)
{
	return atomic_load_explicit(&f->poisoned, memory_order_acquire);
}

static bool is_all(struct attr_map *map, uint64_t offset, uint64_t size, uint32_t value)
{
	uint32_t found;

	return attr_map_uniform(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, &found) &&
	       found == value;
}

/* Without memory for it nothing is marked. */
static int mark(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t value)
{
	struct attr_map *map = poisoned_of(f);
	int err = 0;

	if (!map) {
		err = attr_map_create_for(POISONED, 0, f->size >> OS_PAGE_SHIFT, &map);
		if (err)
			return err;
		atomic_store_explicit(&f->poisoned, map, memory_order_release);
	}
	err = attr_map_reserve(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT);
	if (!err)
		attr_map_set(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, value);
	return err;
}

/* The host could go on touching what it has mapped. */
static bool is_hidden(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	if (!(f->flags & GMEM_FILE_MMAP))
		return true;
	return is_all(f->attributes, offset, size, ATTR_PRIVATE);
}

static int poison_locked(struct gmem_file *f, struct gmem_change *ch)
{
	int err;

	if (f->released)
		return obs_refuse(RULE_GMEM_RELEASED);
	if (!is_hidden(f, ch->offset, ch->size))
		return obs_refuse(RULE_POISON_SHARED);
	if (mark(f, ch->offset, ch->size, POISONED))
		return obs_refuse(RULE_NO_MEMORY);
	err = bracket_begin(f, ch);
	os_assert(!err);
	bracket_end(f, ch);
	return 0;
}

int gmem_file_poison(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct gmem_change ch = {
		.kind = GMEM_CHANGE_DISCARD,
		.offset = offset,
		.size = size,
		.filter = GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE,
		.file = f,
	};
	int err;

	os_assert(size && !((offset | size) & (OS_PAGE_SIZE - 1)));
	os_assert(range_inside(offset, size, f->size));
	os_rwlock_write_lock(&f->invalidate);
	err = poison_locked(f, &ch);
	os_rwlock_write_unlock(&f->invalidate);
	return err;
}

bool poison_meets(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct attr_map *map = poisoned_of(f);

	return map && !is_all(map, offset, size, 0);
}

uint64_t gmem_file_poisoned_run(struct gmem_file *f, uint64_t offset, uint64_t size, bool *poisoned)
{
	struct attr_map *map = poisoned_of(f);
	uint32_t value = 0;

	os_assert(size && range_inside(offset, size, f->size));
	if (map)
		size = attr_map_run(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, &value)
		       << OS_PAGE_SHIFT;
	*poisoned = value;
	return size;
}

int poison_level(struct gmem_file *f, uint64_t offset, int level)
{
	struct attr_map *map = poisoned_of(f);

	return map ? attr_map_level(map, offset >> OS_PAGE_SHIFT, level) : level;
}

/* What cannot be noted stays as it is: a page too many that nobody gets. */
void poison_punched(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	if (poison_meets(f, offset, size))
		mark(f, offset, size, 0);
}

void poison_destroy(struct gmem_file *f)
{
	struct attr_map *map = poisoned_of(f);

	if (map)
		attr_map_destroy(map);
}
