/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is hidden and how, and the choice between the ways. Order matters where a call can fail in the middle:
 * a mark is remembered before it is set, so that the
 * handler of a SIGBUS that comes of it finds the page hidden.
 */
#include "map/guard.h"

#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/paths.h"
#include "os/window.h"

#define LARGE ((uint64_t)2 << 20)
#define TRIES 3 /* of what cannot be refused any more */
#define MANY_PAGES (4 * LARGE)
#define LOOK_EVERY 256

/* ---- life ------------------------------------------------------------------------------------ */

static void init(struct guard *g)
{
	uint64_t max = os_window_max();

	g->empty_fd = g->marks_fd = -1;
	g->limit = max / 8 * 3;
	g->large_limit = max / 2;
	g->marks_refused = os_path_off(OS_PATH_MARKS);
	g->marks_first = os_path_always(OS_PATH_MARKS);
	g->piecemeal = os_path_off(OS_PATH_BATCH);
}

int guard_init(struct guard *g)
{
	init(g);
	return guard_pages_create(&g->pages);
}

void guard_init_of_process(struct guard *g)
{
	init(g);
	g->pages = guard_pages_of_process();
}

void guard_destroy(struct guard *g)
{
	guard_pages_destroy(g->pages);
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

bool guard_is_hidden(struct guard *g, uint64_t addr)
{
	return guard_pages_get(g->pages, addr) != PAGE_OPEN;
}

void guard_clear(struct guard *g, uint64_t addr, uint64_t size)
{
	guard_pages_set(g->pages, addr, size, PAGE_OPEN);
}

/* The parent's descriptor would set marks in the parent. */
void guard_forked(struct guard *g)
{
	if (g->marks_fd >= 0)
		os_fd_close(g->marks_fd);
	g->marks_fd = -1;
	g->nr_mappings = g->nr_huge = 0;
	guard_pages_reset(g->pages);
}

/* ---- counting mappings ----------------------------------------------------------------------- */

static bool is_overlaid(struct guard *g, uint64_t addr)
{
	return guard_pages_get(g->pages, addr) == PAGE_OVERLAID;
}

/* Places inside [addr, addr + size) where an overlay begins or ends. */
static uint64_t edges_inside(struct guard *g, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size, nr = 0;
	bool over;

	for (;;) {
		addr += guard_pages_run(g->pages, addr, end - addr, IS_OVERLAID, &over);
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
	bool one = size == OS_PAGE_SIZE, first = is_overlaid(g, addr);
	bool last = one ? first : is_overlaid(g, end - OS_PAGE_SIZE);
	int64_t growth = one ? 0 : -(int64_t)edges_inside(g, addr, size);

	if (addr > w->addr) {
		bool before = is_overlaid(g, addr - OS_PAGE_SIZE);

		growth += (before != overlay) - (before != first);
	}
	if (end < w->addr + w->size) {
		bool behind = is_overlaid(g, end);

		growth += (behind != overlay) - (behind != last);
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

static int overlay(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size,
		   int64_t growth)
{
	long ret = os_window_map(addr, size, w->prot, MAP_SHARED | MAP_FIXED, g->empty_fd,
				 offset_of(w, addr));

	if (ret < 0)
		return (int)ret;
	count(g, growth);
	guard_pages_set(g->pages, addr, size, PAGE_OVERLAID);
	if (w->advice || w->lock || w->pkey > 0)
		guard_dress(w, addr, size, false);
	return 0;
}

int guard_overlay(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	return overlay(g, w, addr, size, guard_growth(g, w, addr, size, true));
}

bool guard_is_huge(const struct guard_window *w, uint64_t addr, uint64_t *size, int *fd)
{
	uint64_t offset = offset_of(w, addr), end = offset + *size, at, block;
	bool huge;

	*fd = w->store_fd;
	if (!w->blocks || offset >= w->blocks->size)
		return false;
	block = w->blocks->block;
	if (end > w->blocks->size)
		end = w->blocks->size;
	huge = store_is_huge(w->blocks, offset);
	at = (offset & ~(block - 1)) + block;
	while (at < end && store_is_huge(w->blocks, at) == huge)
		at += block;
	*size = (at < end ? at : end) - offset;
	if (huge)
		*fd = store_fd(store_huge(w->blocks));
	return huge;
}

/* Maps the store where the range is hidden or not. A failure with *open: it is, but children would have it too. */
static int map_store(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size,
		     int64_t growth, bool *open)
{
	int fd = -1, err;
	bool huge = guard_is_huge(w, addr, &(uint64_t){ size }, &fd);
	long ret =
		os_window_map(addr, size, w->prot, MAP_SHARED | MAP_FIXED, fd, offset_of(w, addr));

	*open = ret >= 0;
	if (ret < 0)
		return (int)ret;
	count(g, growth);
	g->nr_huge += huge ? 2 : 0;
	guard_pages_set(g->pages, addr, size, PAGE_OPEN);
	err = guard_dress(w, addr, size, true);
	if (!err && w->watched && !huge)
		err = guard_watch_again(g, w, addr, size);
	return err;
}

static int restore(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size,
		   int64_t growth)
{
	bool open;
	int err = map_store(g, w, addr, size, growth, &open);

	if (err && open)
		guard_close(g, w, addr, size);
	return err;
}

/* Not closed between: who touches it would have a signal. */
void guard_replace(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err, tries = TRIES;
	bool open;

	do
		err = map_store(g, w, addr, size, guard_growth(g, w, addr, size, false), &open);
	while (err && (guard_ballast_drop(g) || tries--));
	guard_ballast_take(g);
	if (!err)
		return;
	os_log(OS_LOG_ERROR, "no memory for a part of a window: it is hidden");
	guard_close(g, w, addr, size);
}

/* A quarter of what windows may have. Once that is spent, an eighth of it has to be free again, or each would be looked at. */
bool guard_has_room_huge(struct guard *g)
{
	uint64_t most = g->limit / 3;
	int64_t nr;

	if (g->nr_mappings + g->nr_huge + 2 <= most)
		return true;
	if (g->not_looked && g->not_looked++ < LOOK_EVERY)
		return false;
	g->not_looked = 1;
	/* The program's own count as well: the limit is for all. */
	nr = os_window_count();
	if (nr < 0)
		return false;
	g->nr_huge = (uint64_t)nr > g->nr_mappings ? (uint64_t)nr - g->nr_mappings : 0;
	if (g->nr_mappings + g->nr_huge > most / 8 * 7)
		return false;
	g->not_looked = 0;
	return true;
}

int guard_add(struct guard *g, struct guard_window *w)
{
	int err = guard_pages_reserve(g->pages, w->addr, w->size);

	if (err)
		return err;
	guard_pages_set(g->pages, w->addr, w->size, PAGE_OVERLAID);
	g->nr_mappings++;
	return 0;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static bool hidden_whole(struct guard *g, uint64_t addr, uint64_t size)
{
	bool hidden;

	return guard_pages_run(g->pages, addr, size, IS_HIDDEN, &hidden) == size && hidden;
}

typedef int (*change_fn)(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);

/* Without the path that takes neighbours together, a call for each page; of large ranges, where that would take
 * for ever, for each 2 MiB. */
static int in_pieces(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size,
		     change_fn fn)
{
	uint64_t end = addr + size, piece = size > MANY_PAGES ? LARGE : OS_PAGE_SIZE;
	int err = 0;

	if (!g->piecemeal)
		return fn(g, w, addr, size);
	while (!err && addr < end) {
		uint64_t next = (addr & ~(piece - 1)) + piece;

		next = next < end ? next : end;
		err = fn(g, w, addr, next - addr);
		addr = next;
	}
	return err;
}

/* Runs of huge pages by themselves, the others by small. */
static int by_place(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size,
		    change_fn small, change_fn huge)
{
	uint64_t end = addr + size, run;
	int err = 0, fd;

	for (; !err && addr < end; addr += run) {
		run = end - addr;
		if (guard_is_huge(w, addr, &run, &fd))
			err = huge(g, w, addr, run);
		else
			err = in_pieces(g, w, addr, run, small);
	}
	return err;
}

static int hide_huge(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	return hidden_whole(g, addr, size) ? 0 : guard_overlay(g, w, addr, size);
}

static int show_huge(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	if (guard_pages_none(g->pages, addr, size, IS_HIDDEN))
		return 0;
	return restore(g, w, addr, size, guard_growth(g, w, addr, size, false));
}

static int hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = -ENOMEM;
	int64_t growth;

	if (hidden_whole(g, addr, size))
		return 0;
	if (g->marks_first && size <= MANY_PAGES)
		err = guard_mark(g, w, addr, size);
	growth = guard_growth(g, w, addr, size, true);
	if (err == -ENOMEM && has_room(g, growth, size))
		err = overlay(g, w, addr, size, growth);
	return err == -ENOMEM ? guard_mark(g, w, addr, size) : err;
}

int guard_hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	return by_place(g, w, addr, size, hide, hide_huge);
}

/* Around what was just shown first: there it ends nearly always. */
static bool no_marks_left(struct guard *g, const struct guard_window *w, uint64_t addr,
			  uint64_t size)
{
	uint64_t from = addr & ~(LARGE - 1), end = addr + size, window_end = w->addr + w->size;

	from = from > w->addr ? from : w->addr;
	end = window_end - end < LARGE ? window_end : (end + LARGE - 1) & ~(LARGE - 1);
	return guard_pages_none(g->pages, from, end - from, IS_MARKED) &&
	       guard_pages_none(g->pages, w->addr, w->size, IS_MARKED);
}

static int show(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = -ENOMEM;
	int64_t growth;

	if (guard_pages_none(g->pages, addr, size, IS_HIDDEN))
		return 0;
	if (w->store_fd < 0)
		return -EIO;
	growth = guard_growth(g, w, addr, size, false);
	if (w->watched && guard_pages_none(g->pages, addr, size, IS_OVERLAID))
		err = guard_unmark(g, w, addr, size);
	else if (growth <= 0 || has_room(g, growth, size))
		err = restore(g, w, addr, size, growth);
	if (err == -ENOMEM)
		err = guard_remake(g, w, addr, size);
	if (!err && w->watched && g->nr_mappings < g->limit / 2 && no_marks_left(g, w, addr, size))
		guard_unwatch(g, w);
	return err;
}

int guard_show(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	return by_place(g, w, addr, size, show, show_huge);
}
