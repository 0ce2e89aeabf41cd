/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/window.h"

#include "fixture.h"

static void an_open_window_covers_its_range_and_no_more(void **state)
{
	struct window_set set = { 0 };

	window_open(&set, 10, 20);
	assert_true(window_is_open(&set, 10, 11));
	assert_true(window_is_open(&set, 19, 30));
	assert_true(window_is_open(&set, 0, 100));
	assert_false(window_is_open(&set, 0, 10));
	assert_false(window_is_open(&set, 20, 21));
	window_close(&set, 10, 20);
	assert_false(window_is_open(&set, 0, 100));
	assert_true(window_set_idle(&set));
}

static void two_that_begin_at_one_place_are_told_apart(void **state)
{
	struct window_set set = { 0 };

	window_open(&set, 10, 20);
	window_open(&set, 10, 30);
	window_close(&set, 10, 30);
	assert_true(window_is_open(&set, 10, 20));
	assert_false(window_is_open(&set, 20, 30));
	window_close(&set, 10, 20);
	assert_true(window_set_idle(&set));
}

static void a_closed_window_is_remembered_by_those_before_it(void **state)
{
	struct window_set set = { 0 };
	uint64_t before = set.sequence, after;

	window_open(&set, 10, 20);
	window_close(&set, 10, 20);
	after = set.sequence;
	assert_true(window_closed_since(&set, before, 15, 16));
	assert_false(window_closed_since(&set, before, 20, 30));
	assert_false(window_closed_since(&set, after, 15, 16));
}

static void when_too_many_have_closed_everything_may_have_changed(void **state)
{
	struct window_set set = { 0 };
	uint64_t before = set.sequence;

	for (int i = 0; i < WINDOW_NR_CLOSED; i++) {
		window_open(&set, 1, 2);
		window_close(&set, 1, 2);
	}
	assert_false(window_closed_since(&set, before, 50, 51));
	window_open(&set, 1, 2);
	window_close(&set, 1, 2);
	assert_true(window_closed_since(&set, before, 50, 51));
}

static void more_brackets_than_entries_stay_covered_until_each_is_closed(void **state)
{
	struct window_set set = { 0 };
	uint64_t nr = WINDOW_NR_OPEN + 5;

	for (uint64_t i = 0; i < nr; i++)
		window_open(&set, 10 * i, 10 * i + 5);
	for (uint64_t i = 0; i < nr; i++) {
		for (uint64_t j = i; j < nr; j++)
			assert_true(window_is_open(&set, 10 * j, 10 * j + 1));
		assert_false(window_set_idle(&set));
		window_close(&set, 10 * i, 10 * i + 5);
	}
	assert_true(window_set_idle(&set));
}

static void brackets_of_one_range_need_one_close_each(void **state)
{
	struct window_set set = { 0 };

	window_open(&set, 1, 5);
	window_open(&set, 1, 5);
	window_close(&set, 1, 5);
	assert_true(window_is_open(&set, 1, 5));
	window_close(&set, 1, 5);
	assert_false(window_is_open(&set, 1, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_window_covers_its_range_and_no_more),
		cmocka_unit_test(two_that_begin_at_one_place_are_told_apart),
		cmocka_unit_test(a_closed_window_is_remembered_by_those_before_it),
		cmocka_unit_test(when_too_many_have_closed_everything_may_have_changed),
		cmocka_unit_test(more_brackets_than_entries_stay_covered_until_each_is_closed),
		cmocka_unit_test(brackets_of_one_range_need_one_close_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
