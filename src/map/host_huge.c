/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Windows on huge pages of the pool: blocks that are shared all through. Where the process may let its own system calls wait
 * for a page (a userfaultfd for the kernel's faults), references to pages can be counted, and no other process has the file. A
 * mapping of huge pages cannot be cut inside of one, locked or advised as others: before the program does such a thing, what is
 * shared goes to small pages, for good.
 *
 * A block that moves is closed in every window: who touches it waits in the kernel, and goes on in the mapping
 * that replaces it. The registry's lock is held from close to open, and nothing is called between them that may wait for what such a
 * thread can hold in the kernel.
 */
#include <errno.h>
#include <sys/mman.h>

#include "core/gmem_file.h"
#include "map/host_map_private.h"
#include "obs/inject.h"
#include "os/spare.h"
#include "os/window.h"

enum { CLOSER_UNTRIED, CLOSER_OPEN, CLOSER_NONE };

/* ---- whether ------------------------------------------------------------------------------------- */

/* Who has no room for it now may have some for the next file. */
static void make_closer(struct host_map *m)
{
	int err = os_closer_make(&m->closer_fd);

	if (!err)
		m->closer = CLOSER_OPEN;
	else if (err != -EMFILE && err != -ENFILE && err != -ENOMEM)
		m->closer = CLOSER_NONE;
}

static bool can_close(struct host_map *m)
{
	if (m->closer == CLOSER_UNTRIED && m->sees_calls && !m->guard.no_new_fds && !os_jailed())
		make_closer(m);
	return m->closer == CLOSER_OPEN;
}

bool host_map_can_close(struct host_map *m)
{
	bool can;

	os_mutex_lock(&m->lock);
	can = can_close(m);
	os_mutex_unlock(&m->lock);
	return can;
}

void host_map_close_no_more(struct host_map *m)
{
	if (m->closer == CLOSER_OPEN)
		os_fd_close(m->closer_fd);
	m->closer = CLOSER_NONE;
}

/* Of a file whose blocks move. */
static uint64_t block_of(const struct host_file *f)
{
	return gmem_file_store(f->file)->block;
}

static bool is_plain(const struct piece *p)
{
	const struct guard_window *w = &p->w;

	return p->guarded && w->blocks && !w->barred && !w->lock && !w->advice && w->pkey < 0 &&
	       !((w->addr ^ w->offset) & (w->blocks->block - 1));
}

static bool meets(const struct piece *p, const struct host_file *f, uint64_t offset, uint64_t end)
{
	return p->file == f && p->w.offset < end && p->w.offset + p->w.size > offset;
}

static bool windows_take(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t end,
			 bool watched)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct piece *p = &m->pieces[i];

		if (!meets(p, f, offset, end))
			continue;
		if (!is_plain(p) || (p->w.watched && !watched) || p->w.offset > offset ||
		    p->w.offset + p->w.size < end)
			return false;
	}
	return true;
}

bool host_map_takes_huge(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size)
{
	bool takes;

	if (size != block_of(f) || !m->sees_calls || m->guard.marks_first || m->guard.piecemeal ||
	    obs_injects(INJECT_POISON) || !pins_are_exact())
		return false;
	os_mutex_lock(&m->lock);
	takes = can_close(m) && guard_has_room_huge(&m->guard) &&
		windows_take(m, f, offset, offset + size, false);
	os_mutex_unlock(&m->lock);
	return takes;
}

/* ---- moving -------------------------------------------------------------------------------------- */

static uint64_t address_of(const struct piece *p, uint64_t offset)
{
	return p->w.addr + (offset - p->w.offset);
}

static void open_first(struct host_map *m, struct host_file *f, uint64_t offset, size_t nr)
{
	uint64_t block = block_of(f);

	for (size_t i = 0; i < nr; i++)
		if (meets(&m->pieces[i], f, offset, offset + block))
			os_closer_open(m->closer_fd, address_of(&m->pieces[i], offset), block);
}

int host_map_close(struct host_map *m, struct host_file *f, uint64_t offset)
{
	uint64_t block = block_of(f);
	int err = 0;

	os_mutex_lock(&m->lock);
	/* Where there are marks meanwhile huge pages can go; they do not come. */
	if (!windows_take(m, f, offset, offset + block, true))
		err = -ENOMEM;
	for (size_t i = 0; !err && i < m->nr; i++) {
		if (!meets(&m->pieces[i], f, offset, offset + block))
			continue;
		err = -ENOMEM;
		if (can_close(m))
			err = os_closer_close(m->closer_fd, address_of(&m->pieces[i], offset),
					      block);
		if (err)
			open_first(m, f, offset, i);
	}
	if (err)
		os_mutex_unlock(&m->lock);
	return err;
}

void host_map_open_as_it_was(struct host_map *m, struct host_file *f, uint64_t offset)
{
	open_first(m, f, offset, m->nr);
	os_mutex_unlock(&m->lock);
}

/* The block is a mapping of its own since it was closed: another takes its place, and no more room. */
static void replace(struct host_map *m, struct piece *p, uint64_t offset, uint64_t block)
{
	uint64_t addr = address_of(p, offset);

	guard_replace(&m->guard, &p->w, addr, block);
	os_closer_open(m->closer_fd, addr, block);
}

void host_map_open(struct host_map *m, struct host_file *f, uint64_t offset)
{
	uint64_t block = block_of(f);

	for (size_t i = 0; i < m->nr; i++)
		if (meets(&m->pieces[i], f, offset, offset + block))
			replace(m, &m->pieces[i], offset, block);
	os_mutex_unlock(&m->lock);
}

/* ---- what huge pages cannot follow --------------------------------------------------------------- */

static bool cuts(const struct piece *p, uint64_t addr)
{
	return addr > p->w.addr && addr < piece_end(p) && (addr & (p->w.blocks->block - 1));
}

static struct piece *next_loose(struct host_map *m, uint64_t addr, uint64_t end, bool whole)
{
	for (size_t i = pieces_behind(m, addr); i < m->nr && m->pieces[i].w.addr < end; i++) {
		struct piece *p = &m->pieces[i];

		if (p->w.blocks && p->file->file && !gmem_file_is_small(p->file->file) &&
		    (whole || cuts(p, addr) || cuts(p, end)))
			return p;
	}
	return NULL;
}

/* The file's lock is outside the registry's. False: there is nothing more from *at on. */
static bool loosen_next(struct host_map *m, uint64_t *at, uint64_t end, bool whole, int *err)
{
	struct host_file *f = NULL;
	uint64_t from = *at, to, offset;
	struct piece *p;
	void *owner;

	os_mutex_lock(&m->lock);
	p = next_loose(m, from, end, whole);
	if (p) {
		from = from > p->w.addr ? from : p->w.addr;
		to = end < piece_end(p) ? end : piece_end(p);
		offset = p->w.offset + (from - p->w.addr);
		f = p->file;
		owner = p->owner;
		m->ops.get(owner);
	}
	os_mutex_unlock(&m->lock);
	if (!f)
		return false;
	*err = host_file_make_small(f, offset, to - from);
	*at = to;
	m->ops.put(owner);
	return true;
}

int host_map_loosen(struct host_map *m, uint64_t addr, uint64_t size, bool whole)
{
	uint64_t at = addr, end = range_end(addr, size);
	int err = 0;

	if (!host_map_any(m))
		return 0;
	while (!err && at < end && loosen_next(m, &at, end, whole, &err))
		;
	return err;
}

void host_map_closer_forked(struct host_map *m)
{
	if (m->closer == CLOSER_OPEN)
		os_fd_close(m->closer_fd);
	m->closer = CLOSER_UNTRIED;
}
