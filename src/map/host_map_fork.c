/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Fork. The kernel leaves out what a window is made of from the store, so the child begins with holes; what
 * was overlaid is there, and empty. The child fills the holes the same way: every page of every window is
 * hidden, until it has asked the home what is shared.
 */
#include <errno.h>
#include <sys/mman.h>

#include "map/host_map_private.h"
#include "os/window.h"

void host_map_before_fork(struct host_map *m)
{
	os_mutex_lock(&m->lock);
}

/* Neither here nor in the child owners are put, since the last one takes locks that are held over a fork: the
 * next who changes a mapping does it. */
void host_map_after_fork_in_parent(struct host_map *m)
{
	os_mutex_unlock(&m->lock);
}

/* A fork cannot be refused any more when the child finds that there is no room. */
#define TRIES 3

static bool fill_hole(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size)
{
	long ret = -ENOMEM;

	for (int i = 0; i < TRIES && ret == -ENOMEM; i++)
		ret = os_window_map(addr, size, p->w.prot, MAP_SHARED | MAP_FIXED_NOREPLACE,
				    m->guard.empty_fd, piece_offset(p, addr));
	if (ret == -ENOMEM)
		os_log(OS_LOG_WARN, "no room for a window in a child: it is not there");
	return ret == (long)addr;
}

/* False: something else is there already, or it cannot be done. */
static bool fill_holes(struct host_map *m, struct piece *p)
{
	uint64_t addr = p->w.addr;

	while (addr < piece_end(p)) {
		bool over;
		uint64_t nr = guard_pages_run(m->guard.pages, addr, piece_end(p) - addr,
					      IS_OVERLAID, &over);

		if (!over && !fill_hole(m, p, addr, nr))
			return false;
		addr += nr;
	}
	return true;
}

static bool stays(struct host_map *m, struct piece *p)
{
	return !p->guarded || (!p->no_fork && fill_holes(m, p));
}

/* Holes may be somebody else's by now. */
static void unmap_overlays(struct host_map *m, struct piece *p)
{
	uint64_t addr = p->w.addr;

	while (addr < piece_end(p)) {
		bool over;
		uint64_t nr = guard_pages_run(m->guard.pages, addr, piece_end(p) - addr,
					      IS_OVERLAID, &over);

		if (over)
			os_window_unmap(addr, nr);
		addr += nr;
	}
}

/* One at a time: dropping moves the others. */
static void drop_what_is_gone(struct host_map *m)
{
	for (size_t i = 0; i < m->nr;) {
		struct piece *p = &m->pieces[i];

		if (stays(m, p)) {
			i++;
			continue;
		}
		if (p->no_fork)
			unmap_overlays(m, p);
		p->guarded = false;
		pieces_drop(m, p->w.addr, piece_end(p));
	}
}

static void hide_all(struct host_map *m)
{
	for (size_t i = 0; i < m->nr; i++) {
		struct piece *p = &m->pieces[i];

		if (!p->guarded)
			continue;
		p->w.lock = GUARD_UNLOCKED;
		p->w.watched = p->w.barred = false;
		p->w.blocks = NULL;
		if (guard_add(&m->guard, &p->w))
			os_log(OS_LOG_ERROR,
			       "no memory for a window in a child: it cannot be shown there");
	}
}

void host_map_after_fork_in_child(struct host_map *m)
{
	os_mutex_init(&m->lock);
	os_mutex_lock(&m->lock);
	host_map_closer_forked(m);
	drop_what_is_gone(m);
	guard_forked(&m->guard);
	hide_all(m);
	os_mutex_unlock(&m->lock);
}
