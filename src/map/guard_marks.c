/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Marks: hiding without mappings.
 *
 * A page is dropped, then marked. Somebody may touch it in between and make it present again, and then the
 * mark is refused: drop it and try again. The page is open until the mark is in, which is right, since the
 * call that hides has not returned; after it the page is not present until it is shown.
 */
#include "map/guard.h"

#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/window.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define CHUNK ((uint64_t)2 << 20)
#define TRIES 256 /* for one page that somebody keeps touching, until it is overlaid */

/* ---- watching -------------------------------------------------------------------------------- */

static bool transient(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EAGAIN;
}

static int open_marks(struct guard *g)
{
	int err;

	if (g->marks_fd >= 0)
		return 0;
	if (g->marks_refused || g->no_new_fds)
		return -ENOMEM;
	err = os_marks_open(&g->marks_fd);
	if (err && !transient(err)) {
		g->marks_refused = true;
		os_log(OS_LOG_INFO,
		       "no userfaultfd here (error %d): private pages are hidden by mappings "
		       "alone, as many as there may be",
		       -err);
	}
	return err ? -ENOMEM : 0;
}

int guard_last_call(struct guard *g)
{
	int err = guard_ready(g), no_marks;

	g->no_new_fds = false;
	no_marks = open_marks(g);
	g->no_new_fds = true;
	return err ? err : no_marks;
}

/* What is of huge pages is never marked. */
static int each_small_run(struct guard *g, const struct guard_window *w, uint64_t addr,
			  uint64_t size, int (*fn)(int, uint64_t, uint64_t))
{
	uint64_t end = addr + size, run;
	int err = 0, fd;

	for (; !err && addr < end; addr += run) {
		run = end - addr;
		if (!guard_is_huge(w, addr, &run, &fd))
			err = fn(g->marks_fd, addr, run);
	}
	return err;
}

/* Only mappings of the store: others would not join those that come later. */
static int each_store_run(struct guard *g, const struct guard_window *w,
			  int (*fn)(int, uint64_t, uint64_t))
{
	uint64_t addr = w->addr, end = addr + w->size;
	int err = 0;

	while (!err && addr < end) {
		bool over;
		uint64_t size = guard_pages_run(g->pages, addr, end - addr, IS_OVERLAID, &over);

		if (!over)
			err = each_small_run(g, w, addr, size, fn);
		addr += size;
	}
	return err;
}

void guard_unwatch(struct guard *g, struct guard_window *w)
{
	each_store_run(g, w, os_marks_unwatch);
	w->watched = false;
}

int guard_watch(struct guard *g, struct guard_window *w)
{
	int err = open_marks(g);

	if (err || w->watched)
		return err;
	err = each_store_run(g, w, os_marks_watch);
	if (err)
		guard_unwatch(g, w);
	else
		w->watched = true;
	return err ? -ENOMEM : 0;
}

int guard_watch_again(struct guard *g, const struct guard_window *w, uint64_t addr, uint64_t size)
{
	return os_marks_watch(g->marks_fd, addr, size);
}

/* ---- marking --------------------------------------------------------------------------------- */

static long drop(uint64_t addr, uint64_t size)
{
	return os_window_advise(addr, size, MADV_DONTNEED_LOCKED);
}

/* One page that keeps coming back. */
static int mark_stubborn(struct guard *g, struct guard_window *w, uint64_t addr)
{
	uint64_t done;
	int err = -EEXIST;

	for (int i = 0; i < TRIES && (err == -EEXIST || err == -EAGAIN); i++) {
		drop(addr, OS_PAGE_SIZE);
		err = os_mark(g->marks_fd, addr, OS_PAGE_SIZE, &done);
	}
	return err ? guard_overlay(g, w, addr, OS_PAGE_SIZE) : 0;
}

/* A run that is open. */
static int mark_run(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size, done;
	int err = 0;

	guard_pages_set(g->pages, addr, size, PAGE_MARKED);
	drop(addr, size);
	while (!err && addr < end) {
		err = os_mark(g->marks_fd, addr, end - addr, &done);
		addr += done;
		/* Why it stopped, the page itself will tell. */
		if (!err || addr == end)
			break;
		err = mark_stubborn(g, w, addr);
		if (!err)
			addr += OS_PAGE_SIZE;
	}
	/* Who tries again must not take them for hidden. */
	if (err)
		guard_pages_set(g->pages, addr, end - addr, PAGE_OPEN);
	return err;
}

int guard_mark(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	int err = guard_watch(g, w);

	while (!err && addr < end) {
		bool hidden;
		uint64_t nr = guard_pages_run(g->pages, addr, end - addr, IS_HIDDEN, &hidden);

		if (!hidden)
			err = mark_run(g, w, addr, nr);
		addr += nr;
	}
	return err;
}

int guard_unmark(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = (int)drop(addr, size);

	if (!err)
		guard_pages_set(g->pages, addr, size, PAGE_OPEN);
	return err;
}

/* ---- a chunk made again ---------------------------------------------------------------------- */

struct remake {
	struct guard *g;
	struct guard_window *w;
	uint64_t addr, size;	   /* the chunk */
	uint64_t shown, shown_end; /* of it: to be shown */
	uint64_t aside;
};

