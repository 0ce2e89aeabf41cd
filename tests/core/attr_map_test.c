/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The attribute map against an array with one byte a page. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cpu_time.h"
#include "core/attr_map.h"
#include "fail_alloc.h"
#include "os/os.h"

#define P ATTR_PRIVATE
#define PAGES_2M 512ull
#define PAGES_1G (512ull * 512)
#define ROOT_LEVEL 6

static struct attr_map *map_of(uint32_t planes, uint32_t initial)
{
	struct attr_map *map;

	assert_int_equal(attr_map_create(planes, initial, &map), 0);
	return map;
}

static void set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	assert_int_equal(attr_map_reserve(map, first, nr), 0);
	attr_map_set(map, first, nr, value);
}

/* Every entry of a node differs from what the node was made with, and they differ from each other. */
static void a_node_of_two_values_does_not_fold(void **state)
{
	struct attr_map *map = map_of(3, 0);
	uint32_t value;
	uint64_t i;

	for (i = 0; i < 512; i++)
		set(map, i * PAGES_2M, PAGES_2M, i % 2 ? 1 : 2);
	attr_map_check(map);
	for (i = 0; i < 512; i++)
		assert_int_equal(attr_map_get(map, i * PAGES_2M + 5), i % 2 ? 1 : 2);
	assert_false(attr_map_uniform(map, 0, PAGES_1G, &value));
	for (i = 0; i < 512; i += 2)
		set(map, i * PAGES_2M, PAGES_2M, 1);
	attr_map_check(map);
	assert_true(attr_map_uniform(map, 0, PAGES_1G, &value) && value == 1);
	attr_map_destroy(map);
}

/* ---- against the array ------------------------------------------------------------------------ */

#define SPAN (4 * PAGES_1G) /* pages the array covers */

struct model {
	struct attr_map *map;
	uint64_t base;
	uint32_t planes;
	uint8_t *page;
	struct rng rng;
};

/* Ranges whose ends lie on, just before and just behind the edges of every level. */
static void random_range(struct model *m, uint64_t *first, uint64_t *nr)
{
	static const uint64_t unit[] = { 1, 64, PAGES_2M, PAGES_1G };
	uint64_t u = unit[rng_below(&m->rng, 4)];
	uint64_t v = unit[rng_below(&m->rng, 4)];
	uint64_t a = rng_below(&m->rng, SPAN / u) * u + rng_below(&m->rng, 3) - 1;
	uint64_t n = (rng_below(&m->rng, 4) + 1) * v + rng_below(&m->rng, 3) - 1;

	if (a >= SPAN)
		a = 0;
	if (!n)
		n = 1;
	if (n > SPAN - a)
		n = SPAN - a;
	*first = a;
	*nr = n;
}

static uint32_t random_value(struct model *m)
{
	return (uint32_t)rng_next(&m->rng) & m->planes;
}

static bool model_uniform(const struct model *m, uint64_t first, uint64_t nr)
{
	return !memcmp(m->page + first, m->page + first + 1, nr - 1);
}

static int model_level(const struct model *m, uint64_t index)
{
	uint64_t block = (m->base + index) / PAGES_2M * PAGES_2M - m->base;

	if (!model_uniform(m, block, PAGES_2M))
		return LEVEL_4K;
	block = (m->base + index) / PAGES_1G * PAGES_1G - m->base;
	return model_uniform(m, block, PAGES_1G) ? LEVEL_1G : LEVEL_2M;
}

static void compare_some(struct model *m)
{
	uint64_t first, nr, i, count = 0;
	uint32_t value = ~0u;
	uint32_t wanted = random_value(m);
	bool uniform;

	random_range(m, &first, &nr);
	assert_int_equal(attr_map_get(m->map, m->base + first), m->page[first]);
	assert_int_equal(attr_map_level(m->map, m->base + first, LEVEL_1G), model_level(m, first));
	uniform = attr_map_uniform(m->map, m->base + first, nr, &value);
	assert_int_equal(uniform, model_uniform(m, first, nr));
	assert_int_equal(value, uniform ? m->page[first] : ~0u);
	for (i = 1; i < nr && m->page[first + i] == m->page[first]; i++)
		;
	assert_int_equal(attr_map_run(m->map, m->base + first, nr, &value), i);
	assert_int_equal(value, m->page[first]);
	for (i = 0; i < nr; i++)
		count += m->page[first + i] == wanted;
	assert_int_equal(attr_map_count(m->map, m->base + first, nr, wanted), count);
}

static void compare_all(struct model *m)
{
	uint64_t i, run;
	uint32_t value;

	/* By runs: a page at a time would take minutes. */
	for (i = 0; i < SPAN; i += run) {
		for (run = 1; i + run < SPAN && m->page[i + run] == m->page[i]; run++)
			;
		assert_true(attr_map_uniform(m->map, m->base + i, run, &value));
		assert_int_equal(value, m->page[i]);
	}
}

