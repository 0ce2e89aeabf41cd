/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Walks the whole of an attribute map and asserts what must hold. */
#include "core/attr_node.h"

struct census {
	uint64_t nodes, leaves;
};

static void child_check(struct attr_map *map, uintptr_t e, int level, struct census *census);

static void node_check(struct attr_map *map, struct node *node, struct census *census)
{
	uint32_t nr_children = 0, nr_other = 0;
	unsigned int i;

	for (i = 0; i < FANOUT; i++) {
		uintptr_t e = entry_load(&node->entry[i]);

		nr_children += !is_value(e);
		nr_other += e != from_value(node->base);
		child_check(map, e, node->level - 1, census);
	}
	os_assert(node->nr_children == nr_children);
	os_assert(node->nr_other == nr_other);
	os_assert(!node->next_child);
}

static void child_check(struct attr_map *map, uintptr_t e, int level, struct census *census)
{
	uint32_t value;

	if (is_value(e)) {
		os_assert(!(value_of(e) & ~map->planes));
		return;
	}
	os_assert(!attr_child_folds(map, e, level, &value));
	if (level == LEVEL_4K) {
		census->leaves++;
		return;
	}
	census->nodes++;
	os_assert(node_of(e)->level == (uint32_t)level);
	node_check(map, node_of(e), census);
}

static void dropped_check(struct node *node, struct census *census)
{
	uint32_t nr_children = 0;
	unsigned int i;

	census->nodes++;
	for (i = node->next_child; i < FANOUT; i++) {
		uintptr_t e = entry_load(&node->entry[i]);

		if (is_value(e))
			continue;
		nr_children++;
		if (node->level > 1)
			dropped_check(node_of(e), census);
		else
			census->leaves++;
	}
	os_assert(node->nr_children == nr_children);
}

/* A free node that claims to say the same everywhere is not filled when it is taken. */
static void free_check(const struct attr_map *map)
{
	struct attr_cell *cell = map->nodes.free;
	uint64_t nr = 0;

	for (; cell; cell = (struct attr_cell *)os_racy_load(&cell->next), nr++) {
		struct node *node = node_of_link(cell);

		for (unsigned int i = 0; !node->nr_other && i < FANOUT; i++)
			os_assert(entry_load(&node->entry[i]) == from_value(node->base));
	}
	os_assert(nr == map->nodes.nr_free);
}

void attr_map_check(struct attr_map *map)
{
	struct attr_cell *cell = map->dropped;
	struct census census = { 0 };

	os_assert(!(os_racy_load(&map->sequence) & 1));
	child_check(map, entry_load(&map->root), map->root_level - 1, &census);
	for (; cell; cell = (struct attr_cell *)os_racy_load(&cell->next))
		dropped_check(node_of_link(cell), &census);
	free_check(map);
	os_assert(census.nodes + map->nodes.nr_free == map->nodes.nr_cells);
	os_assert(census.leaves + map->leaves.nr_free == map->leaves.nr_cells);
}
