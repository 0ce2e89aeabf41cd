/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A lookup that a change overtakes, at every point where that matters.
 *
 * The map is compiled in here, with every atomic load calling load_hook() first. A lookup is run again
 * and again; before its first load, its second, and so on, a change of the map happens whole, one that
 * drops what the lookup is walking through and uses the cells again. The answer must be that of the map
 * before the change or after it.
 */
#include "test.h"

#include <stdatomic.h>

static void load_hook(void);

#undef atomic_load_explicit
#ifdef __clang__
#define atomic_load_explicit(p, order) (load_hook(), __c11_atomic_load((p), (order)))
#else
#define atomic_load_explicit(p, order) (load_hook(), __atomic_load_n((p), (order)))
#endif

#include "core/attr_change.c"
#include "core/attr_check.c"
#include "core/attr_map.c"
#include "core/attr_pool.c"

#define P ATTR_PRIVATE
#define PAGES_2M 512ull
#define PAGES_1G (512ull * 512)

static struct attr_map *map;
static long loads_until_change; /* < 0: no change comes */
static void (*change)(void);
static bool changed;
static uint64_t nr_loads;

static void set(uint64_t first, uint64_t nr, uint32_t value)
{
	os_assert(!attr_map_reserve(map, first, nr));
	attr_map_set(map, first, nr, value);
}

static void load_hook(void)
{
	nr_loads++;
	if (loads_until_change < 0 || loads_until_change-- > 0)
		return;
	changed = true;
	change();
}

/* ---- the map before, and changes of it --------------------------------------------------------- */

/* Nodes down to leaves at two places, so that there is much to drop. */
static void build(void)
{
	loads_until_change = -1;
	assert_int_equal(attr_map_create(P, 0, &map), 0);
	set(3, 1, P);
	set(5 * PAGES_2M, PAGES_2M, P);
	set(7 * PAGES_2M + 9, 100, P);
	set((1ull << 40) + 2, 1, P);
}

/* All cells go back and are taken again in another order, for another place: what was a path to private
 * pages leads somewhere else. What was dropped is taken apart to its last cell. */
static void move_elsewhere(void)
{
	uint64_t i;

	set(0, ATTR_MAP_MAX_INDEX + 1, 0);
	assert_non_null(map->dropped);
	for (i = 0; i < 3 || map->dropped; i++)
		set((1ull << 50) + (i << 30) + 1, 511, P);
	set(1ull << 51, 3 * PAGES_1G + 5 * PAGES_2M, P);
}

static void all_private_but_one(void)
{
	set(0, ATTR_MAP_MAX_INDEX + 1, P);
	set(1ull << 53, 1, 0);
	set((1ull << 41) + 77, 1000, 0);
}

static void same_again_from_other_cells(void)
{
	set(0, ATTR_MAP_MAX_INDEX + 1, 0);
	set((1ull << 40) + 2, 1, P);
	set(7 * PAGES_2M + 9, 100, P);
	set(5 * PAGES_2M, PAGES_2M, P);
	set(3, 1, P);
}

static void (*const changes[])(void) = { move_elsewhere, all_private_but_one,
					 same_again_from_other_cells };

/* ---- lookups ----------------------------------------------------------------------------------- */

static const uint64_t pages[] = { 0,
				  3,
				  4,
				  PAGES_2M,
				  5 * PAGES_2M + 1,
				  7 * PAGES_2M + 8,
				  7 * PAGES_2M + 9,
				  (1ull << 40) + 2,
				  (1ull << 40) + 3,
				  (1ull << 50) + 7,
				  ATTR_MAP_MAX_INDEX };
#define NR_PAGES (sizeof(pages) / sizeof(pages[0]))

static uint64_t ask_value(uint64_t page)
{
	return attr_map_get(map, page);
}

static uint64_t ask_level(uint64_t page)
{
	return (uint64_t)attr_map_level(map, page, LEVEL_1G);
}

static uint64_t ask_uniform_to(uint64_t first, uint64_t nr)
{
	uint32_t value = 99;
	bool uniform = attr_map_uniform(map, first, nr, &value);

	return (uint64_t)uniform << 32 | value;
}

static uint64_t ask_uniform_block(uint64_t page)
{
	return ask_uniform_to(page / PAGES_2M * PAGES_2M, PAGES_2M);
}

static uint64_t ask_uniform_from_start(uint64_t page)
{
	return ask_uniform_to(1, page ? page : 1);
}