static void run_model(uint64_t base, uint32_t planes, uint32_t initial, int nr_changes)
{
	struct model m = { .base = base, .planes = planes, .rng = { base + planes } };
	uint64_t first, nr;
	uint32_t value;
	int i;

	m.map = map_of(planes, initial);
	m.page = malloc(SPAN);
	memset(m.page, (int)initial, SPAN);
	for (i = 0; i < nr_changes; i++) {
		random_range(&m, &first, &nr);
		value = random_value(&m);
		set(m.map, base + first, nr, value);
		memset(m.page + first, (int)value, nr);
		attr_map_check(m.map);
		compare_some(&m);
		if (i % 100 == 0)
			compare_all(&m);
	}
	/* Nothing beside the changed pages was touched. */
	if (base) {
		assert_true(attr_map_uniform(m.map, 0, base, &value));
		assert_int_equal(value, initial);
	}
	if (base + SPAN <= ATTR_MAP_MAX_INDEX) {
		assert_true(attr_map_uniform(m.map, base + SPAN,
					     ATTR_MAP_MAX_INDEX - base - SPAN + 1, &value));
		assert_int_equal(value, initial);
	}
	free(m.page);
	attr_map_destroy(m.map);
}

static void agrees_with_an_array(void **state)
{
	/* Around the borders between entries of every level, and at both ends. */
	run_model(0, P, 0, 400);
	run_model((1ull << 27) - SPAN / 2, P, P, 200);
	run_model((1ull << 36) - SPAN / 2, P, 0, 200);
	run_model((1ull << 45) - SPAN / 2, P, P, 200);
	run_model(ATTR_MAP_MAX_INDEX + 1 - SPAN, P, 0, 200);
}

static void holds_several_attributes(void **state)
{
	run_model(0, P | 1, 1, 200);
	run_model((1ull << 27) - SPAN / 2, 15, P, 200);
}

/* One page alone costs a node for each level that the pages need. */
static void a_smaller_map_is_lower(void **state)
{
	static const struct {
		uint64_t nr_pages, limit;
	} maps[] = { { 1, PAGES_1G },
		     { PAGES_1G, PAGES_1G },
		     { PAGES_1G + 1, 512 * PAGES_1G },
		     { ATTR_MAP_MAX_INDEX + 1, ATTR_MAP_MAX_INDEX + 1 } };
	uint64_t bytes = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		struct attr_map *map;
		uint64_t last = maps[i].limit - 1;
		uint32_t value;

		assert_int_equal(attr_map_create_for(P, 0, maps[i].nr_pages, &map), 0);
		assert_int_equal(attr_map_limit(map), maps[i].limit);
		set(map, last, 1, P);
		assert_int_equal(attr_map_get(map, last), P);
		assert_true(attr_map_uniform(map, 0, last, &value) && value == 0);
		assert_int_equal(attr_map_run(map, last, 1, &value), 1);
		attr_map_check(map);
		assert_true(attr_map_bytes(map) >= bytes);
		bytes = attr_map_bytes(map);
		set(map, 0, maps[i].limit, P);
		assert_int_equal(attr_map_level(map, 0, LEVEL_1G), LEVEL_1G);
		attr_map_destroy(map);
	}
}

static void sets_ranges_of_any_size(void **state)
{
	struct attr_map *map = map_of(P, 0);
	uint64_t all = ATTR_MAP_MAX_INDEX + 1;
	uint64_t i, first, nr;
	struct rng rng = { 7 };
	uint32_t value;

	for (i = 0; i < 300; i++) {
		first = rng_next(&rng) >> (10 + rng_below(&rng, 54));
		nr = (rng_next(&rng) >> (10 + rng_below(&rng, 54))) + 1;
		if (nr > all - first)
			nr = all - first;
		set(map, first, nr, P);
		attr_map_check(map);
		assert_true(attr_map_uniform(map, first, nr, &value));
		assert_int_equal(value, P);
		assert_int_equal(attr_map_count(map, 0, all, P), nr);
		if (first)
			assert_int_equal(attr_map_get(map, first - 1), 0);
		if (first + nr < all)
			assert_int_equal(attr_map_get(map, first + nr), 0);
		set(map, 0, all, 0);
	}
	attr_map_destroy(map);
}

/* ---- form ------------------------------------------------------------------------------------ */

