/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/interval.h"

#include <stdlib.h>

#include "fixture.h"

#define NR 300

static struct interval nodes[NR];
static bool present[NR];

static bool meets(int i, uint64_t start, uint64_t end)
{
	return present[i] && nodes[i].start < end && start < nodes[i].end;
}

struct visit {
	uint64_t last, nr;
};

static bool count(void *arg, struct interval *node)
{
	struct visit *visit = arg;

	assert_true(node->start >= visit->last);
	visit->last = node->start;
	visit->nr++;
	return true;
}

static void compare(struct interval_tree *tree, uint64_t start, uint64_t end)
{
	struct interval *first = interval_first(tree, start, end);
	struct visit visit = { 0 };
	uint64_t nr = 0, lowest = UINT64_MAX;

	for (int i = 0; i < NR; i++) {
		if (!meets(i, start, end))
			continue;
		nr++;
		lowest = nodes[i].start < lowest ? nodes[i].start : lowest;
	}
	interval_for_each(tree, start, end, count, &visit);
	assert_int_equal(visit.nr, nr);
	assert_int_equal(!!first, nr > 0);
	if (first)
		assert_int_equal(first->start, lowest);
}

static void finds_what_a_search_through_all_finds(void **state)
{
	struct interval_tree tree = { 0 };

	srandom(7);
	for (int turn = 0; turn < 20000; turn++) {
		int i = (int)(random() % NR);
		uint64_t start = (uint64_t)random() % 1000;

		if (present[i]) {
			interval_remove(&tree, &nodes[i]);
			present[i] = false;
		} else {
			nodes[i].start = (uint64_t)random() % 1000;
			nodes[i].end = nodes[i].start + 1 + (uint64_t)random() % (i % 9 ? 20 : 500);
			interval_insert(&tree, &nodes[i]);
			present[i] = true;
		}
		if (turn % 16 == 0)
			interval_check(&tree);
		compare(&tree, start, start + 1 + (uint64_t)random() % 30);
	}
}

static void bounds_are_the_outermost_ends(void **state)
{
	struct interval_tree tree = { 0 };
	struct interval a = { .start = 5, .end = 90 }, b = { .start = 7, .end = 20 };
	uint64_t start, end;

	assert_false(interval_bounds(&tree, &start, &end));
	interval_insert(&tree, &a);
	interval_insert(&tree, &b);
	assert_true(interval_bounds(&tree, &start, &end));
	assert_int_equal(start, 5);
	assert_int_equal(end, 90);
	interval_remove(&tree, &a);
	assert_true(interval_bounds(&tree, &start, &end));
	assert_int_equal(start, 7);
	assert_int_equal(end, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_a_search_through_all_finds),
		cmocka_unit_test(bounds_are_the_outermost_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
