/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* GMEM_DEBUG: words for fast paths. */
#include "test.h"

#include <errno.h>

#include "os/paths.h"

#define ALL ((1u << OS_PATH_NR) - 1)

static int start(void **state)
{
	os_paths_off = os_paths_always = 0;
	return 0;
}

static void one_word_turns_all(void **state)
{
	assert_int_equal(os_paths_set("slow"), 0);
	assert_int_equal(os_paths_off, ALL);
	assert_int_equal(os_paths_always, 0);
	assert_int_equal(os_paths_set("fast"), 0);
	assert_int_equal(os_paths_off, 0);
	assert_int_equal(os_paths_always, ALL);
}

static void paths_are_named_one_by_one(void **state)
{
	assert_int_equal(os_paths_set("slow,fast-huge,slow-marks,fast-marks"), 0);
	assert_true(os_path_off(OS_PATH_TLB));
	assert_false(os_path_off(OS_PATH_HUGE));
	assert_true(os_path_always(OS_PATH_HUGE));
	assert_true(os_path_always(OS_PATH_MARKS));
	assert_false(os_path_always(OS_PATH_TLB));
}

static void nothing_changes_nothing(void **state)
{
	assert_int_equal(os_paths_set(NULL), 0);
	assert_int_equal(os_paths_set(""), 0);
	assert_int_equal(os_paths_off | os_paths_always, 0);
}

static void an_unknown_word_is_told_and_the_others_count(void **state)
{
	static const char *const wrong[] = { "quick",	"slo",	     "slowly", "slow-",
					     "slow-tl", "slow-tlbs", ",slow" };

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(os_paths_set(wrong[i]), -EINVAL);
	start(state);
	assert_int_equal(os_paths_set("slow-tlb,no,fast-huge"), -EINVAL);
	assert_true(os_path_off(OS_PATH_TLB));
	assert_true(os_path_always(OS_PATH_HUGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_word_turns_all, start),
		cmocka_unit_test_setup(paths_are_named_one_by_one, start),
		cmocka_unit_test_setup(nothing_changes_nothing, start),
		cmocka_unit_test_setup(an_unknown_word_is_told_and_the_others_count, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
