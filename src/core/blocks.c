/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Of a file with windows and huge pages (store_mixed.c): which blocks are in which pages. A window never maps a huge page, so
 * one with a shared page in it is in small ones:
 *
 *	to shared	move apart, then the conversion's bracket: the host sees the block when it is small
 *	to private	the conversion's bracket, then move together: no host sees any of it any more
 *
 * Contents are copied, in a bracket of their own, which keeps off those who reach private pages; a host reaches none of the
 * block before and none after. No pin can be on it: what is pinned is shared, and refuses to become private.
 * All under the invalidate lock, exclusively.
 */
#include <errno.h>

#include "core/file_private.h"
#include "core/range.h"
#include "obs/obs.h"

/* Looked for between blocks from here on. */
#define LONG_MOVE ((uint64_t)1 << 30)

static bool is_private_all(struct gmem_file *f, uint64_t block)
{
	uint32_t value;

	return attr_map_uniform(f->attributes, block >> OS_PAGE_SHIFT,
				f->store->block >> OS_PAGE_SHIFT, &value) &&
	       value == ATTR_PRIVATE;
}

static bool is_to_move(struct gmem_file *f, uint64_t block, bool huge)
{
	return store_is_huge(f->store, block) != huge && (!huge || is_private_all(f, block));
}

/* The first block of the change that is elsewhere, at *block or behind it. */
static bool next_block(const struct gmem_change *ch, uint64_t *block, bool huge)
{
	uint64_t size = ch->file->store->block, end = ch->offset + ch->size;

	for (; *block < end; *block += size)
		if (is_to_move(ch->file, *block, huge))
			return true;
	return false;
}

/* The whole blocks that the range meets, from the first to move. */
static bool find(struct gmem_file *f, uint64_t offset, uint64_t size, bool huge,
		 struct gmem_change *ch)
{
	uint64_t block = f->store->block;
	uint64_t end = min_u64((offset + size + block - 1) & ~(block - 1), f->size & ~(block - 1));

	*ch = (struct gmem_change){ .kind = GMEM_CHANGE_MOVE,
				    .offset = offset & ~(block - 1),
				    .filter = GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE,
				    .file = f };
	if (ch->offset >= end)
		return false;
	ch->size = end - ch->offset;
	if (!next_block(ch, &ch->offset, huge))
		return false;
	ch->size = end - ch->offset;
	return true;
}

static int move_one(struct gmem_file *f, uint64_t block, bool huge)
{
	if (f->limit.limit)
		return limit_move(&f->limit, block, huge);
	return store_move(f->store, block, huge);
}

static int move_apart(const struct gmem_change *ch)
{
	uint64_t block = ch->offset;
	int err = 0;

	for (; !err && next_block(ch, &block, false); block += ch->file->store->block) {
		if (ch->size >= LONG_MOVE && os_signal_pending())
			return obs_refuse(RULE_CONVERT_SIGNAL);
		err = move_one(ch->file, block, false);
	}
	return err ? obs_refuse_as(RULE_CONVERT_APART, err) : 0;
}

/* One that cannot is small: the next conversion of a page in it tries again. */
static void move_together(const struct gmem_change *ch)
{
	for (uint64_t block = ch->offset; next_block(ch, &block, true);
	     block += ch->file->store->block)
		move_one(ch->file, block, true);
}

int blocks_apart(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct gmem_change ch;
	int err;

	if (!f->store->block || !find(f, offset, size, false, &ch))
		return 0;
	err = bracket_begin(f, &ch);
	os_assert(!err);
	err = move_apart(&ch);
	if (err)
		move_together(&ch);
	bracket_end(f, &ch);
	return err;
}

void blocks_together(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct gmem_change ch;
	int err;

	if (!f->store->block || !find(f, offset, size, true, &ch))
		return;
	err = bracket_begin(f, &ch);
	os_assert(!err);
	move_together(&ch);
	bracket_end(f, &ch);
}

void blocks_check(struct gmem_file *f)
{
	uint64_t size = f->store->block;

	for (uint64_t at = 0; size && at + size <= f->size; at += size)
		os_assert(!store_is_huge(f->store, at) || is_private_all(f, at));
}