/* To the end of the map it would be thousands of loads. */
static uint64_t ask_short_run(uint64_t page)
{
	uint64_t nr = 3 * PAGES_2M;
	uint32_t value = 99;

	nr = ATTR_MAP_MAX_INDEX + 1 - page < nr ? ATTR_MAP_MAX_INDEX + 1 - page : nr;
	return attr_map_run(map, page, nr, &value) << 4 | value;
}

static uint64_t (*const questions[])(uint64_t) = { ask_value, ask_level, ask_uniform_block,
						   ask_uniform_from_start, ask_short_run };

/* False when the lookup is over before its nr-th load. */
static bool overtaken_at(long nr, uint64_t (*ask)(uint64_t), uint64_t page)
{
	uint64_t before, after, answer;

	build();
	before = ask(page);
	changed = false;
	loads_until_change = nr;
	answer = ask(page);
	loads_until_change = -1;
	if (changed) {
		after = ask(page);
		assert_true(answer == before || answer == after);
		attr_map_check(map);
	}
	attr_map_destroy(map);
	return changed;
}

static void a_change_may_overtake_a_lookup_anywhere(void **state)
{
	unsigned int c, q, p;
	long nr, most = 0;

	for (c = 0; c < sizeof(changes) / sizeof(changes[0]); c++) {
		change = changes[c];
		for (q = 0; q < sizeof(questions) / sizeof(questions[0]); q++) {
			for (p = 0; p < NR_PAGES; p++) {
				for (nr = 0; overtaken_at(nr, questions[q], pages[p]); nr++)
					;
				most = nr > most ? nr : most;
			}
		}
	}
	/* The root, five nodes, a leaf, and as many looks at the sequence. */
	assert_true(most >= 14);
}

/* ---- what a change looks at -------------------------------------------------------------------- */

/* Loads of the question whether it is needed, of the reserve and of the change. */
static uint64_t loads_of_set(uint64_t first, uint64_t nr, uint32_t value)
{
	uint64_t before = nr_loads;
	uint32_t now;

	attr_map_uniform(map, first, nr, &now);
	set(first, nr, value);
	return nr_loads - before;
}

static void make(void)
{
	loads_until_change = -1;
	assert_int_equal(attr_map_create(P, 0, &map), 0);
}

static void unmake(void)
{
	attr_map_check(map);
	attr_map_destroy(map);
}

static void an_aligned_change_of_any_size_goes_down_one_path(void **state)
{
	uint64_t nr;
	int i;

	make();
	for (nr = 1; nr <= 1ull << 36; nr *= 512) {
		for (i = 0; i < 4; i++)
			assert_in_range(loads_of_set(1ull << 36, nr, i & 1 ? 0 : P), 1, 150);
	}
	unmake();
}

/* At an edge the entries beside it are stored one by one, at each level. */
static void a_change_goes_down_at_its_edges_only(void **state)
{
	uint64_t nr, at_1g = 0;
	int i;

	make();
	for (nr = 1ull << 18; nr <= 1ull << 36; nr *= 2) {
		for (i = 0; i < 4; i++)
			at_1g = loads_of_set((1ull << 37) + 1, nr, i & 1 ? 0 : P);
		assert_in_range(at_1g, 500, 2 * 5 * 2 * 512);
	}
	unmake();
}

static void alternate(uint64_t first, uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i += 2)
		set(first + i, 1, P);
}

static void a_mixed_subtree_is_dropped_without_a_look_at_it(void **state)
{
	uint64_t bytes;

	make();
	alternate(PAGES_1G, PAGES_1G);
	bytes = attr_map_bytes(map);
	assert_in_range(loads_of_set(PAGES_1G, PAGES_1G, 0), 1, 150);
	assert_non_null(map->dropped);
	attr_map_check(map);
	/* The same again from its cells, and none is lost. */
	alternate(5 * PAGES_1G, PAGES_1G);
	assert_int_equal(attr_map_bytes(map), bytes);
	unmake();
}

/* For the cells that it needs, not for all that are waiting. */
static void a_change_takes_little_apart(void **state)
{
	uint64_t i;

	make();
	alternate(PAGES_1G, 8 * PAGES_1G);
	set(0, ATTR_MAP_MAX_INDEX + 1, 0);
	for (i = 0; i < 100; i++)
		assert_in_range(loads_of_set((i << 30) + 5, 1, P), 1, 6 * 1024);
	attr_map_check(map);
	unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_may_overtake_a_lookup_anywhere),
		cmocka_unit_test(an_aligned_change_of_any_size_goes_down_one_path),
		cmocka_unit_test(a_change_goes_down_at_its_edges_only),
		cmocka_unit_test(a_mixed_subtree_is_dropped_without_a_look_at_it),
		cmocka_unit_test(a_change_takes_little_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
