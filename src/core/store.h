/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The store: where the contents of a guest_memfd's pages live. It allocates, zeroes once, frees,
 * and hands out a host address for an offset through windows of 1 GiB that are made on demand and
 * kept out of forks and core dumps. It knows nothing of attributes, slots or guests.
 *
 * It is a memfd, of one of three kinds of pages:
 *
 *	4k	as the system gives them, one by one
 *	thp	the first guest access to 2 MiB in which there is nothing yet, and an allocation of them, puts a
 *		huge page there, if there is one to be had. The system takes it apart when a piece is punched.
 *	2m	huge pages of the system's pool (hugetlb), set aside when the store is made. Their size is
 *		nobody's business above: what is punched of one is zeroed, and the page is freed when all of
 *		it is punched.
 *
 * Any thread. Filling and allocating may run beside each other and beside lookups, a punch beside none of them
 * (the file's invalidate lock sees to it). The store's own lock is the last in the lock order.
 */
#ifndef GMEM_CORE_STORE_H
#define GMEM_CORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_WINDOW_SIZE ((uint64_t)1 << 30)

enum store_pages { STORE_4K, STORE_THP, STORE_2M };

struct store;

/* -ENOMEM (of 2m: also when the pool has not as many as size takes), -EMFILE; of 2m: -EINVAL and others where there
 * are no such pages. */
int store_create(uint64_t size, enum store_pages pages, struct store **out);
void store_destroy(struct store *s);
/* For whom a page is present only when it has itself been touched, before the store is used: no huge pages but
 * those asked for at creation. */
void store_stay_small(struct store *s);

/* The engine's own hidden view: *addr is the host address of the byte at offset; it is contiguous to
 * the end of the 1 GiB window that offset lies in. -ENOMEM. Valid until store_destroy(). */
int store_address(struct store *s, uint64_t offset, void **addr);
/* The page at offset will be touched through the hidden view: where it takes more than the touch to give it
 * memory, that is done now. -ENOMEM. Before store_level(), which depends on it. */
int store_fill(struct store *s, uint64_t offset);
/* The largest mapping level the store can offer at offset (LEVEL_4K.. of attr_map.h): a mapping of it contains no
 * page that needs another store_fill() first. */
int store_level(struct store *s, uint64_t offset);
/* Whether the 2 MiB around offset, as far as they are of the store, hold no such page either. */
bool store_filled_around(struct store *s, uint64_t offset);
/* Backs the pages of a range, contents kept; -ENOMEM, -ENOSPC, -EINTR. A part may stay allocated. */
int store_allocate(struct store *s, uint64_t offset, uint64_t size);
/* Frees the pages of a range: they read as zero afterwards, in every mapping. */
int store_punch(struct store *s, uint64_t offset, uint64_t size);
/* The first run of pages at offset or behind it, before end, that have contents; false: none. A page of 4 KiB that
 * was allocated and never touched has none, one in a huge page has. */
bool store_next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size);
/* Bytes of memory held, huge pages in full. */
uint64_t store_backed(struct store *s);
/* For host mappings (map/) only: the descriptor behind the store. */
int store_fd(struct store *s);

#endif
