/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion: every window of a file follows. Under the registry's lock from the first window to the last, so
 * that none is made, moved or taken away meanwhile.
 */
#include <errno.h>
#include <sys/mman.h>

#include "core/attr_map.h"
#include "map/host_map_private.h"
#include "obs/inject.h"
#include "obs/obs.h"
#include "os/window.h"

/* A signal is looked for at multiples of it. */
#define STEP ((uint64_t)1 << 30)

/* The part of p that is of [offset, end) of the file; false: none. */
static bool part_of(const struct piece *p, uint64_t offset, uint64_t end, uint64_t *addr,
		    uint64_t *size)
{
	uint64_t from = higher(offset, p->w.offset);
	uint64_t to = lower(end, p->w.offset + p->w.size);

	if (from >= to)
		return false;
	*addr = p->w.addr + (from - p->w.offset);
	*size = to - from;
	return true;
}

/* Calls fn for the part of every window of f that is of [offset, end). */
static int each_window(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t end,
		       int (*fn)(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size))
{
	int err = 0;

	for (size_t i = 0; i < m->nr && !err; i++) {
		struct piece *p = &m->pieces[i];
		uint64_t addr, size;

		if (p->file != f || !p->guarded || !part_of(p, offset, end, &addr, &size))
			continue;
		/* Another one since the file was attached again. */
		p->w.store_fd = f->store_fd;
		err = fn(m, p, addr, size);
	}
	return err;
}

/* ---- pages that are bad on purpose ----------------------------------------------------------- */

static bool is_bad(const struct host_file *f, uint64_t offset, bool tell)
{
	struct inject_key key = {
		.point = INJECT_POISON,
		.kind = INJECT_SHARED,
		.file = f->file ? gmem_file_number(f->file) : 0,
		.has_offset = true,
		.offset = offset & ~(uint64_t)(OS_PAGE_SIZE - 1),
		.size = OS_PAGE_SIZE,
	};

	return obs_inject_poison(&key, tell);
}

bool host_map_is_bad(struct host_map *m, uint64_t addr)
{
	struct piece *p;
	bool is;

	if (!obs_injects(INJECT_POISON))
		return false;
	os_mutex_lock(&m->lock);
	p = pieces_first(m, addr, addr + 1);
	is = p && p->guarded && is_bad(p->file, piece_offset(p, addr), true);
	os_mutex_unlock(&m->lock);
	return is;
}

typedef int (*part_fn)(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);

/* Shows a run but for its bad pages, which stay hidden. */
static int show_good(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size, part_fn fn)
{
	uint64_t end = addr + size, to;
	int err = 0;

	for (; addr < end && !err; addr = to + OS_PAGE_SIZE) {
		for (to = addr; to < end && !is_bad(p->file, piece_offset(p, to), false);)
			to += OS_PAGE_SIZE;
		if (to > addr)
			err = fn(&m->guard, &p->w, addr, to - addr);
	}
	return err;
}

static int do_run(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size, bool shows,
		  part_fn fn)
{
	if (shows && obs_injects(INJECT_POISON))
		return show_good(m, p, addr, size, fn);
	return fn(&m->guard, &p->w, addr, size);
}

/* Calls fn for every run in [addr, addr + size) of p whose pages the file says are so. */
static int each_run(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size,
		    uint32_t wanted, part_fn fn)
{
	uint64_t at = piece_offset(p, addr) >> OS_PAGE_SHIFT, nr = size >> OS_PAGE_SHIFT;
	int err = 0;

	while (nr && !err) {
		uint32_t value;
		uint64_t run = attr_map_run(p->file->state, at, nr, &value);

		if (value == wanted)
			err = do_run(m, p, addr, run << OS_PAGE_SHIFT, !wanted, fn);
		addr += run << OS_PAGE_SHIFT;
		at += run;
		nr -= run;
	}
	return err;
}

