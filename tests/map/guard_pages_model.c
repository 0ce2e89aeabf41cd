/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the guard knows of pages, against a byte for each: random ranges that often end at the edge of 2 MiB. */
#include "map/guard_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/os.h"

#define PAGE OS_PAGE_SIZE
#define CHUNK 512u
#define NR_PAGES (40 * CHUNK)
#define NR_STEPS 20000
/* Half of the range is on either side of 64 GiB, where the table ends. */
#define BASE (((uint64_t)3 << 36) - (uint64_t)NR_PAGES / 2 * PAGE)

static uint8_t model[NR_PAGES];
static uint64_t state_of_random = 77;

static uint32_t pick(uint32_t limit)
{
	state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state_of_random >> 33) % limit;
}

/* A page; often just beside an edge. */
static uint32_t pick_page(void)
{
	uint32_t page = pick(NR_PAGES);

	if (pick(2)) {
		page = page / CHUNK * CHUNK + pick(3);
		page -= page && pick(2);
	}
	return page;
}

static void pick_range(uint32_t *first, uint32_t *end)
{
	uint32_t a = pick_page(), b = pick(3) ? pick_page() : a + pick(5);

	b = b < NR_PAGES ? b : NR_PAGES - 1;
	*first = a < b ? a : b;
	*end = (a < b ? b : a) + 1;
}

static bool is_of(uint32_t page, unsigned int mask)
{
	return mask >> model[page] & 1;
}

static void compare(struct guard_pages *p)
{
	static const unsigned int masks[] = { IS_OVERLAID, IS_MARKED, IS_HIDDEN };
	unsigned int mask = masks[pick(3)];
	uint32_t first, end, stop;
	uint64_t run;
	bool are;

	pick_range(&first, &end);
	run = guard_pages_run(p, BASE + first * PAGE, (end - first) * PAGE, mask, &are);
	assert_int_equal(are, is_of(first, mask));
	for (stop = first; stop < end && is_of(stop, mask) == are; stop++)
		;
	assert_int_equal(run, (stop - first) * PAGE);
	for (uint32_t page = first; page < end && page < first + 3; page++)
		assert_int_equal(guard_pages_get(p, BASE + page * PAGE), model[page]);
	assert_int_equal(guard_pages_get(p, BASE + (end - 1) * PAGE), model[end - 1]);
	assert_int_equal(guard_pages_none(p, BASE + first * PAGE, (end - first) * PAGE, mask),
			 stop == end && !are);
}

static void pages_are_as_they_were_set(void **state)
{
	static const enum page_state states[] = { PAGE_OPEN, PAGE_OVERLAID, PAGE_MARKED };
	struct guard_pages *p;

	assert_int_equal(guard_pages_create(&p), 0);
	assert_int_equal(guard_pages_reserve(p, BASE, NR_PAGES * PAGE), 0);
	memset(model, PAGE_OPEN, sizeof(model));
	for (int i = 0; i < NR_STEPS; i++) {
		enum page_state to = states[pick(3)];
		uint32_t first, end;

		pick_range(&first, &end);
		guard_pages_set(p, BASE + first * PAGE, (end - first) * PAGE, to);
		memset(model + first, to, end - first);
		compare(p);
	}
	guard_pages_reset(p);
	memset(model, PAGE_OPEN, sizeof(model));
	compare(p);
	guard_pages_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_as_they_were_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
