/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Private pages are given their first contents, and a file stands still for who copies it. */
#include <errno.h>
#include <string.h>

#include "core/file_private.h"
#include "core/range.h"
#include "obs/obs.h"

/* ---- contents for private pages ------------------------------------------------------------------ */

/* Present from here on, and so one of those that a VM type hears of. */
static int populate_page(struct gmem_file *f, uint64_t offset, const void *from)
{
	void *page;
	int level, err = gmem_file_page(f, offset, &page, &level);

	if (err)
		return err;
	if (!gmem_file_is_private(f, offset))
		return obs_refuse(RULE_POPULATE_SHARED);
	err = os_populate(page, OS_PAGE_SIZE, true);
	if (err)
		return obs_refuse_as(RULE_POPULATE_MEMORY, err);
	if (from)
		memcpy(page, from, OS_PAGE_SIZE);
	return gmem_file_prepare(f, offset);
}

int gmem_file_populate(struct gmem_file *f, uint64_t offset, uint64_t size, const void *from,
		       uint64_t *done)
{
	const char *source = from;
	int err = 0;

	os_assert(size && !((offset | size) & (OS_PAGE_SIZE - 1)));
	os_assert(range_inside(offset, size, f->size));
	os_rwlock_write_lock(&f->invalidate);
	for (*done = 0; !err && *done < size;) {
		err = populate_page(f, offset + *done, source ? source + *done : NULL);
		if (!err)
			*done += OS_PAGE_SIZE;
	}
	os_rwlock_write_unlock(&f->invalidate);
	return err;
}

/* ---- a file that stands still ------------------------------------------------------------------- */

int gmem_file_freeze(struct gmem_file *f)
{
	int err;

	os_rwlock_write_lock(&f->invalidate);
	if (f->released) {
		os_rwlock_write_unlock(&f->invalidate);
		return obs_refuse(RULE_PAGE_RELEASED);
	}
	f->frozen = (struct gmem_change){ .kind = GMEM_CHANGE_FREEZE,
					  .size = f->size,
					  .filter = GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE,
					  .file = f };
	err = bracket_begin(f, &f->frozen);
	os_assert(!err);
	return 0;
}

void gmem_file_thaw(struct gmem_file *f)
{
	bracket_end(f, &f->frozen);
	os_rwlock_write_unlock(&f->invalidate);
}