static void uniform_subtrees_fold(void **state)
{
	struct attr_map *map = map_of(P, 0);
	uint64_t base = 3 * PAGES_1G;
	uint64_t i;

	for (i = 0; i < PAGES_1G; i += 2)
		set(map, base + i, 1, P);
	assert_int_equal(attr_map_level(map, base, LEVEL_1G), LEVEL_4K);
	for (i = 1; i < PAGES_2M; i += 2)
		set(map, base + i, 1, P);
	assert_int_equal(attr_map_level(map, base, LEVEL_1G), LEVEL_2M);
	for (; i < PAGES_1G; i += 2)
		set(map, base + i, 1, P);
	assert_int_equal(attr_map_level(map, base, ROOT_LEVEL), LEVEL_1G);
	assert_int_equal(attr_map_level(map, base, LEVEL_2M), LEVEL_2M);
	for (i = 0; i < PAGES_1G; i++)
		set(map, base + i, 1, 0);
	attr_map_check(map);
	assert_int_equal(attr_map_level(map, base, ROOT_LEVEL), ROOT_LEVEL);
	attr_map_destroy(map);
}

static void folded_memory_is_used_again(void **state)
{
	struct attr_map *map = map_of(P, 0);
	uint64_t bytes = 0;
	uint64_t i, round;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 64 * PAGES_2M; i += 2)
			set(map, round * PAGES_1G + i, 1, P);
		set(map, round * PAGES_1G, 64 * PAGES_2M, 0);
		if (!round)
			bytes = attr_map_bytes(map);
	}
	assert_int_equal(attr_map_bytes(map), bytes);
	attr_map_destroy(map);
}

static void large_ranges_cost_no_nodes(void **state)
{
	struct attr_map *map = map_of(P, 0);
	uint64_t empty = attr_map_bytes(map);

	set(map, 0, ATTR_MAP_MAX_INDEX + 1, P);
	assert_int_equal(attr_map_bytes(map), empty);
	/* Down to the level of 1 GiB: four nodes, in slabs of at most seven. */
	set(map, PAGES_1G, PAGES_1G, 0);
	assert_true(attr_map_bytes(map) - empty <= 7 * 4200);
	attr_map_destroy(map);
}

static void alternate(struct attr_map *map, uint64_t first, uint32_t value)
{
	uint64_t i;

	for (i = first; i < PAGES_1G; i += 2)
		set(map, i, 1, value);
}

/* What a program can make a map of 1 GiB cost, however it goes about it. */
static void memory_stays_under_the_bound(void **state)
{
	uint64_t bound = attr_map_bytes_bound(PAGES_1G);
	struct attr_map *map = map_of(P, 0);
	struct rng rng = { 5 };
	uint64_t bytes = 0;
	uint64_t i, first, nr;

	for (i = 0; i < 3; i++) {
		alternate(map, 0, P);
		assert_true(!bytes || attr_map_bytes(map) == bytes);
		bytes = attr_map_bytes(map);
		assert_true(bytes <= bound);
		attr_map_check(map);
		alternate(map, 1, P);
		assert_int_equal(attr_map_level(map, 0, LEVEL_1G), LEVEL_1G);
		set(map, 0, PAGES_1G, 0);
		assert_int_equal(attr_map_level(map, 0, ROOT_LEVEL), ROOT_LEVEL);
		assert_int_equal(attr_map_bytes(map), bytes);
	}
	print_message("1 GiB of alternating pages: %llu bytes of %llu\n", (unsigned long long)bytes,
		      (unsigned long long)bound);
	for (i = 0; i < 100000; i++) {
		first = rng_below(&rng, PAGES_1G);
		nr = 1 + rng_below(&rng, PAGES_1G - first) / (1 + rng_below(&rng, 1000));
		set(map, first, nr, rng_next(&rng) & P);
	}
	assert_true(attr_map_bytes(map) <= bound);
	attr_map_destroy(map);
}

static void runs_go_by_whole_entries(void **state)
{
	struct attr_map *map = map_of(P, 0);
	uint64_t start = cpu_time_ns();
	uint32_t value = 77;
	int i;

	assert_int_equal(attr_map_run(map, 0, ATTR_MAP_MAX_INDEX + 1, &value),
			 ATTR_MAP_MAX_INDEX + 1);
	assert_int_equal(value, 0);
	set(map, 1ull << 45, 1, P);
	assert_int_equal(attr_map_run(map, 5, ATTR_MAP_MAX_INDEX - 4, &value), (1ull << 45) - 5);
	assert_int_equal(attr_map_run(map, 1ull << 45, 2, &value), 1);
	assert_int_equal(value, P);
	assert_int_equal(attr_map_run(map, ATTR_MAP_MAX_INDEX, 1, &value), 1);
	/* The run around the page goes through some thousand entries, not through 2^45 pages. */
	for (i = 0; i < 100; i++)
		attr_map_run(map, 5, 1ull << 46, &value);
	assert_true(cpu_time_ns() - start < 1000000000);
	attr_map_destroy(map);
}

