/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The VM type's part in a change. It hears of present pages only, and of neighbours at once.
 *
 * Which pages have been prepared is a set of its own beside the attributes: faults add to it, side by side under
 * the shared invalidate lock, so it has a lock. When there is no memory to take pages out of it, all of them
 * are taken out: a page may be prepared twice, never not at all.
 */
#include <errno.h>

#include "core/file_private.h"
#include "obs/obs.h"

#define PREPARED 1u
#define ERRNO_MAX 4095

typedef void type_fn(void *type, uint64_t offset, uint64_t size);

/* The run of present pages that a walk has found; parts ask it in the order of offsets. */
struct present {
	uint64_t offset, size;
	bool none; /* from offset on */
};

/* The present pages at offset or behind it, before end. */
static bool next_present(struct gmem_file *f, struct present *p, uint64_t offset, uint64_t end)
{
	if (!p->none && offset >= p->offset + p->size) {
		p->offset = offset;
		p->none = !store_next_present(f->store, &p->offset, f->size, &p->size);
	}
	return !p->none && p->offset < end;
}

static void tell_part(struct gmem_file *f, struct present *p, type_fn *fn, uint64_t offset,
		      uint64_t size)
{
	uint64_t end = offset + size;

	while (offset < end && next_present(f, p, offset, end)) {
		uint64_t from = p->offset > offset ? p->offset : offset;
		uint64_t to = p->offset + p->size < end ? p->offset + p->size : end;

		fn(f->type, from, to - from);
		offset = to;
	}
}

/* ---- the set of prepared pages ---------------------------------------------------------------- */

static void forget_prepared(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	uint64_t page = offset >> OS_PAGE_SHIFT;
	uint64_t nr = size >> OS_PAGE_SHIFT;

	os_mutex_lock(&f->prepare_lock);
	if (f->prepared) {
		if (attr_map_reserve(f->prepared, page, nr)) {
			page = 0;
			nr = ATTR_MAP_MAX_INDEX + 1;
		}
		attr_map_set(f->prepared, page, nr, 0);
	}
	os_mutex_unlock(&f->prepare_lock);
}

/* Whose type it is may be a program that knows no better. */
static bool is_errno(int err)
{
	return err < 0 && err >= -ERRNO_MAX;
}

static int prepare_locked(struct gmem_file *f, uint64_t page)
{
	int err = 0;

	if (!f->prepared)
		err = attr_map_create(PREPARED, 0, &f->prepared);
	if (!err)
		err = attr_map_reserve(f->prepared, page, 1);
	if (err)
		return obs_refuse_as(RULE_PAGE_PREPARE_MEMORY, err);
	if (attr_map_get(f->prepared, page) == PREPARED)
		return 0;
	err = f->type_ops->prepare(f->type, page << OS_PAGE_SHIFT, OS_PAGE_SIZE);
	if (err)
		return obs_refuse_as(RULE_PAGE_PREPARE, is_errno(err) ? err : -EIO);
	attr_map_set(f->prepared, page, 1, PREPARED);
	return 0;
}

bool gmem_file_prepares(const struct gmem_file *f)
{
	return f->type_ops && f->type_ops->prepare;
}

int gmem_file_prepare(struct gmem_file *f, uint64_t offset)
{
	int err;

	if (!f->type_ops || !f->type_ops->prepare)
		return 0;
	os_mutex_lock(&f->prepare_lock);
	err = prepare_locked(f, offset >> OS_PAGE_SHIFT);
	os_mutex_unlock(&f->prepare_lock);
	return err;
}

/* ---- changes ----------------------------------------------------------------------------------- */

void gmem_file_set_type(struct gmem_file *f, const struct gmem_type_ops *ops, void *type)
{
	f->type_ops = ops;
	f->type = type;
	store_stay_small(f->store);
}

void type_convert(struct gmem_file *f, const struct gmem_change *ch)
{
	struct present p = { 0 };
	uint64_t at = 0, offset, size;
	type_fn *fn;

	if (!f->type_ops)
		return;
	os_assert(f->changing);
	fn = ch->attributes & ATTR_PRIVATE ? f->type_ops->make_private : f->type_ops->make_shared;
	while (fn && gmem_change_next(ch, &at, &offset, &size))
		tell_part(f, &p, fn, offset, size);
	if (!(ch->attributes & ATTR_PRIVATE))
		forget_prepared(f, ch->offset, ch->size);
}

void type_reclaim(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct present p = { 0 };

	if (!f->type_ops || f->released)
		return;
	os_assert(f->changing);
	if (f->type_ops->reclaim)
		tell_part(f, &p, f->type_ops->reclaim, offset, size);
	forget_prepared(f, offset, size);
}

/* ---- the whole --------------------------------------------------------------------------------- */

void type_destroy(struct gmem_file *f)
{
	if (f->prepared)
		attr_map_destroy(f->prepared);
}

/* Where the file's own map says what a page is, what is prepared is private. */
void type_check(struct gmem_file *f)
{
	uint64_t nr_pages = f->size >> OS_PAGE_SHIFT;
	uint64_t page, nr;
	uint32_t value, attributes;

	if (!f->prepared)
		return;
	attr_map_check(f->prepared);
	for (page = 0; page < nr_pages; page += nr) {
		nr = attr_map_run(f->prepared, page, nr_pages - page, &value);
		if (value && (f->flags & GMEM_FILE_IN_PLACE))
			os_assert(attr_map_uniform(f->attributes, page, nr, &attributes) &&
				  attributes == ATTR_PRIVATE);
	}
}
