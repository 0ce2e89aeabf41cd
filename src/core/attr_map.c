/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The attribute map: lookups, life.
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
 */
#include <errno.h>

#include "core/attr_node.h"

#define SPINS 64

/* ---- lookups, without a lock ---------------------------------------------------------------- */

/* The writer may have lost its processor. */
static __attribute__((noinline, cold)) uint64_t wait_for_writer(struct attr_map *map)
{
	uint64_t sequence;
	unsigned int spins;

	for (spins = 1;; spins++) {
		sequence = atomic_load_explicit(&map->sequence, memory_order_acquire);
		if (!(sequence & 1))
			return sequence;
		if (spins % SPINS)
			os_relax();
		else
			os_yield();
	}
}

static inline uint64_t read_begin(struct attr_map *map)
{
	uint64_t sequence = atomic_load_explicit(&map->sequence, memory_order_acquire);

	return __builtin_expect(sequence & 1, 0) ? wait_for_writer(map) : sequence;
}

static inline bool moved(struct attr_map *map, uint64_t sequence)
{
	return __builtin_expect(os_racy_load(&map->sequence) != sequence, 0);
}

#define MOVED (-1)

/* The level of the largest known uniform block around index, and its value; or MOVED. */
static inline int find(struct attr_map *map, uint64_t index, uint32_t *value)
{
	uint64_t sequence = read_begin(map);
	uintptr_t e = entry_load(&map->root);
	unsigned int shift = map->root_shift;

	while (!moved(map, sequence)) {
		if (is_value(e)) {
			*value = value_of(e);
			return (int)shift / FANOUT_SHIFT;
		}
		shift -= FANOUT_SHIFT;
		if (!shift) {
			*value = leaf_get(map->planes, leaf_of(e), index % FANOUT);
			return moved(map, sequence) ? MOVED : LEVEL_4K;
		}
		e = entry_load(&node_of(e)->entry[(index >> shift) % FANOUT]);
	}
	return MOVED;
}

static __attribute__((noinline, cold)) int find_again(struct attr_map *map, uint64_t index,
						      uint32_t *value)
{
	int level;

	do {
		level = find(map, index, value);
	} while (level == MOVED);
	return level;
}

/* Apart from the rare: the fewer instructions, the more lookups can wait for memory at once. */
static inline int find_retry(struct attr_map *map, uint64_t index, uint32_t *value)
{
	int level;

	os_assert(!(index >> map->root_shift));
	level = find(map, index, value);
	return __builtin_expect(level == MOVED, 0) ? find_again(map, index, value) : level;
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

/* Whether the part of the question that lies in a child, of a level as its entries, that begins at start, has
 * the value; or MOVED. The walk goes down at the edges of the range only: a subtree that lies inside it whole and
 * is not folded is mixed. */
static int uniform_child(struct attr_map *map, const struct uniform *u, uintptr_t child,
			 uint64_t start, int level)
{
	uint64_t in_entry = level_pages(level) - 1, span = level_pages(level + 1);
	uint64_t first = u->first > start ? u->first - start : 0;
	uint64_t last = u->last - start < span ? u->last - start : span - 1;
	unsigned int i = entry_index(first, level), end = entry_index(last, level);
	int ret = 1;

	if (level == LEVEL_4K) {
		ret = leaf_get(map->planes, leaf_of(child), first) == u->value &&
		      leaf_uniform(map->planes, leaf_of(child), first, last);
		return moved(map, u->sequence) ? MOVED : ret;
	}
	for (; ret == 1 && i <= end; i++) {
		uintptr_t e = entry_load(&node_of(child)->entry[i]);
		uint64_t at = (uint64_t)i * (in_entry + 1);

		if (moved(map, u->sequence))
			return MOVED;
		if (is_value(e))
			ret = value_of(e) == u->value;
		else if (first <= at && at + in_entry <= last)
			ret = 0;
		else
			ret = uniform_child(map, u, e, start + at, level - 1);
	}
	return ret;
}

/* Both ends lie in one child for most of the way down, often to the answer. */
static int uniform_try(struct attr_map *map, struct uniform *u)
{
	uintptr_t e = entry_load(&map->root);
	uint64_t ends = u->first ^ u->last, in_child;
	int level = map->root_level;

	while (!moved(map, u->sequence)) {
		if (is_value(e)) {
			u->value = value_of(e);
			return 1;
		}
		in_child = level_pages(level) - 1;
		if (u->first == (u->first & ~in_child) && u->last == (u->last | in_child))
			return 0;
		level--;
		if (!level || ends & in_child & ~(level_pages(level) - 1))
			return find(map, u->first, &u->value) == MOVED
				       ? MOVED
				       : uniform_child(map, u, e, u->first & ~in_child, level);
		e = entry_load(&node_of(e)->entry[entry_index(u->first, level)]);
	}
	return MOVED;
}

bool attr_map_uniform(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t *value)
{
	struct uniform u = { .first = first, .last = first + nr - 1 };
	int ret;

	check_range(map, first, nr);
	do {
		u.sequence = read_begin(map);
		ret = uniform_try(map, &u);
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
	map->root_shift = (uint32_t)map->root_level * FANOUT_SHIFT;
	entry_store(&map->root, from_value(initial));
	attr_pool_init(&map->nodes, sizeof(struct node), offsetof(struct node, link));
	attr_pool_init(&map->leaves, map->nr_planes * LEAF_WORDS * (uint32_t)sizeof(uint64_t), 0);
	*out = map;
	return 0;
}

uint64_t attr_map_limit(const struct attr_map *map)
{
	return level_pages(map->root_level);
}

void attr_map_destroy(struct attr_map *map)
{
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
