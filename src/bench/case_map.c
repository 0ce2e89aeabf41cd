/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The attribute map by itself (core/attr_map.h): setting ranges, looking up, memory. What is beside a lookup is a
 * plain array of bits, which is all that a map of so many pages could be at its smallest.
 */
#include "bench/sets.h"
#include "core/attr_map.h"

#include <errno.h>
#include <stdlib.h>

#define PAGES(size) ((size) / BENCH_PAGE)
#define SIZE_1T ((uint64_t)1 << 40)
#define SIZE_16G ((uint64_t)16 << 30)

struct map_shape {
	uint64_t first, nr; /* pages */
};

static struct attr_map *map;
static uint64_t *bits;
static uint64_t state; /* of the random numbers */

static const struct map_shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

static int set(uint64_t first, uint64_t nr, uint32_t value)
{
	int err = attr_map_reserve(map, first, nr);

	if (!err)
		attr_map_set(map, first, nr, value);
	return err;
}

static int alternate(const struct map_shape *s)
{
	int err = 0;

	for (uint64_t i = 0; !err && i < s->nr; i += 2)
		err = set(s->first + i, 1, ATTR_PRIVATE);
	return err;
}

static int map_setup(struct bench_run *r)
{
	return attr_map_create(ATTR_PRIVATE, 0, &map);
}

static void map_teardown(struct bench_run *r)
{
	attr_map_destroy(map);
}

/* ---- a range that is uniform before and after ---- */

static int uniform_round(struct bench_run *r)
{
	const struct map_shape *s = shape_of(r);
	int err = 0;

	bench_start(r);
	for (uint64_t i = 0; !err && i < r->nr; i++)
		err = set(s->first, s->nr, i % 2 ? 0 : ATTR_PRIVATE);
	bench_stop(r);
	return err ? err : set(s->first, s->nr, 0);
}

/* ---- one that was mixed becomes uniform ---- */

static int drop_round(struct bench_run *r)
{
	const struct map_shape *s = shape_of(r);
	int err = alternate(s);

	if (err)
		return err;
	bench_start(r);
	err = set(s->first, s->nr, 0);
	bench_stop(r);
	return err;
}

/* ---- lookups ---- */

static int alternating_setup(struct bench_run *r)
{
	int err = map_setup(r);

	state = 88172645463325252u;
	return err ? err : alternate(shape_of(r));
}

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* The next place does not depend on what was found, so that lookups overlap as they do for a caller with other work. */
static int lookup_round(struct bench_run *r)
{
	const struct map_shape *s = shape_of(r);
	uint64_t found = 0;

	bench_start(r);
	for (uint64_t i = 0; i < r->nr; i++)
		found += attr_map_get(map, s->first + (next_random() & (s->nr - 1))) != 0;
	bench_stop(r);
	return found > r->nr ? -EINVAL : 0;
}

static int bits_setup(struct bench_run *r)
{
	uint64_t nr = shape_of(r)->nr / 64;

	state = 88172645463325252u;
	bits = malloc(nr * sizeof(*bits));
	if (!bits)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++)
		bits[i] = 0x5555555555555555u;
	return 0;
}

static void bits_teardown(struct bench_run *r)
{
	free(bits);
}

static int bits_round(struct bench_run *r)
{
	const struct map_shape *s = shape_of(r);
	uint64_t found = 0;

	bench_start(r);
	for (uint64_t i = 0; i < r->nr; i++) {
		uint64_t at = next_random() & (s->nr - 1);

		found += bits[at / 64] >> (at % 64) & 1;
	}
	bench_stop(r);
	return found > r->nr ? -EINVAL : 0;
}

/* ---- memory ---- */

static int memory_round(struct bench_run *r)
{
	bench_value(r, (double)attr_map_bytes(map));
	return 0;
}

static int bits_memory_round(struct bench_run *r)
{
	bench_value(r, (double)shape_of(r)->nr / 8);
	return 0;
}

/* ---- the cases ---- */

static const struct bench_ops uniform = { map_setup, uniform_round, map_teardown };
static const struct bench_ops drop = { map_setup, drop_round, map_teardown };
static const struct bench_ops lookup = { alternating_setup, lookup_round, map_teardown };
static const struct bench_ops bits_lookup = { bits_setup, bits_round, bits_teardown };
static const struct bench_ops memory = { alternating_setup, memory_round, map_teardown };
static const struct bench_ops bits_memory = { NULL, bits_memory_round, NULL };

/* clang-format off */
#define OURS(ops_) { .name = "library", .ours = true, .ops = (ops_) }
#define BITS(ops_) { .name = "bits", .ops = (ops_) }
#define SHAPE(first_, size_) .data = &(const struct map_shape){ (first_), PAGES(size_) }
#define SET(name_, what_, first_, size_, limit_) { \
	.name = "map/set/" name_, .what = "set " what_ ", uniform before and after", .unit = BENCH_TIME, .per = "call", \
	.ways = { OURS(&uniform) }, .goals = { { .limit = limit_ } }, SHAPE(first_, size_) }
#define ODD (PAGES(SIZE_1T) * 3 + 77) /* begins and ends in the middle of everything */

const struct bench_case bench_map_cases[] = {
	SET("4K", "a page", ODD, BENCH_PAGE, 1000),
	SET("2M", "2 MiB", PAGES(SIZE_1T), BENCH_2M, 1000),
	SET("1G", "1 GiB", PAGES(SIZE_1T), BENCH_1G, 1000),
	SET("1T", "1 TiB", PAGES(SIZE_1T), SIZE_1T, 1000),
	SET("2M/unaligned", "2 MiB, unaligned", ODD, BENCH_2M, 3000),
	SET("1G/unaligned", "1 GiB, unaligned", ODD, BENCH_1G, 3000),
	SET("1T/unaligned", "1 TiB, unaligned", ODD, SIZE_1T, 3000),
	{ .name = "map/drop/1G", .what = "set 1 GiB of alternating pages", .unit = BENCH_TIME, .per = "call", .nr = 1,
	  .ways = { OURS(&drop) }, SHAPE(0, BENCH_1G) },
	{ .name = "map/drop/16G", .what = "set 16 GiB of alternating pages", .unit = BENCH_TIME, .per = "call", .nr = 1, .slow = true,
	  .ways = { OURS(&drop) }, SHAPE(0, SIZE_16G) },
	{ .name = "map/lookup/16G", .what = "look up a page at random in 16 GiB of alternating pages", .unit = BENCH_TIME,
	  .per = "lookup", .once = true, .ways = { OURS(&lookup), BITS(&bits_lookup) }, .goals = { { .limit = 10 } }, SHAPE(0, SIZE_16G) },
	{ .name = "map/lookup/1T", .what = "look up a page at random in 1 TiB of alternating pages", .unit = BENCH_TIME,
	  .per = "lookup", .once = true, .ways = { OURS(&lookup), BITS(&bits_lookup) }, .goals = { { .limit = 60 } }, SHAPE(0, SIZE_1T) },
	{ .name = "map/memory/1T", .what = "a map of 1 TiB of alternating pages", .unit = BENCH_BYTES, .nr = 1, .once = true,
	  .ways = { OURS(&memory), BITS(&bits_memory) }, .goals = { { .limit = 44 << 20 } }, SHAPE(0, SIZE_1T) },
	{ 0 },
};
/* clang-format on */