/* What lies behind the end of the file is hidden for good. */
int piece_open(struct host_map *m, struct piece *p, uint64_t addr, uint64_t end)
{
	uint64_t offset = piece_offset(p, addr);

	if (!p->file->state || p->w.store_fd < 0 || offset >= p->file->size)
		return 0;
	return each_run(m, p, addr, lower(end - addr, p->file->size - offset), 0, guard_show);
}

static int open_again(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size)
{
	if (each_run(m, p, addr, size, 0, guard_open_again))
		os_log(OS_LOG_ERROR, "no room to show guest memory again: a part stays hidden");
	return 0;
}

static int close_part(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size)
{
	guard_close(g, w, addr, size);
	return 0;
}

static int close_again(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size)
{
	return each_run(m, p, addr, size, ATTR_PRIVATE, close_part);
}

static int hide_part(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size)
{
	return guard_hide(&m->guard, &p->w, addr, size);
}

static int show_part(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size)
{
	return do_run(m, p, addr, size, true, guard_show);
}

/* What could not be shown was closed with all that lay between, and some of that was shown before. */
static void show_undone(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t end)
{
	each_window(m, f, offset, end, close_again);
	each_window(m, f, offset, end, open_again);
}

static int whole_closed(struct host_map *m, struct piece *p, uint64_t addr, uint64_t size)
{
	guard_close(&m->guard, &p->w, addr, size);
	return 0;
}

/* ---- the state of a file whose home is elsewhere ------------------------------------------------- */

static int state_reserve(struct host_file *f, uint64_t offset, uint64_t size)
{
	return f->file ? 0
		       : attr_map_reserve(f->state, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT);
}

static void state_set(struct host_file *f, uint64_t offset, uint64_t size, uint32_t value)
{
	if (!f->file)
		attr_map_set(f->state, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, value);
}

/* ---- the interface ------------------------------------------------------------------------------ */

static int hide_in_steps(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t end)
{
	uint64_t at, next;
	int err = 0;

	for (at = offset; at < end && !err; at = next) {
		next = lower((at & ~(STEP - 1)) + STEP, end);
		if (at > offset && os_signal_pending())
			return obs_refuse(RULE_CONVERT_HIDE_SIGNAL);
		err = each_window(m, f, at, next, hide_part);
	}
	return err;
}

/* With pages that are hidden one by one, and no userfaultfd, half of vm.max_map_count is the end. */
static int no_room(int err)
{
	return err == -ENOMEM ? obs_refuse_as(RULE_CONVERT_NO_MAPPINGS, err) : err;
}

int host_map_hide(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size)
{
	int err;

	os_mutex_lock(&m->lock);
	err = state_reserve(f, offset, size);
	if (!err) {
		err = hide_in_steps(m, f, offset, offset + size);
		if (err)
			each_window(m, f, offset, offset + size, open_again);
		else
			state_set(f, offset, size, ATTR_PRIVATE);
	}
	os_mutex_unlock(&m->lock);
	return no_room(err);
}

int host_map_show(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size)
{
	int err;

	os_mutex_lock(&m->lock);
	err = state_reserve(f, offset, size);
	if (!err) {
		err = each_window(m, f, offset, offset + size, show_part);
		if (err)
			show_undone(m, f, offset, offset + size);
		else
			state_set(f, offset, size, 0);
	}
	os_mutex_unlock(&m->lock);
	return no_room(err);
}

void host_map_show_again(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size)
{
	os_mutex_lock(&m->lock);
	each_window(m, f, offset, offset + size, open_again);
	os_mutex_unlock(&m->lock);
}

void host_map_hide_again(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size)
{
	os_mutex_lock(&m->lock);
	/* All of it private is a state that needs no memory. */
	if (state_reserve(f, offset, size)) {
		os_log(OS_LOG_WARN,
		       "no memory to hide a part of a guest_memfd: all of it is hidden");
		offset = 0;
		size = f->size;
		os_assert(state_reserve(f, offset, size) == 0);
	}
	each_window(m, f, offset, offset + size, whole_closed);
	state_set(f, offset, size, ATTR_PRIVATE);
	os_mutex_unlock(&m->lock);
}
