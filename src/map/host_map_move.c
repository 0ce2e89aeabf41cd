/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * mremap. A window is many mappings, which the kernel would not move as one, so it is made anew at its new
 * place, closed at first as every window, and then taken away at its old one; the pages are the file's, so
 * nothing is lost but that they are to be touched again. Growing in place maps more behind the end.
 * Checks and their order are mremap(2)'s.
 */
#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "map/host_map_private.h"
#include "obs/rules.h"
#include "os/window.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct move {
	uint64_t addr, old_size, size, to;
	int flags;
};

static bool aligned(uint64_t addr)
{
	return !(addr & (OS_PAGE_SIZE - 1));
}

static bool overlaps(const struct move *v)
{
	return v->to < v->addr + v->old_size && v->addr < v->to + v->size;
}

static int check(const struct move *v)
{
	bool moves = v->flags & MREMAP_MAYMOVE;

	if (v->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return obs_refuse(RULE_MREMAP_FLAGS);
	if ((v->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !moves)
		return obs_refuse(RULE_MREMAP_FLAGS);
	if ((v->flags & MREMAP_DONTUNMAP) && v->old_size != v->size)
		return obs_refuse(RULE_MREMAP_DONTUNMAP_SIZE);
	if (!aligned(v->addr) || !v->size)
		return obs_refuse(RULE_MREMAP_PLACE);
	if ((v->flags & MREMAP_FIXED) &&
	    (!aligned(v->to) || v->to + v->size < v->to || overlaps(v)))
		return obs_refuse(RULE_MREMAP_NEW_PLACE);
	return 0;
}

/* ---- plain mappings: the kernel's, followed ------------------------------------------------------ */

/* How much of the new mapping the part [addr, stop) of the old one makes: its last part grows and
 * shrinks with the mapping. */
static uint64_t moved_size(uint64_t addr, uint64_t stop, uint64_t end, uint64_t rest)
{
	return stop == end || stop - addr > rest ? rest : stop - addr;
}

/* Notes at its new place the part [from, stop) of what was old and moves by distance. */
static void follow_piece(struct host_map *m, const struct move *v, uint64_t from, uint64_t stop,
			 uint64_t distance)
{
	uint64_t end = v->addr + (v->old_size ? v->old_size : 1), new_end = v->addr + v->size;
	struct piece p = *pieces_first(m, from, stop);

	if (from >= new_end)
		return;
	p.w.offset = piece_offset(&p, from);
	p.w.size = moved_size(from, stop, end, new_end - from);
	p.w.addr = from + distance;
	/* Not without a pin of the owner in between: the new one is there before the old one goes. */
	if (distance)
		pieces_insert(m, &p);
	else if (p.w.size > stop - from)
		pieces_first(m, from, stop)->w.size += p.w.size - (stop - from);
}

/* The kernel may have moved several mappings by one call, ours and others (since 6.17). */
static void follow(struct host_map *m, const struct move *v, uint64_t at)
{
	uint64_t addr = v->addr, end = addr + (v->old_size ? v->old_size : 1);

	while (addr < end) {
		struct piece *p = pieces_first(m, addr, end);
		uint64_t from, stop;

		if (!p)
			break;
		from = higher(p->w.addr, addr);
		stop = lower(piece_end(p), end);
		follow_piece(m, v, from, stop, at - v->addr);
		addr = stop;
	}
	pieces_join(m, at, at + v->size);
}

static size_t pieces_in(struct host_map *m, uint64_t addr, uint64_t end)
{
	size_t i = pieces_behind(m, addr), nr = 0;

	while (i + nr < m->nr && m->pieces[i + nr].w.addr < end)
		nr++;
	return nr;
}

static long move_plain(struct host_map *m, const struct move *v)
{
	uint64_t end = range_end(v->addr, v->old_size);
	size_t nr = 6 + pieces_in(m, v->addr, end + 1);
	long ret = pieces_reserve(m, nr);

	if (!ret)
		ret = os_window_move(v->addr, v->old_size, v->size, v->flags, v->to);
	if (is_error(ret))
		return ret;
	if ((uint64_t)ret != v->addr)
		pieces_drop(m, (uint64_t)ret, (uint64_t)ret + v->size);
	else if (v->size > v->old_size)
		pieces_drop(m, end, v->addr + v->size);
	follow(m, v, (uint64_t)ret);
	if ((uint64_t)ret != v->addr && v->old_size && !(v->flags & MREMAP_DONTUNMAP))
		pieces_drop(m, v->addr, end);
	else if ((uint64_t)ret == v->addr && v->size < v->old_size)
		pieces_drop(m, v->addr + v->size, end);
	return ret;
}

/* ---- windows ------------------------------------------------------------------------------------ */

/* One like p, of size bytes from offset on. */
static long make(struct host_map *m, const struct piece *p, uint64_t addr, uint64_t size, int flags,
		 uint64_t offset)
{
	struct piece n = *p;

	n.w.addr = addr;
	n.w.size = size;
	n.w.offset = offset;
	n.w.watched = false;
	return window_make(m, &n, MAP_SHARED | flags | (p->w.lock ? MAP_LOCKED : 0), false);
}

/* Room for two pieces has been reserved. */
static long take_away(struct host_map *m, uint64_t addr, uint64_t size)
{
	long ret = os_window_cut(addr, size);

	if (!ret)
		pieces_drop(m, addr, addr + size);
	return ret;
}

static long shrink(struct host_map *m, const struct move *v)
{
	long ret = pieces_reserve(m, 2);

	if (!ret)
		ret = take_away(m, v->addr + v->size, v->old_size - v->size);
	return ret ? ret : (long)v->addr;
}

/* -EEXIST: no place behind the end. */
static long grow(struct host_map *m, const struct move *v, const struct piece *p)
{
	uint64_t end = v->addr + v->old_size;
	long at;

	if (!v->old_size || end != piece_end(p))
		return -EEXIST;
	at = make(m, p, end, v->size - v->old_size, MAP_FIXED_NOREPLACE, piece_offset(p, end));
	if (is_error(at))
		return at;
	pieces_join(m, end, v->addr + v->size);
	return (long)v->addr;
}

static long move_away(struct host_map *m, const struct move *v, const struct piece *p)
{
	bool stays = !v->old_size || (v->flags & MREMAP_DONTUNMAP);
	bool fixed = v->flags & MREMAP_FIXED;
	bool hint = v->flags & MREMAP_DONTUNMAP;
	long at, ret;

	/* For all that is made, split and dropped here: what follows the new window cannot be refused. */
	at = pieces_reserve(m, 8);
	if (!at)
		at = make(m, p, fixed || hint ? v->to : 0, v->size, fixed ? MAP_FIXED : 0,
			  piece_offset(p, v->addr));
	if (is_error(at))
		return at;
	ret = stays ? 0 : take_away(m, v->addr, v->old_size);
	/* The old one may be the middle of a window, and no mapping left for that: then the new one goes. */
	if (ret && !take_away(m, (uint64_t)at, v->size))
		return ret;
	pieces_join(m, (uint64_t)at, (uint64_t)at + v->size);
	return at;
}

static long move_window(struct host_map *m, const struct move *v)
{
	struct piece *first = pieces_first(m, v->addr, v->addr + 1), p;
	long ret;

	if (!first || v->old_size > piece_end(first) - v->addr)
		return obs_refuse(RULE_MREMAP_NO_WINDOW);
	if (!first->guarded)
		return obs_refuse(RULE_MREMAP_NO_WINDOW);
	/* The array may move. */
	p = *first;
	if (!(v->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))) {
		if (v->old_size == v->size)
			return (long)v->addr;
		if (v->old_size > v->size)
			return shrink(m, v);
		ret = grow(m, v, &p);
		if (ret != -EEXIST)
			return ret;
		if (!(v->flags & MREMAP_MAYMOVE))
			return obs_refuse(RULE_MREMAP_NO_SPACE);
	}
	return move_away(m, v, &p);
}

/* ---- the call ----------------------------------------------------------------------------------- */

static bool is_window(struct host_map *m, const struct move *v)
{
	return pieces_any_guarded(m, v->addr, v->addr + (v->old_size ? v->old_size : 1));
}

/* The file of the window at addr, its owner pinned; a file is held before the registry is locked. */
static struct host_file *window_file(struct host_map *m, uint64_t addr, void **owner)
{
	struct host_map_range r;

	if (!host_map_find(m, addr, 1, &r))
		return NULL;
	*owner = r.owner;
	return r.file;
}

static bool is_of(struct host_map *m, uint64_t addr, const struct host_file *f)
{
	struct piece *p = pieces_first(m, addr, addr + 1);

	return (p ? p->file : NULL) == f;
}

/* False: another thread has put something else there meanwhile. */
static bool try_move(struct host_map *m, const struct move *v, long *ret)
{
	void *owner = NULL;
	struct host_file *f = window_file(m, v->addr, &owner);
	bool same;

	if (f)
		host_file_hold(f);
	os_mutex_lock(&m->lock);
	same = is_of(m, v->addr, f);
	if (same && !is_window(m, v))
		*ret = move_plain(m, v);
	else if (same)
		*ret = check(v) ? check(v) : move_window(m, v);
	host_map_unlock(m);
	if (f)
		host_file_let(f);
	if (f)
		m->ops.put(owner);
	return same;
}

long host_map_mremap(struct host_map *m, uint64_t addr, uint64_t old_size, uint64_t size, int flags,
		     uint64_t to)
{
	struct move v = { addr, os_page_up(old_size), os_page_up(size), to, flags };
	long ret = host_map_loosen(m, v.addr, v.old_size ? v.old_size : 1, true);

	if (ret)
		return ret;
	if (flags & MREMAP_FIXED)
		ret = host_map_loosen(m, v.to, v.size, false);
	if (ret)
		return ret;
	while (!try_move(m, &v, &ret))
		;
	return ret;
}
