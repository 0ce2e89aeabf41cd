/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the consumers of a conversion refuse. The lowest page is always known; all of them are kept only for a
 * caller who asked, in a set of pages that joins what touches, however often and in whatever order it was told.
 */
#include <errno.h>

#include "core/file_private.h"
#include "core/range.h"

#define REFUSED 1u

bool gmem_change_wants_all(const struct gmem_change *ch)
{
	return ch->conversion->refused;
}

static int keep(struct refusals *r, uint64_t page, uint64_t nr)
{
	int err = 0;

	if (!r->pages)
		err = attr_map_create(REFUSED, 0, &r->pages);
	if (!err)
		err = attr_map_reserve(r->pages, page, nr);
	if (!err)
		attr_map_set(r->pages, page, nr, REFUSED);
	return err;
}

/* Who refuses may be another process, or hold a larger thing: only what of it lies in the change counts, in whole
 * pages. */
void gmem_change_refuse(const struct gmem_change *ch, uint64_t offset, uint64_t size)
{
	struct refusals *r = &ch->file->refusals;
	uint64_t first = ch->offset >> OS_PAGE_SHIFT;
	uint64_t end = first + (ch->size >> OS_PAGE_SHIFT);
	uint64_t page = max_u64(first, offset >> OS_PAGE_SHIFT);

	os_assert(ch->kind == GMEM_CHANGE_CONVERT);
	if (size)
		end = min_u64(end, range_page_end(offset, size));
	if (!size || page >= end)
		return;
	if (!r->any || page << OS_PAGE_SHIFT < r->lowest)
		r->lowest = page << OS_PAGE_SHIFT;
	r->any = true;
	if (gmem_change_wants_all(ch) && keep(r, page, end - page))
		r->lost = true;
}

void refusals_begin(struct gmem_file *f)
{
	f->refusals = (struct refusals){ 0 };
}

static void report(struct attr_map *pages, struct gmem_conversion *c)
{
	uint64_t end = (c->offset + c->size) >> OS_PAGE_SHIFT;
	uint64_t page = c->offset >> OS_PAGE_SHIFT;
	uint32_t value;
	uint64_t nr;

	for (; page < end; page += nr) {
		nr = attr_map_run(pages, page, end - page, &value);
		if (value != REFUSED)
			continue;
		if (c->nr_refused < c->max_refused)
			c->refused[c->nr_refused] = (struct gmem_refused){
				.offset = page << OS_PAGE_SHIFT,
				.size = nr << OS_PAGE_SHIFT,
			};
		c->nr_refused++;
	}
}

int refusals_end(struct gmem_file *f, struct gmem_conversion *c, int err)
{
	struct refusals *r = &f->refusals;

	if (err == -EAGAIN && r->lost)
		err = -ENOMEM;
	if (err)
		c->error_offset = err == -EAGAIN && r->any ? r->lowest : c->offset;
	if (r->pages) {
		if (err == -EAGAIN)
			report(r->pages, c);
		attr_map_destroy(r->pages);
		r->pages = NULL;
	}
	return err;
}
