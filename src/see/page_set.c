/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/page_set.h"

#include <stddef.h>

#include "core/attr_map.h"

#define SHIFT 12

static uint64_t first_of(uint64_t start)
{
	return start >> SHIFT;
}

/* The last address of all is in a page, too. */
static uint64_t nr_of(uint64_t start, uint64_t end)
{
	return ((end - 1) >> SHIFT) - (start >> SHIFT) + 1;
}

bool page_set_put(struct page_set *s, uint64_t start, uint64_t end, bool present)
{
	if (start >= end || (!s->map && !present))
		return true;
	if (!s->map && attr_map_create(ATTR_PRIVATE, 0, &s->map)) {
		s->map = NULL;
		return false;
	}
	if (attr_map_reserve(s->map, first_of(start), nr_of(start, end)))
		return false;
	attr_map_set(s->map, first_of(start), nr_of(start, end), present ? ATTR_PRIVATE : 0);
	return true;
}

bool page_set_run(const struct page_set *s, uint64_t start, uint64_t end, uint64_t *until)
{
	uint32_t value = 0;
	uint64_t nr;

	*until = end;
	if (!s->map)
		return false;
	nr = attr_map_run(s->map, first_of(start), nr_of(start, end), &value);
	if (nr < nr_of(start, end))
		*until = (first_of(start) + nr) << SHIFT;
	return value;
}

uint64_t page_set_bytes(const struct page_set *s, uint64_t start, uint64_t end)
{
	if (!s->map || start >= end)
		return 0;
	return attr_map_count(s->map, first_of(start), nr_of(start, end), ATTR_PRIVATE) << SHIFT;
}

void page_set_free(struct page_set *s)
{
	if (s->map)
		attr_map_destroy(s->map);
	s->map = NULL;
}
