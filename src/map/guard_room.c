/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Room when there is none. Closing what was opened must not fail because the program has just taken the last
 * mapping it may have: some are held for that, and if even they are taken, more is closed than asked.
 */
#include "map/guard.h"

#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/window.h"

#define AT_ONCE 4

/* Of the empty file and not next to each other in it, or they would become one. */
void guard_ballast_take(struct guard *g)
{
	while (g->nr_ballast < GUARD_BALLAST) {
		long ret = os_window_aside(OS_PAGE_SIZE, g->empty_fd,
					   (uint64_t)g->nr_ballast * 2 * OS_PAGE_SIZE);

		if (ret < 0)
			return;
		g->ballast[g->nr_ballast++] = (uint64_t)ret;
	}
}

bool guard_ballast_drop(struct guard *g)
{
	unsigned int nr = 0;

	while (g->nr_ballast && nr < AT_ONCE) {
		os_window_unmap(g->ballast[--g->nr_ballast], OS_PAGE_SIZE);
		nr++;
	}
	return nr;
}

int guard_open_again(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = guard_show(g, w, addr, size);

	while (err == -ENOMEM && guard_ballast_drop(g))
		err = guard_show(g, w, addr, size);
	guard_ballast_take(g);
	return err;
}

/* Needs no mapping: what there is of the window changes as a whole. Not the right signal, but closed. */
static void close_by_protection(struct guard *g, struct guard_window *w)
{
	os_log(OS_LOG_ERROR,
	       "no mapping to hide guest memory with: its window cannot be used any more");
	os_assert(os_window_bar(w->addr, w->size) == 0);
	w->prot = PROT_NONE;
	w->barred = true;
}

void guard_close(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	int err = guard_hide(g, w, addr, size);

	while (err && guard_ballast_drop(g))
		err = guard_overlay(g, w, addr, size);
	if (err) {
		os_log(OS_LOG_WARN, "no room to hide a part of a window: all of it is hidden");
		err = guard_overlay(g, w, w->addr, w->size);
	}
	if (err)
		close_by_protection(g, w);
	guard_ballast_take(g);
}
