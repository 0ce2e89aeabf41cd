/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The attribute map: changes, under the writer's lock.
 *
 * The odd time is short: at most two edges of a range go down the levels, and what lies between them is
 * stored as values. A node that drops out is only hung on a list, with all that is below it. It is taken apart
 * when a later change needs cells, before the pools may grow: an entry at a time, and no more than are needed.
 *
 * A node counts the entries that differ from the value it was made with, so that nobody has to look whether it
 * folds, and one that folds needs no filling when it is used for the same value again.
 */
#include <errno.h>

#include "core/attr_node.h"

static void write_begin(struct attr_map *map)
{
	os_racy_store(&map->sequence, os_racy_load(&map->sequence) + 1);
}

static void write_end(struct attr_map *map)
{
	atomic_store_explicit(&map->sequence, os_racy_load(&map->sequence) + 1,
			      memory_order_release);
}

/* ---- cells ---------------------------------------------------------------------------------- */

static struct node *node_make(struct attr_map *map, int level, uint32_t value)
{
	struct node *node = attr_pool_take(&map->nodes);
	unsigned int i;

	if (node->nr_other || node->base != value) {
		for (i = 0; i < FANOUT; i++)
			entry_store(&node->entry[i], from_value(value));
	}
	node->base = value;
	node->nr_other = 0;
	node->nr_children = 0;
	node->next_child = 0;
	node->level = (uint8_t)level;
	return node;
}

static struct leaf *leaf_make(struct attr_map *map, uint32_t value)
{
	struct leaf *leaf = attr_pool_take(&map->leaves);

	leaf_set(map->planes, leaf, 0, FANOUT - 1, value);
	return leaf;
}

static uintptr_t child_make(struct attr_map *map, int child_level, uint32_t value)
{
	if (child_level == LEVEL_4K)
		return from_child(leaf_make(map, value));
	return from_child(node_make(map, child_level, value));
}

static void child_drop(struct attr_map *map, uintptr_t e, int child_level)
{
	if (is_value(e))
		return;
	if (child_level == LEVEL_4K)
		attr_pool_give(&map->leaves, leaf_of(e));
	else if (node_of(e)->nr_children)
		attr_cell_push(&map->dropped, &node_of(e)->link);
	else
		attr_pool_give(&map->nodes, node_of(e));
}

/* Takes one child out of what was dropped, or gives back a node that has none left. */
static void take_apart(struct attr_map *map)
{
	struct node *node = node_of_link(map->dropped);
	uintptr_t e;

	if (!node->nr_children) {
		attr_cell_pop(&map->dropped);
		attr_pool_give(&map->nodes, node);
		return;
	}
	do {
		e = entry_load(&node->entry[node->next_child++]);
	} while (is_value(e));
	node->nr_children--;
	child_drop(map, e, node->level - 1);
}

static int cells_reserve(struct attr_map *map, struct attr_pool *pool, uint64_t nr)
{
	while (pool->nr_free < nr && map->dropped)
		take_apart(map);
	return attr_pool_reserve(pool, nr);
}

/* ---- entries -------------------------------------------------------------------------------- */

/* parent: the node that entry is in; NULL at the root. */
static void entry_replace(struct node *parent, entry_t *entry, uintptr_t old, uintptr_t e)
{
	if (parent) {
		uintptr_t base = from_value(parent->base);

		parent->nr_children += (uint16_t)(is_value(old) - is_value(e));
		parent->nr_other += (uint16_t)((old == base) - (e == base));
	}
	entry_store(entry, e);
}

static bool node_folds(struct node *node, uint32_t *value)
{
	uintptr_t one = entry_load(&node->entry[0]);
	unsigned int i;

	*value = value_of(one);
	if (!node->nr_other)
		return true;
	if (node->nr_children || node->nr_other < FANOUT)
		return false;
	for (i = 1; i < FANOUT; i++) {
		if (entry_load(&node->entry[i]) != one)
			return false;
	}
	node->base = *value;
	node->nr_other = 0;
	return true;
}

bool attr_child_folds(struct attr_map *map, uintptr_t e, int child_level, uint32_t *value)
{
	if (child_level > LEVEL_4K)
		return node_folds(node_of(e), value);
	*value = leaf_get(map->planes, leaf_of(e), 0);
	return leaf_is(map->planes, leaf_of(e), *value);
}

