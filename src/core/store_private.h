/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The inside of a store, for store.c and store_huge.c alone. */
#ifndef GMEM_CORE_STORE_PRIVATE_H
#define GMEM_CORE_STORE_PRIVATE_H

#include "core/attr_map.h"
#include "core/store.h"
#include "os/os.h"

#define BLOCK_2M ((uint64_t)2 << 20)
#define BLOCK_1G ((uint64_t)1 << 30)
#define WINDOW_WORDS 8 /* of 64 blocks of 2 MiB */

/* Made once, stays until the end. */
struct window {
	void *addr;
	uint64_t block; /* as the store's */
	/* A bit for each block: there is nothing to fill any more. thp: it has been tried; 2m, 1g: the huge
	 * page is there. */
	_Atomic uint64_t filled[WINDOW_WORDS];
	/* thp: it has been filled, and a piece of it was punched since. */
	_Atomic uint64_t apart[WINDOW_WORDS];
};

typedef _Atomic(void *) slot_t;

struct memfd_store {
	struct store is;    /* first */
	uint64_t file_size; /* of the memfd: whole pages of its kind */
	enum store_pages pages;
	uint64_t block; /* bytes of a huge page */
	int depth;	/* levels of tables */
	slot_t *top;
	uint64_t nr_top;
	struct os_mutex lock; /* making of tables and windows, and what is below */
	_Atomic(struct attr_map *)
		punched; /* 2m, 1g: pages that are, of huge pages that are not; NULL: none yet */
};

static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static inline struct memfd_store *memfd_store(struct store *s)
{
	return (struct memfd_store *)s;
}

/* The window that offset lies in; NULL: not made yet. */
struct window *window_find(struct memfd_store *s, uint64_t offset);
/* Makes it. -ENOMEM. */
int window_get(struct memfd_store *s, uint64_t offset, struct window **out);
/* Calls fn for every window there is that meets [offset, end), with the part that does. */
void window_for_each(struct memfd_store *s, uint64_t offset, uint64_t end,
		     void (*fn)(struct window *w, uint64_t offset, uint64_t end));

/* As store_allocate(), in pages of 4 KiB. */
int store_allocate_small(struct store *s, uint64_t offset, uint64_t size);

/* ---- store_huge.c, for stores that fill: huge pages, or perhaps ------------------------------------ */

int store_fill_thp(struct store *s, uint64_t offset);
int store_fill_pool(struct store *s, uint64_t offset);
void store_join_thp(struct store *s, uint64_t offset);
int store_level_thp(struct store *s, uint64_t offset);
int store_level_pool(struct store *s, uint64_t offset);
bool store_filled_around_pool(struct store *s, uint64_t offset);
int store_allocate_thp(struct store *s, uint64_t offset, uint64_t size);
int store_allocate_pool(struct store *s, uint64_t offset, uint64_t size);
int store_punch_thp(struct store *s, uint64_t offset, uint64_t size);
int store_punch_pool(struct store *s, uint64_t offset, uint64_t size);
bool store_next_present_pool(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size);

#endif
