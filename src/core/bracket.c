/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Telling the consumers: all of them, or none. */
#include <errno.h>
#include <stddef.h>

#include "core/file_private.h"

/* All are asked, so that the lowest page that any of them refuses is known. */
int bracket_prepare(struct gmem_file *f, struct gmem_change *ch)
{
	struct gmem_consumer *c;
	int refused = 0;

	os_assert(ch->kind == GMEM_CHANGE_CONVERT);
	/* The number that it will have if it gets as far as begin. */
	ch->generation = f->generation + 1;
	for (c = f->consumers; c; c = c->next) {
		int err = c->ops->prepare ? c->ops->prepare(c, ch) : 0;

		if (err && err != -EAGAIN)
			return err;
		if (err)
			refused = err;
	}
	return refused;
}

static int begin_some(struct gmem_file *f, const struct gmem_change *ch, bool last)
{
	struct gmem_consumer *c;

	for (c = f->consumers; c; c = c->next) {
		int err = c->last == last ? c->ops->begin(c, ch) : 0;

		if (err)
			return err;
		c->began |= c->last == last;
	}
	return 0;
}

static void end_some(struct gmem_file *f, const struct gmem_change *ch, bool last)
{
	struct gmem_consumer *c;

	for (c = f->consumers; c; c = c->next) {
		if (!c->began || c->last != last)
			continue;
		c->began = false;
		c->ops->end(c, ch);
	}
}

/* Who began last ends first: an aborted conversion to shared hides the pages from the host before anybody
 * else may use them again. */
static void end_began(struct gmem_file *f, const struct gmem_change *ch)
{
	end_some(f, ch, true);
	end_some(f, ch, false);
}

int bracket_begin(struct gmem_file *f, struct gmem_change *ch)
{
	int err;

	os_assert(!f->changing);
	ch->generation = ++f->generation;
	err = begin_some(f, ch, false);
	if (!err)
		err = begin_some(f, ch, true);
	if (err) {
		/* Whatever is not a conversion goes through, whoever would not like it. */
		os_assert(ch->kind == GMEM_CHANGE_CONVERT);
		ch->aborted = true;
		end_began(f, ch);
		return err;
	}
	f->changing = true;
	return 0;
}

void bracket_end(struct gmem_file *f, struct gmem_change *ch)
{
	os_assert(f->changing);
	f->changing = false;
	end_began(f, ch);
}

bool gmem_change_next(const struct gmem_change *ch, uint64_t *at, uint64_t *offset, uint64_t *size)
{
	uint64_t page = ch->offset >> OS_PAGE_SHIFT;
	uint64_t nr_pages = ch->size >> OS_PAGE_SHIFT;
	uint32_t value;

	while (*at < nr_pages) {
		uint64_t first = page + *at;
		uint64_t nr = nr_pages - *at;

		if (ch->kind == GMEM_CHANGE_CONVERT)
			nr = attr_map_run(ch->file->attributes, first, nr, &value);
		*at += nr;
		if (ch->kind == GMEM_CHANGE_CONVERT && value == ch->attributes)
			continue;
		*offset = first << OS_PAGE_SHIFT;
		*size = nr << OS_PAGE_SHIFT;
		return true;
	}
	return false;
}
