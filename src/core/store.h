/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The store: where the contents of a guest_memfd's pages live. It allocates, zeroes once, frees,
 * and hands out a host address for an offset. It knows nothing of attributes, slots or guests. What a kind of store
 * can do is said by its operations, and all who use one go through them; our own are memfds, of one of four kinds
 * of pages, with windows of 1 GiB that are made on demand and kept out of forks and core dumps:
 *
 *	4k	as the system gives them, one by one
 *	thp	the first guest access to 2 MiB in which there is nothing yet, and an allocation of them, puts a
 *		huge page there, if there is one to be had. The system takes it apart when a piece is punched.
 *	2m	huge pages of the system's pool (hugetlb), set aside when the store is made. Their size is
 *		nobody's business above: what is punched of one is zeroed, and the page is freed when all of
 *		it is punched.
 *	1g	the same, larger
 *
 * and of two at once (store_mixed.c), for files that windows map: what no window can show is in huge pages of the pool,
 * everything else in pages of 4 KiB.
 *
 * Any thread. Filling and allocating may run beside each other and beside lookups, a punch beside none of them
 * (the file's invalidate lock sees to it). The store's own lock is the last in the lock order.
 */
#ifndef GMEM_CORE_STORE_H
#define GMEM_CORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

#define STORE_WINDOW_SIZE ((uint64_t)1 << 30)

enum store_pages { STORE_4K, STORE_THP, STORE_2M, STORE_1G };

struct store;

/* What the functions below say of each. Offsets and ranges are inside the store, whole pages. */
struct store_ops {
	void (*destroy)(struct store *s);
	int (*address)(struct store *s, uint64_t offset, void **addr);
	int (*fill)(struct store *s, uint64_t offset);	/* NULL: the touch does it */
	void (*join)(struct store *s, uint64_t offset); /* NULL: nothing to do */
	int (*level)(struct store *s, uint64_t offset); /* NULL: what the size of the store lets */
	bool (*filled_around)(struct store *s, uint64_t offset); /* NULL: always */
	int (*allocate)(struct store *s, uint64_t offset, uint64_t size);
	int (*punch)(struct store *s, uint64_t offset, uint64_t size);
	bool (*next_present)(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size);
	uint64_t (*backed)(struct store *s);
	int (*release)(struct store *s);     /* NULL: all is punched */
	void (*stay_small)(struct store *s); /* NULL: it is small */
	/* All, with blocks; else NULL. */
	bool (*is_huge)(struct store *s, uint64_t offset);
	int (*move)(struct store *s, uint64_t block, bool huge);
	struct store *(*huge)(struct store *s);
};

/* What every store begins with. */
struct store {
	const struct store_ops *ops;
	uint64_t size;
	int fd; /* for host mappings; -1: there are none */
	uint64_t
		block; /* that can be in huge pages or small ones, bytes; 0: pages stay what they are */
};

/* One of ours. -ENOMEM (of 2m, 1g: also when the pool has not as many as size takes), -EMFILE; of these: -EINVAL and
 * others where there are no such pages. */
int store_create(uint64_t size, enum store_pages pages, struct store **out);
/* Of pages of 4 KiB, over a file that is as long and open for reading and writing; a descriptor of ours, which is
 * closed with the store. -ENOMEM: it is still the caller's. */
int store_create_on(int fd, uint64_t size, struct store **out);

/* Of 2m or 1g, and of 4k, with blocks; huge: all of them are huge at first. What is left of size behind the last whole block, or
 * is none, is small. Errors as above. */
int store_create_mixed(uint64_t size, enum store_pages pages, bool huge, struct store **out);

static inline void store_destroy(struct store *s)
{
	s->ops->destroy(s);
}

/* For whom a page is present only when it has itself been touched, before the store is used: no huge pages but
 * those asked for at creation. */
static inline void store_stay_small(struct store *s)
{
	if (s->ops->stay_small)
		s->ops->stay_small(s);
}

/* The engine's own hidden view: *addr is the host address of the byte at offset; it is contiguous to
 * the end of the page of store_level(), of ours to the end of the block or, without blocks, the 1 GiB window that offset lies in.
 * -ENOMEM. Valid until store_destroy(), or until its block moves; of a store that is not ours until its page is punched. */
static inline int store_address(struct store *s, uint64_t offset, void **addr)
{
	os_assert(offset < s->size);
	return s->ops->address(s, offset, addr);
}

/* The page at offset will be touched through the hidden view: where it takes more than the touch to give it
 * memory, that is done now. -ENOMEM. Before store_level(), which depends on it. */
static inline int store_fill(struct store *s, uint64_t offset)
{
	return s->ops->fill ? s->ops->fill(s, offset) : 0;
}

/* The 2 MiB around offset are about to be mapped as one, and are all of one kind above: what was a huge page and was taken
 * apart becomes one again, where nothing is missing and the system can. Contents stay, beside whoever uses them. */
static inline void store_join(struct store *s, uint64_t offset)
{
	os_assert(offset < s->size);
	if (s->ops->join)
		s->ops->join(s, offset);
}

/* The largest level whose page around offset the store is long enough for. */
int store_level_by_size(const struct store *s, uint64_t offset);

/* The largest mapping level the store can offer at offset (LEVEL_4K.. of attr_map.h): a mapping of it contains no
 * page that needs another store_fill() first. */
static inline int store_level(struct store *s, uint64_t offset)
{
	return s->ops->level ? s->ops->level(s, offset) : store_level_by_size(s, offset);
}

/* Whether the 2 MiB around offset, as far as they are of the store, hold no such page either. */
static inline bool store_filled_around(struct store *s, uint64_t offset)
{
	return !s->ops->filled_around || s->ops->filled_around(s, offset);
}

/* Backs the pages of a range, contents kept; -ENOMEM, -ENOSPC, -EINTR. A part may stay allocated. */
static inline int store_allocate(struct store *s, uint64_t offset, uint64_t size)
{
	os_assert(size && offset < s->size && size <= s->size - offset);
	return s->ops->allocate(s, offset, size);
}

/* Frees the pages of a range: they read as zero afterwards, in every mapping. */
static inline int store_punch(struct store *s, uint64_t offset, uint64_t size)
{
	os_assert(size && offset < s->size && size <= s->size - offset);
	return s->ops->punch(s, offset, size);
}

/* Nobody will look for a page again; mappings of others may still be there. */
static inline int store_release(struct store *s)
{
	return s->ops->release ? s->ops->release(s) : s->ops->punch(s, 0, s->size);
}

/* The first run of pages at offset or behind it, before end, that have contents; false: none. A page of 4 KiB that
 * was allocated and never touched has none, one in a huge page has. */
static inline bool store_next_present(struct store *s, uint64_t *offset, uint64_t end,
				      uint64_t *size)
{
	os_assert(end <= s->size && *offset < end);
	return s->ops->next_present(s, offset, end, size);
}

/* Bytes of memory held, huge pages in full. */
static inline uint64_t store_backed(struct store *s)
{
	return s->ops->backed(s);
}

/* Of a store with blocks: whether the one around offset is in a huge page, or will be when it has contents. A fill may make
 * it a small one, where the pool has no page. */
static inline bool store_is_huge(struct store *s, uint64_t offset)
{
	os_assert(offset < s->size);
	return s->block && s->ops->is_huge(s, offset);
}

/* The block, which is a whole one, goes there by copy, if it is not there yet. Alone, as a punch, and nobody uses an address of it.
 * -ENOMEM, -EINTR: it is where it was. */
static inline int store_move(struct store *s, uint64_t block, bool huge)
{
	os_assert(s->block && block % s->block == 0 && s->block <= s->size - block);
	return s->ops->is_huge(s, block) == huge ? 0 : s->ops->move(s, block, huge);
}

/* The store that has the huge blocks of one with blocks, as long as those it has, for who looks at their mappings; NULL. */
static inline struct store *store_huge(struct store *s)
{
	return s->block ? s->ops->huge(s) : NULL;
}

/* For host mappings (map/) only: the descriptor behind the store; -1: it has none. */
static inline int store_fd(struct store *s)
{
	return s->fd;
}

#endif
