/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The attribute map: form, lookups, changes.
 *
 *	root entry ── node, level 5 ── ... ── node, level 1 ── leaf
 *	              512 entries             512 entries      512 bits a plane
 *
 *	entry:  value << 1 | 1     every page of the subtree is so
 *	        pointer            a node, or below level 1 a leaf
 *
 * The reader's rule. A change makes the map's sequence odd, stores, and makes it even again. A
 * reader notes an even sequence, and after each load, before it believes or follows what it loaded,
 * checks that the sequence has not moved; if it has, it starts again. What passed the check was part
 * of the map when the sequence was noted, so a pointer leads to what it is supposed to lead to, a
 * node or a leaf; and since cells keep their type for good (attr_pool.h), the next load is one from a
 * cell of that kind, however late it comes. Its result may be rubbish: the check finds that.
 *
 * Ordering, without fences (a thread sanitizer does not know them): data is stored with release
 * after the sequence became odd, and loaded with acquire before the sequence is checked. So whoever
 * sees data of a change also sees that the sequence has moved.
 *
 * The odd time is short: at most two edges of a range go down the levels, subtrees that drop out are
 * only unhooked. They return to the pool after the sequence is even again.
 */
#include "core/attr_map.h"

#include <errno.h>

#include "core/attr_leaf.h"
#include "core/attr_pool.h"
#include "os/os.h"

#define ROOT_LEVEL 6	 /* the root entry of the largest map spans 512^6 pages */
#define ROOT_LEVEL_MIN 2 /* mappings of 1 GiB are asked for */
#define FANOUT LEAF_PAGES
#define SPINS 64

_Static_assert(ATTR_MAP_MAX_INDEX == ((uint64_t)1 << (9 * ROOT_LEVEL)) - 1, "the root spans all");

typedef _Atomic uintptr_t entry_t;

/* An entry of a node at level n spans 512^n pages. */
struct node {
	entry_t entry[FANOUT];
	/* The writer's: */
	struct node *next_dropped;
	uint32_t nr_children; /* entries that are pointers */
	uint32_t level;
};

struct attr_map {
	_Atomic uint64_t sequence;
	entry_t root;
	uint32_t planes;
	uint32_t nr_planes;
	int root_level; /* the root entry spans 512^root_level pages */
	struct attr_pool nodes, leaves;
	struct node *dropped; /* unhooked by the change in progress */
};

/* ---- entries ------------------------------------------------------------------------------- */

static uintptr_t entry_load(entry_t *entry)
{
	return atomic_load_explicit(entry, memory_order_acquire);
}

static void entry_store(entry_t *entry, uintptr_t e)
{
	atomic_store_explicit(entry, e, memory_order_release);
}

static bool is_value(uintptr_t e)
{
	return e & 1;
}

static uint32_t value_of(uintptr_t e)
{
	return (uint32_t)(e >> 1);
}

static uintptr_t from_value(uint32_t value)
{
	return (uintptr_t)value << 1 | 1;
}

static struct node *node_of(uintptr_t e)
{
	return (struct node *)e;
}

static struct leaf *leaf_of(uintptr_t e)
{
	return (struct leaf *)e;
}

static unsigned int entry_index(uint64_t index, int level)
{
	return (index >> (9 * level)) % FANOUT;
}

/* ---- lookups, without a lock ---------------------------------------------------------------- */

static uint64_t read_begin(struct attr_map *map)
{
	unsigned int spins = 0;

	for (;;) {
		uint64_t sequence = atomic_load_explicit(&map->sequence, memory_order_acquire);

		if (!(sequence & 1))
			return sequence;
		/* The writer may have lost its processor. */
		if (++spins % SPINS)
			os_relax();
		else
			os_yield();
	}
}

static bool moved(struct attr_map *map, uint64_t sequence)
{
	return os_racy_load(&map->sequence) != sequence;
}

#define MOVED (-1)

/* The level of the largest known uniform block around index, and its value; or MOVED. */
static int find(struct attr_map *map, uint64_t index, uint32_t *value)
{
	uint64_t sequence = read_begin(map);
	uintptr_t e = entry_load(&map->root);
	int level = map->root_level;

	while (!moved(map, sequence)) {
		if (is_value(e)) {
			*value = value_of(e);
			return level;
		}
		if (--level == LEVEL_4K) {
			*value = leaf_get(map->planes, leaf_of(e), index % FANOUT);
			return moved(map, sequence) ? MOVED : level;
		}
		e = entry_load(&node_of(e)->entry[entry_index(index, level)]);
	}
	return MOVED;
}

