/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Of a file with windows and huge pages (store_mixed.c): which blocks are in which pages. One that is of one kind all through
 * is huge, if it is private or the host can map it so, every other is small:
 *
 *	apart		before the conversion's bracket: what will be of both kinds, or the host has to have small
 *	the conversion
 *	together	after it: what is of one kind now
 *
 * Contents are copied, in a bracket of their own, which keeps off the guests. Of what is shared all through the host has
 * windows: each is closed, which lets nobody on who touches it, and opened when the block is where it will be. A block that
 * is of both kinds is not moved. A pin of a shared page forbids the move; what is pinned is never private.
 * All under the invalidate lock, exclusively.
 */
#include <errno.h>

#include "core/file_private.h"
#include "core/range.h"
#include "obs/obs.h"

/* Looked for between blocks from here on. */
#define LONG_MOVE ((uint64_t)1 << 30)

enum kind { PRIVATE_ALL, SHARED_ALL, BOTH };

static enum kind kind_of(struct gmem_file *f, uint64_t block)
{
	uint32_t value;

	if (!attr_map_uniform(f->attributes, block >> OS_PAGE_SHIFT,
			      f->store->block >> OS_PAGE_SHIFT, &value))
		return BOTH;
	return value == ATTR_PRIVATE ? PRIVATE_ALL : SHARED_ALL;
}

/* NULL: nobody who maps what is shared, and can have it huge. */
static struct gmem_consumer *host_of(struct gmem_file *f)
{
	struct gmem_consumer *c = f->consumers;

	while (c && !(c->last && c->ops->takes_huge))
		c = c->next;
	return c;
}

static bool host_takes(struct gmem_file *f, uint64_t block)
{
	struct gmem_consumer *host = host_of(f);

	return host && !f->stays_small && host->ops->takes_huge(host, block, f->store->block);
}

static bool has_contents(struct gmem_file *f, uint64_t block)
{
	uint64_t at = block, run;

	return store_next_present(f->store, &at, block + f->store->block, &run);
}

/* ---- which --------------------------------------------------------------------------------------- */

struct moves {
	struct gmem_change bracket;	  /* whole blocks, from the first to move */
	const struct gmem_change *change; /* that comes; NULL: none */
	bool (*wanted)(const struct moves *m, uint64_t block);
	bool huge;     /* where to */
	bool may_stop; /* for a signal */
	bool goes_on;  /* behind one that is held */
};

static bool wants_together(const struct moves *m, uint64_t block)
{
	struct gmem_file *f = m->bracket.file;
	enum kind kind = kind_of(f, block);

	return kind == PRIVATE_ALL ||
	       (kind == SHARED_ALL && has_contents(f, block) && host_takes(f, block));
}

/* Who touches a window asks nobody for memory, and nobody hears which pieces are no more punched then. */
static bool is_there(struct gmem_file *f, uint64_t block)
{
	uint64_t at = block, run;

	return store_next_present(f->store, &at, block + f->store->block, &run) && at == block &&
	       run == f->store->block;
}

/* A conversion takes no memory: what nobody has touched becomes small, which is no copy. What was punched in part becomes whole
 * on the way back. */
static bool wants_apart(const struct moves *m, uint64_t block)
{
	const struct gmem_change *ch = m->change;
	uint64_t size = ch->file->store->block;

	if (block < ch->offset || block + size > ch->offset + ch->size)
		return true;
	return !(ch->attributes & ATTR_PRIVATE) &&
	       (!is_there(ch->file, block) || !host_takes(ch->file, block));
}

static bool is_shared(const struct moves *m, uint64_t block)
{
	return kind_of(m->bracket.file, block) == SHARED_ALL;
}

/* The first block that is elsewhere, at *block or behind it. */
static bool next_block(const struct moves *m, uint64_t *block)
{
	const struct gmem_change *ch = &m->bracket;
	uint64_t size = ch->file->store->block, end = ch->offset + ch->size;

	for (; *block < end; *block += size)
		if (store_is_huge(ch->file->store, *block) != m->huge && m->wanted(m, *block))
			return true;
	return false;
}

/* False: there is none to move. */
static bool find(struct moves *m, struct gmem_file *f, uint64_t offset, uint64_t size)
{
	uint64_t block = f->store->block, end;
	struct gmem_change *ch = &m->bracket;

	if (!block)
		return false;
	end = min_u64((offset + size + block - 1) & ~(block - 1), f->size & ~(block - 1));
	*ch = (struct gmem_change){ .kind = GMEM_CHANGE_MOVE,
				    .offset = offset & ~(block - 1),
				    .filter = GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE,
				    .file = f };
	if (ch->offset >= end)
		return false;
	ch->size = end - ch->offset;
	if (!next_block(m, &ch->offset))
		return false;
	ch->size = end - ch->offset;
	return true;
}

