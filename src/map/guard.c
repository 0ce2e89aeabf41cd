/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is hidden and how, and the choice between the ways. Order matters where a call can fail in the middle:
 * what has to be remembered is reserved first, and a mark is remembered before it is set, so that the
 * handler of a SIGBUS that comes of it finds the page hidden.
 */
#include "map/guard.h"

#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "core/attr_map.h"
#include "os/os.h"
#include "os/window.h"

#define LARGE ((uint64_t)2 << 20)

/* ---- life ------------------------------------------------------------------------------------ */

int guard_init(struct guard *g)
{
	uint64_t max = os_window_max();
	int err;

	g->empty_fd = g->marks_fd = -1;
	g->limit = max / 8 * 3;
	g->large_limit = max / 2;
	err = attr_map_create(ATTR_PRIVATE, 0, &g->overlaid);
	if (err)
		return err;
	err = attr_map_create(ATTR_PRIVATE, 0, &g->marked);
	if (err)
		attr_map_destroy(g->overlaid);
	return err;
}

void guard_destroy(struct guard *g)
{
	attr_map_destroy(g->overlaid);
	attr_map_destroy(g->marked);
	while (guard_ballast_drop(g))
		;
	if (g->empty_fd >= 0)
		os_fd_close(g->empty_fd);
	if (g->marks_fd >= 0)
		os_fd_close(g->marks_fd);
}

int guard_ready(struct guard *g)
{
	int err = g->empty_fd < 0 ? os_window_empty(&g->empty_fd) : 0;

	if (!err)
		guard_ballast_take(g);
	return err;
}

void guard_set_limits(struct guard *g, uint64_t limit, uint64_t large_limit)
{
	g->limit = limit;
	g->large_limit = large_limit;
}

/* ---- what is known by address ---------------------------------------------------------------- */

uint64_t guard_run_of(struct attr_map *map, uint64_t addr, uint64_t size, bool *set)
{
	uint32_t value;
	uint64_t nr = attr_map_run(map, addr >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, &value);

	*set = value;
	return nr << OS_PAGE_SHIFT;
}

bool guard_none(struct attr_map *map, uint64_t addr, uint64_t size)
{
	uint32_t value;

	return attr_map_uniform(map, addr >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, &value) &&
	       !value;
}

static int reserve(struct attr_map *map, uint64_t addr, uint64_t size)
{
	return attr_map_reserve(map, addr >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT);
}

static void set(struct attr_map *map, uint64_t addr, uint64_t size, bool value)
{
	attr_map_set(map, addr >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, value ? ATTR_PRIVATE : 0);
}

int guard_note(struct attr_map *map, uint64_t addr, uint64_t size, bool value)
{
	int err;

	if (!value && guard_none(map, addr, size))
		return 0;
	err = reserve(map, addr, size);
	if (!err)
		set(map, addr, size, value);
	return err;
}

static bool is_set(struct attr_map *map, uint64_t addr)
{
	return attr_map_get(map, addr >> OS_PAGE_SHIFT);
}

bool guard_is_hidden(struct guard *g, uint64_t addr)
{
	return is_set(g->overlaid, addr) || is_set(g->marked, addr);
}

uint64_t guard_marked_run(struct guard *g, uint64_t addr, uint64_t size, bool *marked)
{
	return guard_run_of(g->marked, addr, size, marked);
}

uint64_t guard_run(struct guard *g, uint64_t addr, uint64_t size, bool *hidden)
{
	uint64_t done = 0;

	*hidden = guard_is_hidden(g, addr);
	while (done < size) {
		bool over, mark;
		uint64_t left = size - done;
		uint64_t nr = guard_run_of(g->overlaid, addr + done, left, &over);

		if (!over) {
			uint64_t nr_mark = guard_run_of(g->marked, addr + done, nr, &mark);

			nr = nr_mark;
		} else {
			mark = true;
		}
		if ((over || mark) != *hidden)
			break;
		done += nr;
	}
	return done;
}