/* Sets the entries first..last as wholes. */
static void entries_set(struct attr_map *map, struct node *node, unsigned int first,
			unsigned int last, uint32_t value)
{
	uintptr_t e = from_value(value), base = from_value(node->base);
	unsigned int i, nr_other = node->nr_other;

	for (i = first; i <= last; i++) {
		uintptr_t old = entry_load(&node->entry[i]);

		nr_other -= old != base;
		entry_store(&node->entry[i], e);
		if (!is_value(old)) {
			node->nr_children--;
			child_drop(map, old, node->level - 1);
		}
	}
	if (e != base)
		nr_other += last + 1 - first;
	node->nr_other = (uint16_t)nr_other;
}

static void entry_set(struct attr_map *map, struct node *parent, entry_t *entry, int level,
		      uint64_t first, uint64_t last, uint32_t value);

/* Sets first..last of a node; both count from its start. */
static void node_set(struct attr_map *map, struct node *node, uint64_t first, uint64_t last,
		     uint32_t value)
{
	uint64_t in_entry = level_pages(node->level) - 1;
	unsigned int i = entry_index(first, node->level), end = entry_index(last, node->level);

	if (i == end) {
		entry_set(map, node, &node->entry[i], node->level, first & in_entry,
			  last & in_entry, value);
		return;
	}
	entry_set(map, node, &node->entry[i], node->level, first & in_entry, in_entry, value);
	entries_set(map, node, i + 1, end - 1, value);
	entry_set(map, node, &node->entry[end], node->level, 0, last & in_entry, value);
}

/* Sets first..last of an entry that spans 512^level pages; both count from its start. */
static void entry_set(struct attr_map *map, struct node *parent, entry_t *entry, int level,
		      uint64_t first, uint64_t last, uint32_t value)
{
	uintptr_t e = entry_load(entry), child = e;
	uint32_t uniform;

	if (e == from_value(value))
		return;
	if (first == 0 && last == level_pages(level) - 1) {
		entry_replace(parent, entry, e, from_value(value));
		child_drop(map, e, level - 1);
		return;
	}
	if (is_value(e))
		child = child_make(map, level - 1, value_of(e));
	if (level == LEVEL_2M)
		leaf_set(map->planes, leaf_of(child), first, last, value);
	else
		node_set(map, node_of(child), first, last, value);
	/* One that is new has not been seen by anybody, and differs. */
	if (child != e) {
		entry_replace(parent, entry, e, child);
	} else if (attr_child_folds(map, child, level - 1, &uniform)) {
		entry_replace(parent, entry, child, from_value(uniform));
		child_drop(map, child, level - 1);
	}
}

void attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	check_range(map, first, nr);
	os_assert(!(value & ~map->planes));
	write_begin(map);
	entry_set(map, NULL, &map->root, map->root_level, first, first + nr - 1, value);
	write_end(map);
}

/* ---- memory for them ------------------------------------------------------------------------ */

/* Counts what is missing to make index the start of an entry, beside what other needs already. */
static void edge_needs(struct attr_map *map, uint64_t index, uint64_t other, uint64_t *nodes,
		       uint64_t *leaves)
{
	uintptr_t e = entry_load(&map->root);
	int level;

	for (level = map->root_level; index & (level_pages(level) - 1); level--) {
		uint64_t in_entry = level_pages(level) - 1;
		bool counted = (other | in_entry) == (index | in_entry) && (other & in_entry);
		bool missing = is_value(e) && !counted;

		if (level == LEVEL_2M) {
			*leaves += missing;
			return;
		}
		*nodes += missing;
		if (!is_value(e))
			e = entry_load(&node_of(e)->entry[entry_index(index, level - 1)]);
	}
}

int attr_map_reserve(struct attr_map *map, uint64_t first, uint64_t nr)
{
	uint64_t nodes = 0;
	uint64_t leaves = 0;
	int err;

	check_range(map, first, nr);
	/* A range changes form at its two edges only. The start of the map is an edge already. */
	edge_needs(map, first, 0, &nodes, &leaves);
	edge_needs(map, first + nr, first, &nodes, &leaves);
	err = cells_reserve(map, &map->nodes, nodes);
	return err ? err : cells_reserve(map, &map->leaves, leaves);
}