/* Calls fn for every run of the chunk that stays hidden. */
static int each_hidden(const struct remake *r,
		       int (*fn)(const struct remake *r, uint64_t addr, uint64_t size))
{
	uint64_t addr = r->addr, end = addr + r->size;
	int err = 0;

	while (!err && addr < end) {
		bool hidden;
		uint64_t stop = addr < r->shown ? r->shown : end, nr;

		if (addr >= r->shown && addr < r->shown_end) {
			addr = r->shown_end;
			continue;
		}
		nr = guard_pages_run(r->g->pages, addr, stop - addr, IS_HIDDEN, &hidden);
		if (hidden)
			err = fn(r, addr, nr);
		addr += nr;
	}
	return err;
}

static int mark_aside(const struct remake *r, uint64_t addr, uint64_t size)
{
	uint64_t at = r->aside + (addr - r->addr), end = at + size, done;
	int err, tries = 0;

	do {
		err = os_mark(r->g->marks_fd, at, end - at, &done);
		at += done;
		tries = done ? 0 : tries + 1;
	} while (err == -EAGAIN && at < end && tries < TRIES);
	/* Behind the end of the store no page can be, and no mark. */
	return at == end || err == -EFAULT ? 0 : err;
}

static bool dumped(const struct guard_window *w)
{
	uint8_t clear;

	return !(w->advice & guard_advice_bit(MADV_DONTDUMP, &clear));
}

/* Protected until it is complete, and kept from children: nobody knows the address, but it is the store. */
static int build_aside(struct remake *r)
{
	const struct guard_window *w = r->w;
	long ret = os_window_aside(r->size, w->store_fd, w->offset + (r->addr - w->addr));
	int err;

	if (ret < 0)
		return (int)ret;
	r->aside = (uint64_t)ret;
	err = (int)os_window_advise(r->aside, r->size, MADV_DONTFORK);
	/* Or it joins its neighbours when it moves in, and the kernel, which takes the watch off what has moved,
	 * takes it off them. */
	if (!err && dumped(w))
		err = (int)os_window_advise(r->aside, r->size, MADV_DONTDUMP);
	if (!err)
		err = os_marks_watch(r->g->marks_fd, r->aside, r->size);
	if (!err)
		err = each_hidden(r, mark_aside);
	if (!err)
		err = (int)os_window_protect(r->aside, r->size, w->prot, -1);
	if (err)
		os_window_unmap(r->aside, r->size);
	return err;
}

static int note_hidden(const struct remake *r, uint64_t addr, uint64_t size)
{
	guard_pages_set(r->g->pages, addr, size, PAGE_MARKED);
	return 0;
}

/* One page is enough to know: what can take marks away takes whole page tables. */
static int first_mark_is_there(const struct remake *r, uint64_t addr, uint64_t size)
{
	uint64_t done;
	int err = os_mark(r->g->marks_fd, addr, OS_PAGE_SIZE, &done);

	return err == -EEXIST || err == -EFAULT ? 1 : -EAGAIN;
}

static int mark_again(const struct remake *r, uint64_t addr, uint64_t size)
{
	return mark_run(r->g, r->w, addr, size);
}

/*
 * The move ends the watch, and until it is back a huge page that the kernel puts together just here
 * (khugepaged) could take the page table with the marks.
 */
static int watch_moved(const struct remake *r)
{
	int err = os_marks_watch(r->g->marks_fd, r->addr, r->size);

	if (!err && each_hidden(r, first_mark_is_there) < 0)
		err = each_hidden(r, mark_again);
	if (err)
		guard_close(r->g, r->w, r->addr, r->size);
	return err;
}

/* A move that fails may already have taken away what it was to replace. */
static void close_hole(struct remake *r)
{
	if (os_window_advise(r->addr, r->size, MADV_WILLNEED) != -ENOMEM)
		return;
	os_log(OS_LOG_ERROR, "a part of a window was lost: it is hidden");
	guard_close(r->g, r->w, r->addr, r->size);
}

static int put_in_place(struct remake *r)
{
	struct guard *g = r->g;
	int64_t growth = guard_growth(g, r->w, r->addr, r->size, false);
	long ret =
		os_window_move(r->aside, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED, r->addr);
	if (ret < 0) {
		close_hole(r);
		return (int)ret;
	}
	if (dumped(r->w))
		os_window_advise(r->addr, r->size, MADV_DODUMP);
	g->nr_mappings += (uint64_t)growth;
	guard_pages_set(g->pages, r->shown, r->shown_end - r->shown, PAGE_OPEN);
	each_hidden(r, note_hidden);
	guard_dress(r->w, r->addr, r->size, true);
	return 0;
}

static int remake_chunk(struct remake *r)
{
	int err = build_aside(r);

	if (err)
		return err;
	err = put_in_place(r);
	if (err) {
		os_window_unmap(r->aside, r->size);
		return err;
	}
	return watch_moved(r);
}

int guard_remake(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size, window_end = w->addr + w->size;
	int err = guard_watch(g, w);

	while (!err && addr < end) {
		struct remake r = { .g = g, .w = w, .addr = addr & ~(CHUNK - 1), .shown = addr };
		uint64_t chunk_end = r.addr + CHUNK;

		if (r.addr < w->addr)
			r.addr = w->addr;
		if (chunk_end > window_end)
			chunk_end = window_end;
		r.size = chunk_end - r.addr;
		r.shown_end = end < chunk_end ? end : chunk_end;
		if (guard_pages_none(g->pages, r.shown, r.shown_end - r.shown, IS_OVERLAID))
			err = guard_unmark(g, w, r.shown, r.shown_end - r.shown);
		else
			err = remake_chunk(&r);
		addr = r.shown_end;
	}
	return err;
}
