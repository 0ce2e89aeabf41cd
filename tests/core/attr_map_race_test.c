/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Lookups beside a writer see the map before a change or after it, never a mixture. */
#include "test.h"

#include <stdatomic.h>

#include "core/attr_map.h"
#include "os/os.h"

#define P ATTR_PRIVATE
#define PAGES_2M 512ull
#define PAGES_1G (512ull * 512)
#define NR_READERS 3
#define RUN_NS 1500000000ull

static struct attr_map *map;
static _Atomic bool stop;
static _Atomic uint64_t nr_wrong, nr_lookups;

static void set(uint64_t first, uint64_t nr, uint32_t value)
{
	assert_int_equal(attr_map_reserve(map, first, nr), 0);
	attr_map_set(map, first, nr, value);
}

/* Runs reader in threads until the writer has gone round for a while. */
static void race(void (*reader)(void *), void (*writer)(uint64_t round))
{
	struct os_thread *threads[NR_READERS];
	uint64_t end = os_clock_ns() + RUN_NS;
	uint64_t round;
	int i;

	atomic_store(&stop, false);
	atomic_store(&nr_wrong, 0);
	atomic_store(&nr_lookups, 0);
	for (i = 0; i < NR_READERS; i++)
		assert_int_equal(
			os_thread_create(reader, (void *)(intptr_t)i, "reader", &threads[i]), 0);
	for (round = 0; os_clock_ns() < end || atomic_load(&nr_lookups) < 1000; round++)
		writer(round);
	atomic_store(&stop, true);
	for (i = 0; i < NR_READERS; i++)
		os_thread_join(threads[i]);
	print_message("%llu changes, %llu lookups\n", (unsigned long long)round,
		      (unsigned long long)atomic_load(&nr_lookups));
	assert_int_equal(atomic_load(&nr_wrong), 0);
	attr_map_check(map);
}

static void looked_up(bool right)
{
	atomic_fetch_add_explicit(&nr_lookups, 1, memory_order_relaxed);
	if (!right)
		atomic_fetch_add_explicit(&nr_wrong, 1, memory_order_relaxed);
}

/* ---- whole ranges flip ----------------------------------------------------------------------- */

/* Aligned at one level or another, or not at all; with room between them that never changes. */
static const struct {
	uint64_t first, nr;
} flips[] = {
	{ 64, 64 },
	{ PAGES_2M, PAGES_2M },
	{ 3 * PAGES_2M - 7, 2 * PAGES_2M },
	{ PAGES_1G, PAGES_1G },
	{ 3 * PAGES_1G - 1, PAGES_1G + 700 },
	{ (1ull << 27) - 3, 6 },
	{ (1ull << 36), 1ull << 36 },
	{ (1ull << 45) - PAGES_1G - 1, PAGES_1G * 3 },
};
#define NR_FLIPS (sizeof(flips) / sizeof(flips[0]))

static void flip_writer(uint64_t round)
{
	uint64_t i = round % NR_FLIPS;

	set(flips[i].first, flips[i].nr, (round / NR_FLIPS) & 1 ? P : 0);
}

static void flip_reader(void *arg)
{
	struct rng rng = { (uintptr_t)arg };
	uint32_t value;

	while (!atomic_load(&stop)) {
		uint64_t i = rng_below(&rng, NR_FLIPS);
		uint64_t page = flips[i].first + rng_below(&rng, flips[i].nr);

		/* All of it or nothing of it. */
		looked_up(attr_map_uniform(map, flips[i].first, flips[i].nr, &value));
		looked_up(attr_map_uniform(map, page, flips[i].first + flips[i].nr - page, &value));
		looked_up(attr_map_run(map, page, flips[i].first + flips[i].nr - page, &value) ==
			  flips[i].first + flips[i].nr - page);
		looked_up(!attr_map_get(map, flips[i].first - 1));
		looked_up(!attr_map_get(map, flips[i].first + flips[i].nr));
		value = attr_map_get(map, page);
		looked_up(value == 0 || value == P);
	}
}

