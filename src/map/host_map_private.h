/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Between the files of host_map.
 *
 * The registry is an array of pieces sorted by address, which never overlap: a program has few mappings of
 * guest memory, and looks them up far more often than it changes them. A piece is of one file, and one
 * way all through (protection, locks, advice); neighbours that continue each other so are one piece. Every
 * piece pins its owner once.
 *
 *	pieces   [0 .. nr)            in use, by address
 *	         [capacity - nr_gone .. capacity)	taken out, their owners still to be put, without the lock
 */
#ifndef GMEM_MAP_HOST_MAP_PRIVATE_H
#define GMEM_MAP_HOST_MAP_PRIVATE_H

#include "map/guard.h"
#include "map/host_map.h"
#include "os/os.h"

struct piece {
	struct guard_window w;
	struct host_file *file;
	void *owner;
	bool guarded; /* a window; else a plain mapping, of which only the place is of interest */
	bool no_fork; /* the program wants it so */
};

struct host_map {
	struct host_map_ops ops;
	struct os_mutex lock;
	struct piece *pieces;
	size_t nr, nr_gone, capacity;
	_Atomic size_t any; /* nr, for a look without the lock */
	struct guard guard;
	int closer, closer_fd; /* host_huge.c */
	bool sees_calls;       /* the program's, all that change a window */
};

static inline uint64_t piece_end(const struct piece *p)
{
	return p->w.addr + p->w.size;
}

static inline uint64_t piece_offset(const struct piece *p, uint64_t addr)
{
	return p->w.offset + (addr - p->w.addr);
}

static inline uint64_t range_end(uint64_t addr, uint64_t size)
{
	return addr + size < addr ? UINT64_MAX & ~(uint64_t)(OS_PAGE_SIZE - 1) : addr + size;
}

static inline bool is_error(long ret)
{
	return ret < 0 && ret >= -4095;
}

static inline uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- host_map_pieces.c, all under the lock ---------------------------------------------------- */

/* Index of the first piece that ends behind addr. */
size_t pieces_behind(const struct host_map *m, uint64_t addr);
/* The first piece that meets [addr, end), NULL: none. */
struct piece *pieces_first(const struct host_map *m, uint64_t addr, uint64_t end);
/* Is there a window in [addr, end)? */
bool pieces_any_guarded(const struct host_map *m, uint64_t addr, uint64_t end);
/* Room for nr_more pieces. -ENOMEM. */
int pieces_reserve(struct host_map *m, size_t nr_more);
/* Room has been reserved. The owner is pinned. Returns where it is. */
struct piece *pieces_insert(struct host_map *m, const struct piece *piece);
/* Cuts a piece in two at addr, if addr is inside one. Room has been reserved. */
void pieces_split(struct host_map *m, uint64_t addr);
/* Makes one of neighbours that continue each other, from the piece before addr to the one behind end. */
void pieces_join(struct host_map *m, uint64_t addr, uint64_t end);
/* Nothing of ours is in [addr, end) any more. Room for two pieces has been reserved. */
void pieces_drop(struct host_map *m, uint64_t addr, uint64_t end);
/* Takes the lock off, then puts the owners of what was dropped. */
void host_map_unlock(struct host_map *m);

/* ---- host_map.c -------------------------------------------------------------------------------- */

/* Maps the window that p describes, with these flags of mmap(2), closed first and then opened where its file says.
 * p->w.addr: where, as for mmap(2). reserved: a place that the caller keeps for it, and that is free if this fails. Its
 * address, the piece is there and not yet joined; or -errno. */
long window_make(struct host_map *m, const struct piece *p, int flags, bool reserved);

/* ---- host_huge.c ------------------------------------------------------------------------------- */

/* Before [addr, addr + size) is cut (whole: changed otherwise), without the lock: its windows are of small pages, where that
 * matters. -EAGAIN (a page is held), -ENOMEM. */
int host_map_loosen(struct host_map *m, uint64_t addr, uint64_t size, bool whole);
/* Whether huge pages can be mapped in windows; takes the lock. */
bool host_map_can_close(struct host_map *m);
/* Under the lock. */
void host_map_close_no_more(struct host_map *m);
void host_map_closer_forked(struct host_map *m);

/* ---- host_map_convert.c ----------------------------------------------------------------------- */

/* Shows what the file says is shared of [addr, end) inside p. */
int piece_open(struct host_map *m, struct piece *p, uint64_t addr, uint64_t end);

#endif
