/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The attribute map: what each page is, over an index space of up to 2^54 pages.
 *
 * A radix tree with the geometry of the page tables. An entry is either one value for the whole
 * subtree or a child; the lowest level is a bitmap of 512 pages.
 *
 *	level 5..2   512 entries each   [ value | child ]   an entry of level 2 spans 1 GiB ... and up
 *	level 1      512 entries        [ value | leaf  ]   an entry spans 512 pages (2 MiB)
 *	leaf         one bit plane per attribute, 512 bits each
 *
 * Setting an aligned range of any size is one store; alternating pages cost bits, not nodes; a
 * subtree that becomes uniform folds back into its parent's entry.
 *
 * Memory. A leaf is 64 bytes an attribute for 512 pages, a lowest node some 4 KiB for 262144: whatever is done
 * to nr_pages pages, a map of one attribute holds at most attr_map_bytes_bound(), a seventh of a byte a page
 * and a constant (37 MiB for 1 TiB). What folds is used again, by the map alone, and given back with it.
 *
 * Writers (set, reserve) hold the caller's lock: one at a time per map. Lookups take no lock and may
 * run beside a writer: nodes and leaves live in a pool of the map and keep their type until the map
 * is destroyed, and a reader re-checks the map's sequence, so that a stale pointer can only lead to
 * a retry, never to foreign memory. A lookup beside a writer answers the state before or after.
 */
#ifndef GMEM_CORE_ATTR_MAP_H
#define GMEM_CORE_ATTR_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define ATTR_PRIVATE 8u /* bit 3, as in KVM_MEMORY_ATTRIBUTE_PRIVATE */

#define ATTR_MAP_MAX_INDEX (((uint64_t)1 << 54) - 1)

/* Levels of a mapping: 4 KiB, 2 MiB, 1 GiB. */
enum { LEVEL_4K = 0, LEVEL_2M = 1, LEVEL_1G = 2 };
static inline uint64_t level_pages(int level)
{
	return (uint64_t)1 << (9 * level);
}

struct attr_map;

/* planes: a mask of the attribute bits the map can hold (today ATTR_PRIVATE); initial: the value of
 * every page. -ENOMEM. */
int attr_map_create(uint32_t planes, uint32_t initial, struct attr_map **out);
/* The same for fewer pages, 1 to ATTR_MAP_MAX_INDEX + 1: no higher than they need, so that a change far from
 * every other goes down fewer levels. It holds attr_map_limit() pages: nr_pages rounded up to 1 GiB or more. */
int attr_map_create_for(uint32_t planes, uint32_t initial, uint64_t nr_pages,
			struct attr_map **out);
uint64_t attr_map_limit(const struct attr_map *map);
void attr_map_destroy(struct attr_map *map);

/* Lock-free. */
uint32_t attr_map_get(struct attr_map *map, uint64_t index);
/* Lock-free: true when every page of [first, first + nr) has the same value, put into *value. */
bool attr_map_uniform(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t *value);
/* Lock-free: how many pages from first on, at most nr, have the value of first, which is put into *value. */
uint64_t attr_map_run(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t *value);
/* Lock-free: the largest level at most max_level whose aligned block around index is uniform. */
int attr_map_level(struct attr_map *map, uint64_t index, int max_level);

/* Under the writer's lock. Makes sure that the next attr_map_set() of this range cannot fail. */
int attr_map_reserve(struct attr_map *map, uint64_t first, uint64_t nr);
/* Under the writer's lock; the range must have been reserved. Replaces the value of every page. */
void attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value);

/* Under the writer's lock: bytes the map holds, and pages in [first, first+nr) whose value is value. */
uint64_t attr_map_bytes(struct attr_map *map);
/* The most that a map of one attribute can ever hold when pages below nr_pages change. */
static inline uint64_t attr_map_bytes_bound(uint64_t nr_pages)
{
	return nr_pages / 7 + (320 << 10);
}
uint64_t attr_map_count(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value);
/* Walks the whole structure and asserts what must hold. */
void attr_map_check(struct attr_map *map);

#endif