static void a_range_flips_at_once(void **state)
{
	assert_int_equal(attr_map_create(P, 0, &map), 0);
	race(flip_reader, flip_writer);
	attr_map_destroy(map);
}

/* ---- nodes come and go under a reader -------------------------------------------------------- */

/*
 * In every second 2 MiB block the pages 0 and 100 are private for good; what lies between them changes,
 * so that leaves and nodes of all levels are made, folded, dropped and used again somewhere else.
 */
#define NR_BLOCKS 2048ull
#define KEEP_0 0ull
#define KEEP_1 100ull

static uint64_t block_page(uint64_t block)
{
	/* Spread over the levels. */
	return (block % 8 << 45) + (block / 8 % 4 << 27) + block * 2 * PAGES_2M;
}

static void churn_start(void)
{
	uint64_t block;

	for (block = 0; block < NR_BLOCKS; block++) {
		set(block_page(block) + KEEP_0, 1, P);
		set(block_page(block) + KEEP_1, 1, P);
	}
}

static void churn_writer(uint64_t round)
{
	static struct rng rng = { 1 };
	uint64_t page = block_page(rng_below(&rng, NR_BLOCKS));

	/* All private folds the block away; the 2 MiB behind it are nobody's. */
	set(page + KEEP_0 + 1, KEEP_1 - KEEP_0 - 1, round & 1 ? P : 0);
	set(page + KEEP_1 + 1, PAGES_2M - KEEP_1 - 1, round & 2 ? P : 0);
	set(page + PAGES_2M, PAGES_2M, round & 4 ? P : 0);
	if (round & 8)
		set(page, 2 * PAGES_2M, P);
}

static void churn_reader(void *arg)
{
	struct rng rng = { 100 + (uintptr_t)arg };
	int level;

	while (!atomic_load(&stop)) {
		uint64_t page = block_page(rng_below(&rng, NR_BLOCKS));

		looked_up(attr_map_get(map, page + KEEP_0) == P);
		looked_up(attr_map_get(map, page + KEEP_1) == P);
		/* Most of each 1 GiB stays shared, so none is of one kind. */
		level = attr_map_level(map, page, LEVEL_1G);
		looked_up(level == LEVEL_4K || level == LEVEL_2M);
	}
}

static void a_late_reader_finds_no_foreign_node(void **state)
{
	assert_int_equal(attr_map_create(P, 0, &map), 0);
	churn_start();
	race(churn_reader, churn_writer);
	attr_map_destroy(map);
}

/* Large subtrees drop out and their cells serve another range, while readers walk through them. */
static void drop_writer(uint64_t round)
{
	uint64_t base = (round & 1) << 40;
	uint64_t other = (~round & 1) << 40;
	uint64_t i;

	for (i = 1; i < 40; i++)
		set(base + i * 3 * PAGES_2M + i, i, P);
	set(other + 1, 1ull << 30, 0);
}

static void drop_reader(void *arg)
{
	struct rng rng = { 200 + (uintptr_t)arg };

	while (!atomic_load(&stop)) {
		uint64_t base = rng_below(&rng, 2) << 40;
		uint64_t i = 1 + rng_below(&rng, 39);
		uint32_t value;

		/* The page before each range, and the first, are shared at any time. */
		looked_up(!attr_map_get(map, base + i * 3 * PAGES_2M + i - 1));
		looked_up(!attr_map_get(map, base));
		looked_up(attr_map_uniform(map, base + i * 3 * PAGES_2M + i, i, &value));
	}
}

static void dropped_subtrees_harm_no_reader(void **state)
{
	assert_int_equal(attr_map_create(P, 0, &map), 0);
	race(drop_reader, drop_writer);
	attr_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_flips_at_once),
		cmocka_unit_test(a_late_reader_finds_no_foreign_node),
		cmocka_unit_test(dropped_subtrees_harm_no_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
