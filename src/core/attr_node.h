/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The inside of an attribute map, for attr_map.c (lookups), attr_change.c and attr_check.c only.
 *
 *	root entry ── node, level 5 ── ... ── node, level 1 ── leaf
 *	              512 entries             512 entries      512 bits a plane
 *
 *	entry:  value << 1         every page of the subtree is so
 *	        pointer | 1        a node, or below level 1 a leaf
 *
 * Memory that is all zero is a node that says 0 everywhere.
 */
#ifndef GMEM_CORE_ATTR_NODE_H
#define GMEM_CORE_ATTR_NODE_H

#include "core/attr_leaf.h"
#include "core/attr_map.h"
#include "core/attr_pool.h"
#include "os/os.h"

#define ROOT_LEVEL 6	 /* the root entry of the largest map spans 512^6 pages */
#define ROOT_LEVEL_MIN 2 /* mappings of 1 GiB are asked for */
#define FANOUT LEAF_PAGES
#define FANOUT_SHIFT 9

_Static_assert(ATTR_MAP_MAX_INDEX == ((uint64_t)1 << (FANOUT_SHIFT * ROOT_LEVEL)) - 1,
	       "the root spans all");
_Static_assert(FANOUT == 1 << FANOUT_SHIFT, "the two are one number");

typedef _Atomic uintptr_t entry_t;

/* An entry of a node at level n spans 512^n pages. */
struct node {
	entry_t entry[FANOUT];
	/* The writer's: */
	struct attr_cell link; /* while free or dropped; the entries stay what they are */
	uint32_t base;
	uint16_t nr_other;    /* entries that are not the value base */
	uint16_t nr_children; /* of these, pointers; in a dropped node those from next_child on */
	uint16_t next_child;  /* 0 until it is dropped */
	uint8_t level;
};

struct attr_map {
	_Atomic uint64_t sequence;
	entry_t root;
	uint32_t planes;
	uint32_t nr_planes;
	int root_level;	     /* the root entry spans 512^root_level pages, */
	uint32_t root_shift; /* which is 2^root_shift */
	/* The writer's: */
	struct attr_pool nodes, leaves;
	struct attr_cell *dropped; /* nodes with all that is below them, to be used again */
};

static inline uintptr_t entry_load(entry_t *entry)
{
	return atomic_load_explicit(entry, memory_order_acquire);
}

static inline void entry_store(entry_t *entry, uintptr_t e)
{
	atomic_store_explicit(entry, e, memory_order_release);
}

static inline bool is_value(uintptr_t e)
{
	return !(e & 1);
}

static inline uint32_t value_of(uintptr_t e)
{
	return (uint32_t)(e >> 1);
}

static inline uintptr_t from_value(uint32_t value)
{
	return (uintptr_t)value << 1;
}

static inline struct node *node_of(uintptr_t e)
{
	return (struct node *)(e - 1);
}

static inline struct leaf *leaf_of(uintptr_t e)
{
	return (struct leaf *)(e - 1);
}

static inline uintptr_t from_child(void *child)
{
	return (uintptr_t)child | 1;
}

static inline unsigned int entry_index(uint64_t index, int level)
{
	return (index >> (FANOUT_SHIFT * level)) % FANOUT;
}

static inline struct node *node_of_link(struct attr_cell *link)
{
	return (struct node *)((char *)link - offsetof(struct node, link));
}

static inline void check_range(const struct attr_map *map, uint64_t first, uint64_t nr)
{
	uint64_t limit = attr_map_limit(map);

	os_assert(nr && first < limit && nr <= limit - first);
}

/* attr_change.c, for the check: true, and the value, when a child says no more than its parent's entry could. */
bool attr_child_folds(struct attr_map *map, uintptr_t e, int child_level, uint32_t *value);

#endif