int guard_reserve(struct guard *g, uint64_t addr, uint64_t size)
{
	int err = reserve(g->overlaid, addr, size);

	return err ? err : reserve(g->marked, addr, size);
}

void guard_clear(struct guard *g, uint64_t addr, uint64_t size)
{
	set(g->overlaid, addr, size, false);
	set(g->marked, addr, size, false);
}

/* The parent's descriptor would set marks in the parent. */
void guard_forked(struct guard *g)
{
	if (g->marks_fd >= 0)
		os_fd_close(g->marks_fd);
	g->marks_fd = -1;
	g->nr_mappings = 0;
	attr_map_set(g->overlaid, 0, ATTR_MAP_MAX_INDEX + 1, 0);
	attr_map_set(g->marked, 0, ATTR_MAP_MAX_INDEX + 1, 0);
}

/* ---- counting mappings ----------------------------------------------------------------------- */

/* Places inside [addr, addr + size) where an overlay begins or ends. */
static uint64_t edges_inside(struct guard *g, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size, nr = 0;
	bool over;

	for (;;) {
		addr += guard_run_of(g->overlaid, addr, end - addr, &over);
		if (addr >= end)
			return nr;
		nr++;
	}
}

uint64_t guard_count(struct guard *g, const struct guard_window *w)
{
	return 1 + edges_inside(g, w->addr, w->size);
}

int64_t guard_growth(struct guard *g, const struct guard_window *w, uint64_t addr, uint64_t size,
		     bool overlay)
{
	uint64_t end = addr + size;
	int64_t growth = -(int64_t)edges_inside(g, addr, size);

	if (addr > w->addr) {
		bool before = is_set(g->overlaid, addr - OS_PAGE_SIZE);

		growth += (before != overlay) - (before != is_set(g->overlaid, addr));
	}
	if (end < w->addr + w->size) {
		bool behind = is_set(g->overlaid, end);

		growth += (behind != overlay) - (behind != is_set(g->overlaid, end - OS_PAGE_SIZE));
	}
	return growth;
}

static bool has_room(struct guard *g, int64_t growth, uint64_t size)
{
	uint64_t limit = size >= LARGE ? g->large_limit : g->limit;

	return limit && (growth <= 0 || g->nr_mappings + (uint64_t)growth <= limit);
}

static void count(struct guard *g, int64_t growth)
{
	os_assert(growth >= 0 || g->nr_mappings >= (uint64_t)-growth);
	g->nr_mappings += (uint64_t)growth;
}

/* ---- mappings -------------------------------------------------------------------------------- */

#define ADVICE_SEQUENTIAL 1u
#define ADVICE_RANDOM 2u
#define ADVICE_NO_DUMP 4u
#define ADVICE_HUGE 8u
#define ADVICE_NO_HUGE 16u

static const struct {
	int advice;
	uint8_t set, clear;
} kept[] = {
	{ MADV_NORMAL, 0, ADVICE_SEQUENTIAL | ADVICE_RANDOM },
	{ MADV_SEQUENTIAL, ADVICE_SEQUENTIAL, ADVICE_RANDOM },
	{ MADV_RANDOM, ADVICE_RANDOM, ADVICE_SEQUENTIAL },
	{ MADV_DONTDUMP, ADVICE_NO_DUMP, 0 },
	{ MADV_DODUMP, 0, ADVICE_NO_DUMP },
	{ MADV_HUGEPAGE, ADVICE_HUGE, ADVICE_NO_HUGE },
	{ MADV_NOHUGEPAGE, ADVICE_NO_HUGE, ADVICE_HUGE },
};
#define NR_KEPT (sizeof(kept) / sizeof(kept[0]))

uint8_t guard_advice_bit(int advice, uint8_t *clear)
{
	*clear = 0;
	for (unsigned int i = 0; i < NR_KEPT; i++) {
		if (kept[i].advice != advice)
			continue;
		*clear = kept[i].clear;
		return kept[i].set;
	}
	return 0;
}

/* What fails of this keeps a mapping from joining its neighbours, and opens nothing; only that a child must
 * not have it is a condition. */