static int find_retry(struct attr_map *map, uint64_t index, uint32_t *value)
{
	int level;

	os_assert(index < attr_map_limit(map));
	do {
		level = find(map, index, value);
	} while (level == MOVED);
	return level;
}

uint32_t attr_map_get(struct attr_map *map, uint64_t index)
{
	uint32_t value;

	find_retry(map, index, &value);
	return value;
}

int attr_map_level(struct attr_map *map, uint64_t index, int max_level)
{
	uint32_t value;
	int level = find_retry(map, index, &value);

	return level < max_level ? level : max_level;
}

/* A question about first..last, and the answer so far. */
struct uniform {
	uint64_t sequence;
	uint64_t first, last;
	uint32_t value; /* of first */
};

/* Whether the part of the question that lies in an entry (which spans 512^level pages from start on)
 * has the value; or MOVED. The walk goes down at the edges of the range only: a subtree that lies
 * inside it whole and is not folded is mixed. */
static int uniform_entry(struct attr_map *map, const struct uniform *u, entry_t *entry,
			 uint64_t start, int level)
{
	uintptr_t e = entry_load(entry);
	uint64_t end = start + level_pages(level) - 1;
	uint64_t first = u->first > start ? u->first : start;
	uint64_t last = u->last < end ? u->last : end;
	int ret = 1;
	unsigned int i;

	if (moved(map, u->sequence))
		return MOVED;
	if (is_value(e))
		return value_of(e) == u->value;
	if (first == start && last == end)
		return 0;
	if (level == LEVEL_2M) {
		ret = leaf_uniform(map->planes, leaf_of(e), first % FANOUT, last % FANOUT) &&
		      leaf_get(map->planes, leaf_of(e), first % FANOUT) == u->value;
		return moved(map, u->sequence) ? MOVED : ret;
	}
	for (i = entry_index(first, level - 1); ret == 1 && i <= entry_index(last, level - 1); i++)
		ret = uniform_entry(map, u, &node_of(e)->entry[i],
				    start + i * level_pages(level - 1), level - 1);
	return ret;
}

static void check_range(const struct attr_map *map, uint64_t first, uint64_t nr)
{
	uint64_t limit = attr_map_limit(map);

	os_assert(nr && first < limit && nr <= limit - first);
}

bool attr_map_uniform(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t *value)
{
	struct uniform u = { .first = first, .last = first + nr - 1 };
	int ret;

	check_range(map, first, nr);
	do {
		u.sequence = read_begin(map);
		/* A value that is out of date shows in the walk: the sequence has moved. */
		ret = find(map, first, &u.value);
		if (ret != MOVED)
			ret = uniform_entry(map, &u, &map->root, 0, map->root_level);
	} while (ret == MOVED);
	if (ret)
		*value = u.value;
	return ret;
}

/* The part of a run that one entry tells: from index to the end of the entry, or of the run in a leaf. 0: the
 * value is another one; *value is given unless index is the first. MOVED: as ever. */
static int64_t run_in_entry(struct attr_map *map, uint64_t sequence, uint64_t index, bool is_first,
			    uint32_t *value)
{
	uintptr_t e = entry_load(&map->root);
	int level = map->root_level;
	uint32_t here;
	int64_t nr;

	while (!moved(map, sequence)) {
		if (is_value(e)) {
			here = value_of(e);
			nr = (int64_t)(level_pages(level) - index % level_pages(level));
		} else if (--level == LEVEL_4K) {
			here = leaf_get(map->planes, leaf_of(e), index % FANOUT);
			nr = (int64_t)leaf_run(map->planes, leaf_of(e), index % FANOUT, here);
		} else {
			e = entry_load(&node_of(e)->entry[entry_index(index, level)]);
			continue;
		}
		if (is_first)
			*value = here;
		return moved(map, sequence) ? MOVED : here == *value ? nr : 0;
	}
	return MOVED;
}

static int64_t run_try(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t *value)
{
	uint64_t sequence = read_begin(map);
	uint64_t length = 0;
	int64_t more;

	do {
		more = run_in_entry(map, sequence, first + length, !length, value);
		if (more == MOVED)
			return MOVED;
		length += (uint64_t)more;
	} while (more && length < nr);
	return (int64_t)(length < nr ? length : nr);
}

uint64_t attr_map_run(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t *value)
{
	int64_t length;

	check_range(map, first, nr);
	do {
		length = run_try(map, first, nr, value);
	} while (length == MOVED);
	return (uint64_t)length;
}