/* ---- moving -------------------------------------------------------------------------------------- */

static int move_closed(struct gmem_file *f, uint64_t block, bool huge)
{
	if (f->limit.limit)
		return limit_move(&f->limit, block, huge);
	return store_move(f->store, block, huge);
}

static int move_shared(struct gmem_file *f, struct gmem_consumer *host, uint64_t block, bool huge)
{
	int err = host->ops->close(host, block, f->store->block);

	if (err)
		return err;
	err = move_closed(f, block, huge);
	os_assert(err || !huge || is_there(f, block));
	host->ops->open(host, block, f->store->block);
	return err;
}

static int move_one(struct gmem_file *f, uint64_t block, bool huge)
{
	struct gmem_consumer *host = host_of(f);

	if (host && kind_of(f, block) == SHARED_ALL)
		return move_shared(f, host, block, huge);
	return move_closed(f, block, huge);
}

/* One that cannot is small: the next conversion of a page in it tries again. */
static void move_together(struct moves *m)
{
	m->huge = true;
	m->wanted = wants_together;
	for (uint64_t block = m->bracket.offset; next_block(m, &block);
	     block += m->bracket.file->store->block)
		move_one(m->bracket.file, block, true);
}

static int move_apart(const struct moves *m)
{
	uint64_t block = m->bracket.offset;
	bool held = false;
	int err = 0;

	for (; !err && next_block(m, &block); block += m->bracket.file->store->block) {
		if (m->may_stop && m->bracket.size >= LONG_MOVE && os_signal_pending())
			return -EINTR;
		err = move_one(m->bracket.file, block, false);
		/* None of the others converts then; of what stays small one that is held is no reason. */
		if (err == -EAGAIN && m->change)
			gmem_change_refuse(m->change, block, m->bracket.file->store->block);
		held |= err == -EAGAIN;
		if (held && m->goes_on)
			err = 0;
	}
	return err ? err : held ? -EAGAIN : 0;
}

static int refuse(int err)
{
	if (err == -EAGAIN)
		return obs_refuse(RULE_CONVERT_BLOCK_HELD);
	return err == -EINTR ? obs_refuse(RULE_CONVERT_SIGNAL)
			     : obs_refuse_as(RULE_CONVERT_APART, err);
}

static int apart(struct moves *m, struct gmem_file *f, uint64_t offset, uint64_t size)
{
	int err;

	if (!find(m, f, offset, size))
		return 0;
	err = bracket_begin(f, &m->bracket);
	os_assert(!err);
	err = move_apart(m);
	if (err)
		move_together(m);
	bracket_end(f, &m->bracket);
	return err;
}

int blocks_apart(struct gmem_file *f, const struct gmem_change *ch)
{
	struct moves m = { .change = ch, .wanted = wants_apart, .may_stop = true };
	int err = apart(&m, f, ch->offset, ch->size);

	return err ? refuse(err) : 0;
}

int blocks_apart_shared(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct moves m = { .wanted = is_shared, .may_stop = true };
	int err = apart(&m, f, offset, size);

	return err ? refuse(err) : 0;
}

void blocks_together(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct moves m = { .wanted = wants_together, .huge = true };
	int err;

	if (!find(&m, f, offset, size))
		return;
	err = bracket_begin(f, &m.bracket);
	os_assert(!err);
	move_together(&m);
	bracket_end(f, &m.bracket);
}

bool gmem_file_is_small(struct gmem_file *f)
{
	return !f->store->block || atomic_load(&f->is_small);
}

bool gmem_file_shares_huge(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	uint64_t block = f->store->block, end = min_u64(offset + size, f->size), at;

	for (at = block ? offset & ~(block - 1) : end; at < end; at += block)
		if (store_is_huge(f->store, at) && kind_of(f, at) == SHARED_ALL)
			return true;
	return false;
}

int gmem_file_stay_small(struct gmem_file *f)
{
	struct moves m = { .wanted = is_shared, .goes_on = true };
	int err;

	if (gmem_file_is_small(f))
		return 0;
	os_rwlock_write_lock(&f->invalidate);
	f->stays_small = true;
	err = f->released ? 0 : apart(&m, f, 0, f->size);
	atomic_store(&f->is_small, !err && !f->released);
	os_rwlock_write_unlock(&f->invalidate);
	return err;
}

void blocks_check(struct gmem_file *f)
{
	uint64_t size = f->store->block;

	for (uint64_t at = 0; size && at + size <= f->size; at += size)
		os_assert(!store_is_huge(f->store, at) || kind_of(f, at) == PRIVATE_ALL ||
			  (kind_of(f, at) == SHARED_ALL && !gmem_file_is_small(f)));
}