int guard_dress(const struct guard_window *w, uint64_t addr, uint64_t size, bool store)
{
	int err = store ? (int)os_window_advise(addr, size, MADV_DONTFORK) : 0;

	if (err)
		return err;
	for (unsigned int i = 0; w->advice && i < NR_KEPT; i++)
		if (w->advice & kept[i].set)
			os_window_advise(addr, size, kept[i].advice);
	if (w->pkey > 0)
		os_window_protect(addr, size, w->prot, w->pkey);
	if (w->lock)
		os_window_lock(addr, size, w->lock == GUARD_LOCKED_ON_FAULT ? MLOCK_ONFAULT : 0);
	return 0;
}

static uint64_t offset_of(const struct guard_window *w, uint64_t addr)
{
	return w->offset + (addr - w->addr);
}

int guard_overlay(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int64_t growth = guard_growth(g, w, addr, size, true);
	int err = guard_reserve(g, addr, size);
	long ret;

	if (err)
		return err;
	ret = os_window_map(addr, size, w->prot, MAP_SHARED | MAP_FIXED, g->empty_fd,
			    offset_of(w, addr));
	if (ret < 0)
		return (int)ret;
	count(g, growth);
	set(g->overlaid, addr, size, true);
	if (!guard_none(g->marked, addr, size))
		set(g->marked, addr, size, false);
	if (w->advice || w->lock || w->pkey > 0)
		guard_dress(w, addr, size, false);
	return 0;
}

/* Maps the store where the range is hidden or not. A range that cannot be kept from children is closed. */
static int restore(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int64_t growth = guard_growth(g, w, addr, size, false);
	int err = guard_reserve(g, addr, size);
	long ret;

	if (err)
		return err;
	ret = os_window_map(addr, size, w->prot, MAP_SHARED | MAP_FIXED, w->store_fd,
			    offset_of(w, addr));
	if (ret < 0)
		return (int)ret;
	count(g, growth);
	set(g->overlaid, addr, size, false);
	if (!guard_none(g->marked, addr, size))
		set(g->marked, addr, size, false);
	err = guard_dress(w, addr, size, true);
	if (!err && w->watched)
		err = guard_watch_again(g, w, addr, size);
	if (err)
		guard_close(g, w, addr, size);
	return err;
}

int guard_add(struct guard *g, struct guard_window *w)
{
	int err = guard_reserve(g, w->addr, w->size);

	if (err)
		return err;
	set(g->overlaid, w->addr, w->size, true);
	set(g->marked, w->addr, w->size, false);
	g->nr_mappings++;
	return 0;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static bool hidden_whole(struct guard *g, uint64_t addr, uint64_t size)
{
	bool hidden;

	return guard_run(g, addr, size, &hidden) == size && hidden;
}

static bool open_whole(struct guard *g, uint64_t addr, uint64_t size)
{
	return guard_none(g->overlaid, addr, size) && guard_none(g->marked, addr, size);
}

int guard_hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = -ENOMEM;

	if (hidden_whole(g, addr, size))
		return 0;
	if (has_room(g, guard_growth(g, w, addr, size, true), size))
		err = guard_overlay(g, w, addr, size);
	return err == -ENOMEM ? guard_mark(g, w, addr, size) : err;
}

int guard_show(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = -ENOMEM;
	int64_t growth;

	if (open_whole(g, addr, size))
		return 0;
	if (w->store_fd < 0)
		return -EIO;
	growth = guard_growth(g, w, addr, size, false);
	if (w->watched && guard_none(g->overlaid, addr, size))
		err = guard_unmark(g, w, addr, size);
	else if (growth <= 0 || has_room(g, growth, size))
		err = restore(g, w, addr, size);
	if (err == -ENOMEM)
		err = guard_remake(g, w, addr, size);
	if (!err && w->watched && g->nr_mappings < g->limit / 2 &&
	    guard_none(g->marked, w->addr, w->size))
		guard_unwatch(g, w);
	return err;
}