/* ---- changes, under the writer's lock -------------------------------------------------------- */

static void write_begin(struct attr_map *map)
{
	os_racy_store(&map->sequence, os_racy_load(&map->sequence) + 1);
}

static void write_end(struct attr_map *map)
{
	atomic_store_explicit(&map->sequence, os_racy_load(&map->sequence) + 1,
			      memory_order_release);
}

static struct node *node_make(struct attr_map *map, int level, uint32_t value)
{
	struct node *node = attr_pool_take(&map->nodes);
	unsigned int i;

	for (i = 0; i < FANOUT; i++)
		entry_store(&node->entry[i], from_value(value));
	node->level = (uint32_t)level;
	node->nr_children = 0;
	return node;
}

static struct leaf *leaf_make(struct attr_map *map, uint32_t value)
{
	struct leaf *leaf = attr_pool_take(&map->leaves);

	leaf_set(map->planes, leaf, 0, FANOUT - 1, value);
	return leaf;
}

/* parent: the node that entry is in; NULL at the root. */
static void entry_replace(struct node *parent, entry_t *entry, uintptr_t e)
{
	if (parent) {
		parent->nr_children -= !is_value(entry_load(entry));
		parent->nr_children += !is_value(e);
	}
	entry_store(entry, e);
}

/* Leaves go at once, nodes with all that is below them when readers need not wait any more. */
static void child_drop(struct attr_map *map, uintptr_t e, int child_level)
{
	if (is_value(e))
		return;
	if (child_level == LEVEL_4K) {
		attr_pool_give(&map->leaves, leaf_of(e));
		return;
	}
	node_of(e)->next_dropped = map->dropped;
	map->dropped = node_of(e);
}

static void dropped_free(struct attr_map *map)
{
	struct node *node;
	unsigned int i;

	while ((node = map->dropped)) {
		map->dropped = node->next_dropped;
		for (i = 0; node->nr_children && i < FANOUT; i++)
			child_drop(map, entry_load(&node->entry[i]), (int)node->level - 1);
		attr_pool_give(&map->nodes, node);
	}
}

/* True, and the value, when a child says no more than its parent's entry could. */
static bool child_folds(const struct attr_map *map, uintptr_t e, int child_level, uint32_t *value)
{
	struct node *node = node_of(e);
	uintptr_t one;
	unsigned int i;

	if (child_level == LEVEL_4K) {
		*value = leaf_get(map->planes, leaf_of(e), 0);
		return leaf_uniform(map->planes, leaf_of(e), 0, FANOUT - 1);
	}
	one = entry_load(&node->entry[FANOUT - 1]);
	for (i = 0; !node->nr_children && i < FANOUT; i++) {
		if (entry_load(&node->entry[i]) != one)
			return false;
	}
	*value = value_of(one);
	return !node->nr_children;
}

static uintptr_t child_make(struct attr_map *map, int child_level, uint32_t value)
{
	if (child_level == LEVEL_4K)
		return (uintptr_t)leaf_make(map, value);
	return (uintptr_t)node_make(map, child_level, value);
}

/* Sets first..last of an entry that spans 512^level pages; both count from its start. */
static void entry_set(struct attr_map *map, struct node *parent, entry_t *entry, int level,
		      uint64_t first, uint64_t last, uint32_t value)
{
	uintptr_t e = entry_load(entry);
	uint64_t span = level_pages(level - 1);
	uint32_t uniform;
	unsigned int i;

	if (is_value(e) && value_of(e) == value)
		return;
	if (first == 0 && last == level_pages(level) - 1) {
		entry_replace(parent, entry, from_value(value));
		child_drop(map, e, level - 1);
		return;
	}
	if (is_value(e)) {
		e = child_make(map, level - 1, value_of(e));
		entry_replace(parent, entry, e);
	}
	if (level == LEVEL_2M)
		leaf_set(map->planes, leaf_of(e), first, last, value);
	for (i = (unsigned int)(first / span); level > LEVEL_2M && i <= last / span; i++)
		entry_set(map, node_of(e), &node_of(e)->entry[i], level - 1,
			  i == first / span ? first % span : 0,
			  i == last / span ? last % span : span - 1, value);
	if (child_folds(map, e, level - 1, &uniform)) {
		entry_replace(parent, entry, from_value(uniform));
		child_drop(map, e, level - 1);
	}
}

void attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	check_range(map, first, nr);
	os_assert(!(value & ~map->planes));
	write_begin(map);
	entry_set(map, NULL, &map->root, map->root_level, first, first + nr - 1, value);
	write_end(map);
	dropped_free(map);
}

/* Counts what is missing to make index the start of an entry, beside what other needs already. */
static void edge_needs(struct attr_map *map, uint64_t index, uint64_t other, uint64_t *nodes,
		       uint64_t *leaves)
{
	uintptr_t e = entry_load(&map->root);
	int level;

	for (level = map->root_level; index % level_pages(level); level--) {
		uint64_t span = level_pages(level);
		bool counted = other / span == index / span && other % span;
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
	err = attr_pool_reserve(&map->nodes, nodes);
	return err ? err : attr_pool_reserve(&map->leaves, leaves);
}

/* ---- the whole ------------------------------------------------------------------------------ */

int attr_map_create(uint32_t planes, uint32_t initial, struct attr_map **out)
{
	return attr_map_create_for(planes, initial, ATTR_MAP_MAX_INDEX + 1, out);
}

int attr_map_create_for(uint32_t planes, uint32_t initial, uint64_t nr_pages, struct attr_map **out)
{
	struct attr_map *map;

	os_assert(planes && !(initial & ~planes));
	os_assert(nr_pages && nr_pages - 1 <= ATTR_MAP_MAX_INDEX);
	map = os_alloc(sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->planes = planes;
	map->nr_planes = (uint32_t)popcount(planes);
	map->root_level = ROOT_LEVEL_MIN;
	while (level_pages(map->root_level) < nr_pages)
		map->root_level++;
	entry_store(&map->root, from_value(initial));
	attr_pool_init(&map->nodes, sizeof(struct node));
	attr_pool_init(&map->leaves, map->nr_planes * LEAF_WORDS * (uint32_t)sizeof(uint64_t));
	*out = map;
	return 0;
}

uint64_t attr_map_limit(const struct attr_map *map)
{
	return level_pages(map->root_level);
}

void attr_map_destroy(struct attr_map *map)
{
	child_drop(map, entry_load(&map->root), map->root_level - 1);
	dropped_free(map);
	attr_pool_destroy(&map->nodes);
	attr_pool_destroy(&map->leaves);
	os_free(map, sizeof(*map));
}

uint64_t attr_map_bytes(struct attr_map *map)
{
	return sizeof(*map) + map->nodes.bytes + map->leaves.bytes;
}

static uint64_t entry_count(struct attr_map *map, uintptr_t e, int level, uint64_t first,
			    uint64_t last, uint32_t value)
{
	uint64_t span = level_pages(level - 1);
	uint64_t nr = 0;
	uint64_t i;

	if (is_value(e))
		return value_of(e) == value ? last - first + 1 : 0;
	if (level == LEVEL_2M)
		return leaf_count(map->planes, leaf_of(e), first, last, value);
	for (i = first / span; i <= last / span; i++)
		nr += entry_count(map, entry_load(&node_of(e)->entry[i]), level - 1,
				  i == first / span ? first % span : 0,
				  i == last / span ? last % span : span - 1, value);
	return nr;
}

uint64_t attr_map_count(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	check_range(map, first, nr);
	return entry_count(map, entry_load(&map->root), map->root_level, first, first + nr - 1,
			   value);
}

struct census {
	uint64_t nodes, leaves;
};

static void child_check(struct attr_map *map, uintptr_t e, int level, struct census *census)
{
	uint32_t nr_children = 0;
	uint32_t value;
	unsigned int i;

	if (is_value(e)) {
		os_assert(!(value_of(e) & ~map->planes));
		return;
	}
	os_assert(!child_folds(map, e, level, &value));
	if (level == LEVEL_4K) {
		census->leaves++;
		return;
	}
	census->nodes++;
	os_assert(node_of(e)->level == (uint32_t)level);
	for (i = 0; i < FANOUT; i++) {
		uintptr_t child = entry_load(&node_of(e)->entry[i]);

		nr_children += !is_value(child);
		child_check(map, child, level - 1, census);
	}
	os_assert(node_of(e)->nr_children == nr_children);
}

void attr_map_check(struct attr_map *map)
{
	struct census census = { 0 };

	os_assert(!(os_racy_load(&map->sequence) & 1));
	os_assert(!map->dropped);
	child_check(map, entry_load(&map->root), map->root_level - 1, &census);
	os_assert(census.nodes + map->nodes.nr_free == map->nodes.nr_cells);
	os_assert(census.leaves + map->leaves.nr_free == map->leaves.nr_cells);
}
