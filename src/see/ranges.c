/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/ranges.h"

#include <stdlib.h>
#include <string.h>

/* The first that ends behind at. */
static size_t find(const struct ranges *r, uint64_t at)
{
	size_t low = 0, high = r->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (r->list[mid].end > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* Puts nr_new in place of the ranges first to end - 1. */
static bool replace(struct ranges *r, size_t first, size_t end, const struct range *with,
		    size_t nr_new)
{
	size_t nr = r->nr - (end - first) + nr_new;

	if (nr > r->max) {
		size_t max = nr * 2 + 16;
		struct range *list = realloc(r->list, max * sizeof(*list));

		if (!list)
			return false;
		r->list = list;
		r->max = max;
	}
	for (size_t i = first; i < end; i++)
		r->total -= r->list[i].end - r->list[i].start;
	if (r->nr)
		memmove(r->list + first + nr_new, r->list + end, (r->nr - end) * sizeof(*r->list));
	for (size_t i = 0; i < nr_new; i++) {
		r->list[first + i] = with[i];
		r->total += with[i].end - with[i].start;
	}
	r->nr = nr;
	return true;
}

bool ranges_set(struct ranges *r, uint64_t start, uint64_t end, bool present)
{
	size_t first, last, nr = 0;
	struct range with[2];

	if (start >= end)
		return true;
	/* What touches a range that is added becomes one with it. */
	first = find(r, present && start ? start - 1 : start);
	for (last = first; last < r->nr; last++) {
		if (r->list[last].start > end || (!present && r->list[last].start == end))
			break;
	}
	if (present) {
		with[nr] = (struct range){ start, end };
		if (last > first && r->list[first].start < start)
			with[nr].start = r->list[first].start;
		if (last > first && r->list[last - 1].end > end)
			with[nr].end = r->list[last - 1].end;
		nr++;
	} else {
		if (last > first && r->list[first].start < start)
			with[nr++] = (struct range){ r->list[first].start, start };
		if (last > first && r->list[last - 1].end > end)
			with[nr++] = (struct range){ end, r->list[last - 1].end };
	}
	return replace(r, first, last, with, nr);
}

void ranges_free(struct ranges *r)
{
	free(r->list);
	*r = (struct ranges){ 0 };
}