/* 1 TiB of alternating pages may take 44 MiB; a sixteenth of it is tested, since two thirds of the
 * bits are in leaves either way. GMEM_TEST_PAGES asks for another size. */
static void alternating_pages_cost_bits(void **state)
{
	const char *asked = getenv("GMEM_TEST_PAGES");
	uint64_t nr_pages = asked ? strtoull(asked, NULL, 0) : 1ull << 24;
	uint64_t limit = (44ull << 20) * nr_pages >> 28;
	struct attr_map *map = map_of(P, 0);
	uint64_t start = cpu_time_ns();
	uint64_t i;

	for (i = 0; i < nr_pages; i += 2)
		set(map, i, 1, P);
	print_message("%llu pages: %llu bytes of %llu, %llu ms\n", (unsigned long long)nr_pages,
		      (unsigned long long)attr_map_bytes(map), (unsigned long long)limit,
		      (unsigned long long)(cpu_time_ns() - start) / 1000000);
	assert_true(attr_map_bytes(map) <= limit);
	assert_int_equal(attr_map_count(map, 0, nr_pages, P), nr_pages / 2);
	attr_map_check(map);
	attr_map_destroy(map);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void what_is_reserved_can_be_set(void **state)
{
	struct rng rng = { 11 };
	uint64_t first, nr;
	int i;

	for (i = 0; i < 3000; i++) {
		struct attr_map *map = map_of(P, 0);
		int changes;

		for (changes = 0; changes < 4; changes++) {
			first = rng_next(&rng) >> (10 + rng_below(&rng, 54));
			nr = (rng_next(&rng) >> (10 + rng_below(&rng, 54))) + 1;
			if (nr > ATTR_MAP_MAX_INDEX - first)
				nr = ATTR_MAP_MAX_INDEX - first;
			assert_int_equal(attr_map_reserve(map, first, nr), 0);
			allow_allocs(0);
			attr_map_set(map, first, nr, rng_next(&rng) & P);
			allow_allocs(ALLOW_ALL);
		}
		attr_map_check(map);
		attr_map_destroy(map);
	}
}

static void a_failed_reserve_changes_nothing(void **state)
{
	struct attr_map *map = map_of(P, P);
	uint32_t value;
	long allowed;
	int err;

	for (allowed = 0, err = -ENOMEM; err; allowed++) {
		allow_allocs(allowed);
		err = attr_map_reserve(map, 5, PAGES_1G);
		allow_allocs(ALLOW_ALL);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(attr_map_uniform(map, 0, ATTR_MAP_MAX_INDEX + 1, &value));
		assert_int_equal(value, P);
		attr_map_check(map);
	}
	assert_true(allowed > 2);
	attr_map_destroy(map);
}

static void every_byte_comes_back(void **state)
{
	uint64_t before = os_alloc_live();
	struct attr_map *map = map_of(P, 0);
	uint64_t i;

	for (i = 0; i < 80; i++)
		set(map, i << (i / 2), i + 1, i & 1 ? P : 0);
	attr_map_destroy(map);
	assert_int_equal(os_alloc_live(), before);
	allow_allocs(0);
	assert_int_equal(attr_map_create(P, 0, &map), -ENOMEM);
	allow_allocs(ALLOW_ALL);
}

static void lookups_are_fast(void **state)
{
	struct attr_map *map = map_of(P, 0);
	struct rng rng = { 3 };
	uint64_t start, ns, sum = 0;
	int i;

	for (i = 0; i < 4096; i++)
		set(map, rng_below(&rng, 1 << 24), 1, P);
	start = cpu_time_ns();
	for (i = 0; i < 1000000; i++)
		sum += attr_map_get(map, rng_below(&rng, 1 << 24));
	ns = (cpu_time_ns() - start) / 1000000;
	print_message("a lookup takes %llu ns\n", (unsigned long long)ns);
	/* Sanitizers and a busy machine slow it down; a lock or a linear search would be worse. */
	assert_true(ns < 5000 && sum);
	attr_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(holds_several_attributes),
		cmocka_unit_test(a_node_of_two_values_does_not_fold),
		cmocka_unit_test(a_smaller_map_is_lower),
		cmocka_unit_test(sets_ranges_of_any_size),
		cmocka_unit_test(uniform_subtrees_fold),
		cmocka_unit_test(folded_memory_is_used_again),
		cmocka_unit_test(large_ranges_cost_no_nodes),
		cmocka_unit_test(memory_stays_under_the_bound),
		cmocka_unit_test(runs_go_by_whole_entries),
		cmocka_unit_test(alternating_pages_cost_bits),
		cmocka_unit_test(what_is_reserved_can_be_set),
		cmocka_unit_test(a_failed_reserve_changes_nothing),
		cmocka_unit_test(every_byte_comes_back),
		cmocka_unit_test(lookups_are_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
