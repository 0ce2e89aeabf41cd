/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The attribute map, and a page that is converted in place where nobody has it in hand. */
#include "hot_layers.h"

#include "core/attr_map.h"
#include "core/gmem_file.h"
#include "os/os.h"

#define NR 20000u
#define NR_FEW 2000u
#define PAGES_1G ((uint64_t)1 << 18)
#define PAGES_ALTERNATING \
	((uint64_t)1 << 15) /* more cost time and change nothing: their nodes are the same */
#define FILE_SIZE ((uint64_t)1 << 30)

static struct attr_map *map;
static struct gmem_file *file;
static volatile uint64_t sink;

static void set(uint64_t first, uint64_t nr, uint32_t value)
{
	os_assert(attr_map_reserve(map, first, nr) == 0);
	attr_map_set(map, first, nr, value);
}

static void uniform_map(void)
{
	if (map)
		attr_map_destroy(map);
	os_assert(attr_map_create_for(ATTR_PRIVATE, 0, (uint64_t)1 << 40, &map) == 0);
}

static void alternating_map(void)
{
	uniform_map();
	for (uint64_t page = 0; page < PAGES_ALTERNATING; page += 2)
		set(page, 1, ATTR_PRIVATE);
}

static uint64_t lookups(uint64_t pages)
{
	uint64_t random = 1, found = 0;

	for (unsigned int i = 0; i < NR; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		found += attr_map_get(map, random >> 32 & (pages - 1));
	}
	return found;
}

static void lookup_uniform(void)
{
	sink = lookups((uint64_t)1 << 28);
}

static void lookup_alternating(void)
{
	sink = lookups(PAGES_ALTERNATING);
}

static void level_alternating(void)
{
	uint64_t levels = 0;

	for (unsigned int i = 0; i < NR; i++)
		levels += (uint64_t)attr_map_level(map, i & (PAGES_ALTERNATING - 1), LEVEL_1G);
	sink = levels;
}

static void map_set_1g(void)
{
	for (unsigned int i = 0; i < NR_FEW; i++)
		set(0, PAGES_1G, i & 1 ? 0 : ATTR_PRIVATE);
}

static void map_set_page(void)
{
	for (unsigned int i = 0; i < NR_FEW; i++)
		set(5, 1, i & 1 ? 0 : ATTR_PRIVATE);
}

static void make_file(void)
{
	os_assert(gmem_file_create(FILE_SIZE, GMEM_FILE_IN_PLACE, &file) == 0);
}

static void convert_page(void)
{
	struct gmem_conversion c = { .offset = 5 * OS_PAGE_SIZE, .size = OS_PAGE_SIZE };

	for (unsigned int i = 0; i < NR_FEW; i++) {
		c.attributes = i & 1 ? ATTR_PRIVATE : 0;
		os_assert(gmem_file_convert(file, &c) == 0);
	}
}

const struct hot_path hot_map_paths[] = {
	{ "lookup_uniform", NR, uniform_map, lookup_uniform },
	{ "lookup_alternating", NR, alternating_map, lookup_alternating },
	{ "level_alternating", NR, alternating_map, level_alternating },
	{ "map_set_1g", NR_FEW, uniform_map, map_set_1g },
	{ "map_set_page", NR_FEW, uniform_map, map_set_page },
	{ "convert_page", NR_FEW, make_file, convert_page },
	{ 0 },
};
