/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Life of the registry, and mappings that come and go. A window is closed first: all of it is mapped from the
 * empty file, then what is shared is shown.
 */
#include "map/host_map.h"

#include <errno.h>
#include <sys/mman.h>

#include "map/host_map_private.h"
#include "os/window.h"

int host_map_create(const struct host_map_ops *ops, struct host_map **out)
{
	struct host_map *m = os_alloc(sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->ops = *ops;
	os_mutex_init(&m->lock);
	err = guard_init(&m->guard);
	if (err)
		os_free(m, sizeof(*m));
	else
		*out = m;
	return err;
}

struct host_map *host_map_of_process(const struct host_map_ops *ops)
{
	static struct host_map map;

	map.ops = *ops;
	map.sees_calls = true;
	os_mutex_init(&map.lock);
	guard_init_of_process(&map.guard);
	return &map;
}

void host_map_destroy(struct host_map *m)
{
	for (size_t i = 0; i < m->nr; i++)
		m->ops.put(m->pieces[i].owner);
	if (m->pieces)
		os_free(m->pieces, m->capacity * sizeof(*m->pieces));
	guard_destroy(&m->guard);
	os_free(m, sizeof(*m));
}

int host_map_get_ready(struct host_map *m)
{
	/* Nothing that moves can be closed later, nor references counted. */
	int err = host_map_loosen(m, 0, UINT64_MAX, true), not_ready;

	/* What is held stays huge, and does not convert any more. */
	os_mutex_lock(&m->lock);
	host_map_close_no_more(m);
	not_ready = guard_last_call(&m->guard);
	os_mutex_unlock(&m->lock);
	return not_ready ? not_ready : err;
}

/* ---- mmap --------------------------------------------------------------------------------------- */

struct request {
	struct host_file *file;
	void *owner;
	uint64_t addr, size, offset;
	int prot, flags;
	bool reserved; /* addr is a place that was kept for it, which goes when nothing comes there */
};

static bool replaces(const struct request *r)
{
	return (r->flags & MAP_FIXED) && (r->flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE;
}

/* What can be refused before anything is mapped, or unmapped. */
static int make_ready(struct host_map *m, const struct request *r)
{
	int err = guard_ready(&m->guard);

	if (!err && replaces(r))
		err = pieces_reserve(m, 3);
	return err;
}

/* NULL: elsewhere, or all is in small pages. */
static struct store *blocks_of(const struct host_file *f)
{
	struct store *s = f->file ? gmem_file_store(f->file) : NULL;

	return s && s->block ? s : NULL;
}

static struct piece piece_of(const struct request *r)
{
	return (struct piece){
		.w = { .addr = r->addr,
		       .size = r->size,
		       .offset = r->offset,
		       .store_fd = r->file->store_fd,
		       .blocks = blocks_of(r->file),
		       .prot = r->prot,
		       .pkey = -1,
		       .lock = r->flags & MAP_LOCKED ? GUARD_LOCKED : GUARD_UNLOCKED },
		.file = r->file,
		.owner = r->owner,
		.guarded = host_file_converts(r->file),
	};
}

/* Room for one at p, and nothing else there. Also where nothing was to be replaced there may be a piece: of a
 * mapping that went without our being told. */
static int clear_place(struct host_map *m, const struct piece *p)
{
	int err = pieces_reserve(m, 3);

	if (!err)
		pieces_drop(m, p->w.addr, piece_end(p));
	return err;
}

/* A place that was kept is given back at most once: what is free another thread may have at any time. */
static long map_or_give_back(const struct piece *p, int flags, int fd, bool reserved)
{
	long at = os_window_map(p->w.addr, p->w.size, p->w.prot, flags, fd, p->w.offset);

	if (is_error(at) && reserved)
		os_window_unmap(p->w.addr, p->w.size);
	return at;
}

static long map_plain(struct host_map *m, const struct request *r)
{
	bool shared = r->file->flags & GMEM_FILE_INIT_SHARED;
	int fd = shared && r->file->store_fd >= 0 ? r->file->store_fd : m->guard.empty_fd;
	struct piece p = piece_of(r);
	long at = map_or_give_back(&p, r->flags, fd, r->reserved);
	int err;

	if (is_error(at))
		return at;
	p.w.addr = (uint64_t)at;
	err = clear_place(m, &p);
	if (err) {
		os_window_unmap(p.w.addr, p.w.size);
		return err;
	}
	pieces_insert(m, &p);
	pieces_join(m, p.w.addr, piece_end(&p));
	return at;
}

static void populate(struct host_map *m, const struct piece *p)
{
	uint64_t addr = p->w.addr;

	while (addr < piece_end(p)) {
		bool hidden;
		uint64_t nr = guard_pages_run(m->guard.pages, addr, piece_end(p) - addr, IS_HIDDEN,
					      &hidden);

		if (!hidden)
			os_window_advise(addr, nr,
					 p->w.prot & PROT_WRITE ? MADV_POPULATE_WRITE
								: MADV_POPULATE_READ);
		addr += nr;
	}
}

long window_make(struct host_map *m, const struct piece *like, int flags, bool reserved)
{
	struct piece p = *like, *made;
	long at = map_or_give_back(&p, flags, m->guard.empty_fd, reserved);
	int err;

	if (is_error(at))
		return at;
	p.w.addr = (uint64_t)at;
	err = clear_place(m, &p);
	if (!err)
		err = guard_add(&m->guard, &p.w);
	if (err) {
		os_window_unmap(p.w.addr, p.w.size);
		return err;
	}
	made = pieces_insert(m, &p);
	err = piece_open(m, made, p.w.addr, piece_end(&p));
	if (err) {
		os_window_unmap(p.w.addr, p.w.size);
		pieces_drop(m, p.w.addr, piece_end(&p));
		return err;
	}
	return at;
}

static long map_window(struct host_map *m, const struct request *r)
{
	struct piece p = piece_of(r);
	long at = window_make(m, &p, r->flags & ~MAP_POPULATE, r->reserved);

	if (is_error(at))
		return at;
	if (r->flags & MAP_POPULATE)
		populate(m, pieces_first(m, (uint64_t)at, (uint64_t)at + 1));
	pieces_join(m, (uint64_t)at, (uint64_t)at + r->size);
	return at;
}

/* Flags that do not say where. */
#define ANYWHERE (MAP_SHARED | MAP_SHARED_VALIDATE | MAP_NORESERVE | MAP_POPULATE | MAP_LOCKED)
#define LARGE ((uint64_t)2 << 20)

/* Of such pages the windows may be; 2 MiB where there are none of the pool. */
static uint64_t page_of(const struct request *r)
{
	struct store *s = blocks_of(r->file);

	return s ? s->block : LARGE;
}

static bool reserve(const struct request *r, uint64_t align, void **place)
{
	return r->size >= align && !os_reserve(r->size, align, r->offset, place);
}

/*
 * Where nobody says where: so that 2 MiB of the file are 2 MiB of a page table, and 1 GiB of one with such pages are 1 GiB. Else
 * the huge pages of a store could not be mapped as such, and every change of a range would have chunks of the guard that
 * are in part so at both ends. False: as the kernel chooses.
 */
static bool find_place(struct request *r)
{
	void *place;

	if (r->addr || r->flags & ~ANYWHERE ||
	    !(reserve(r, page_of(r), &place) || reserve(r, LARGE, &place)))
		return false;
	r->addr = (uint64_t)(uintptr_t)place;
	r->flags |= MAP_FIXED;
	return true;
}

/* Whether huge pages could be mapped in it, each in whole. */
static bool takes_huge(const struct request *r)
{
	uint64_t page = page_of(r);
	bool ends = !(r->size % page) || r->offset + r->size >= r->file->size;

	return (r->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && !(r->flags & MAP_LOCKED) &&
	       !(r->addr % page) && !(r->offset % page) && ends;
}

static int make_way(struct host_map *m, const struct request *r)
{
	int err = replaces(r) ? host_map_loosen(m, r->addr, r->size, false) : 0;

	if (err || !blocks_of(r->file) || (takes_huge(r) && host_map_can_close(m)))
		return err;
	return host_file_make_small(r->file, r->offset, r->size);
}

int host_map_mmap(struct host_map *m, struct host_file *f, void *owner, uint64_t addr,
		  uint64_t size, int prot, int flags, uint64_t offset, uint64_t *at)
{
	struct request r = { f, owner, addr, size, offset, prot, flags, false };
	long ret;

	r.reserved = find_place(&r);
	ret = make_way(m, &r);
	if (ret) {
		if (r.reserved)
			os_window_unmap(r.addr, r.size);
		return (int)ret;
	}
	host_file_hold(f);
	os_mutex_lock(&m->lock);
	ret = make_ready(m, &r);
	if (!ret)
		ret = host_file_converts(f) ? map_window(m, &r) : map_plain(m, &r);
	else if (r.reserved)
		os_window_unmap(r.addr, r.size);
	host_map_unlock(m);
	host_file_let(f);
	if (is_error(ret))
		return (int)ret;
	*at = (uint64_t)ret;
	return 0;
}

/* ---- what goes ---------------------------------------------------------------------------------- */

long host_map_replace(struct host_map *m, uint64_t addr, uint64_t size, int prot, int flags, int fd,
		      uint64_t offset)
{
	uint64_t end = range_end(addr, size);
	long ret = host_map_loosen(m, addr, size, false);

	if (ret)
		return ret;
	os_mutex_lock(&m->lock);
	ret = pieces_reserve(m, 2);
	if (!ret)
		ret = os_window_map(addr, size, prot, flags, fd, offset);
	if (ret == (long)addr)
		pieces_drop(m, addr, end);
	host_map_unlock(m);
	return ret;
}

long host_map_munmap(struct host_map *m, uint64_t addr, uint64_t size)
{
	uint64_t end = range_end(addr, size);
	long ret = host_map_loosen(m, addr, size, false);

	if (ret)
		return ret;
	os_mutex_lock(&m->lock);
	ret = pieces_reserve(m, 2);
	if (!ret)
		ret = os_window_cut(addr, size);
	if (!ret)
		pieces_drop(m, addr, end);
	host_map_unlock(m);
	return ret;
}

/* ---- looking ------------------------------------------------------------------------------------ */

bool host_map_find(struct host_map *m, uint64_t addr, uint64_t size, struct host_map_range *out)
{
	struct piece *p;

	if (!size || !host_map_any(m))
		return false;
	os_mutex_lock(&m->lock);
	p = pieces_first(m, addr, range_end(addr, size));
	if (p) {
		*out = (struct host_map_range){ p->w.addr, p->w.size, p->file, p->owner,
						p->w.offset };
		m->ops.get(out->owner);
	}
	os_mutex_unlock(&m->lock);
	return p;
}

bool host_map_any(struct host_map *m)
{
	return os_racy_load(&m->any) != 0;
}

bool host_map_is_hidden(struct host_map *m, uint64_t addr)
{
	return host_map_any(m) && guard_is_hidden(&m->guard, addr);
}

bool host_map_is_window(struct host_map *m, uint64_t addr)
{
	bool is;

	if (!host_map_any(m))
		return false;
	os_mutex_lock(&m->lock);
	is = pieces_any_guarded(m, addr, addr + 1);
	os_mutex_unlock(&m->lock);
	return is;
}
