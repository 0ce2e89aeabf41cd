/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls that are made to fail. */
#include "test.h"

#include <errno.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/paths.h"

static int quiet(void **state)
{
	os_log_set_fd(-1);
	return 0;
}

static int disarm(void **state)
{
	os_fail_disarm(NULL);
	return 0;
}

static bool alloc_works(void)
{
	void *p = os_alloc(100);

	os_free(p, 100);
	return p != NULL;
}

static int make_memfd(void)
{
	int fd, err = os_memfd_create("x", OS_PAGE_SIZE, &fd);

	if (!err)
		os_fd_close(fd);
	return err;
}

static void without_a_plan_nothing_fails(void **state)
{
	assert_true(alloc_works());
	assert_int_equal(make_memfd(), 0);
}

static void the_call_that_was_named_fails_and_no_other(void **state)
{
	struct os_fail_plan plan = { .points = OS_FAIL_ALL, .first = 2, .nr = 2 };
	struct os_fail_seen seen;

	os_fail_arm(&plan);
	assert_true(alloc_works());
	assert_true(alloc_works());
	assert_false(alloc_works());
	assert_false(alloc_works());
	assert_true(alloc_works());
	os_fail_disarm(&seen);
	assert_int_equal(seen.nr_calls, 5);
	assert_int_equal(seen.nr_failed, 2);
	assert_int_equal(seen.point, OS_FAIL_ALLOC);
	assert_int_equal(seen.err, -ENOMEM);
	assert_true(alloc_works());
}

static void only_kinds_that_were_named_count(void **state)
{
	struct os_fail_plan plan = { .points = 1u << OS_FAIL_RESIZE, .nr = 1 };
	struct os_fail_seen seen;

	os_fail_arm(&plan);
	assert_true(alloc_works());
	assert_int_equal(make_memfd(), -ENOMEM);
	assert_int_equal(make_memfd(), 0);
	os_fail_disarm(&seen);
	assert_int_equal(seen.nr_calls, 2);
}

static void each_error_of_a_call_can_be_had(void **state)
{
	static const int errors[] = { -ENOSPC, -ENOMEM, -EINTR };
	struct os_fail_plan plan = { .points = 1u << OS_FAIL_ALLOCATE, .nr = 1 };
	int fd;

	assert_int_equal(os_memfd_create("x", OS_PAGE_SIZE, &fd), 0);
	assert_int_equal(os_fail_variants(OS_FAIL_ALLOCATE), 3);
	for (plan.variant = 0; plan.variant < 3; plan.variant++) {
		os_fail_arm(&plan);
		assert_int_equal(os_file_allocate(fd, 0, OS_PAGE_SIZE), errors[plan.variant]);
		assert_int_equal(os_file_allocate(fd, 0, OS_PAGE_SIZE), 0);
		os_fail_disarm(NULL);
	}
	os_fd_close(fd);
}

static void nothing_fails_by_a_plan_without_failures(void **state)
{
	struct os_fail_plan plan = { .points = OS_FAIL_ALL };
	struct os_fail_seen seen;

	os_fail_arm(&plan);
	assert_int_equal(make_memfd(), 0);
	os_fail_disarm(&seen);
	assert_int_equal(seen.nr_calls, 3); /* made, moved, sized */
	assert_int_equal(seen.nr_failed, 0);
}

static void a_wait_that_a_signal_ends(void **state)
{
	struct os_fail_plan plan = { .points = 1u << OS_FAIL_WAIT, .nr = 1 };
	_Atomic uint32_t word = 0;

	os_fail_arm(&plan);
	assert_int_equal(os_wait(&word, 0, -1), -EINTR);
	assert_int_equal(os_wait(&word, 0, 1), -ETIMEDOUT);
}

static void words_say_which(void **state)
{
	assert_int_equal(os_paths_set("fail-memfd=2"), 0);
	assert_true(alloc_works());
	assert_int_equal(make_memfd(), 0);
	assert_int_equal(make_memfd(), -EMFILE);
	assert_int_equal(make_memfd(), 0);
	assert_int_equal(os_paths_set("fail=1+,fail.1"), 0);
	assert_false(alloc_works());
	assert_int_equal(make_memfd(), -ENOMEM);
	os_fail_disarm(NULL);
	assert_int_equal(os_paths_set("fail.0"), 0);
	assert_int_equal(os_paths_set("fail-peer-lock=1"), 0);
	assert_true(alloc_works());
}

static void a_look_for_a_signal_fails_by_its_name_alone(void **state)
{
	assert_int_equal(os_paths_set("fail=1+"), 0);
	assert_false(os_signal_pending());
	assert_int_equal(os_paths_set("fail-signal=2"), 0);
	assert_false(os_signal_pending());
	assert_true(os_signal_pending());
	assert_false(os_signal_pending());
}

static void a_question_fails_nothing(void **state)
{
	struct os_fail_seen seen;

	assert_int_equal(os_paths_set("fail=?"), 0);
	assert_true(alloc_works());
	assert_int_equal(make_memfd(), 0);
	os_fail_disarm(&seen);
	assert_int_equal(seen.nr_calls, 4);
	assert_int_equal(seen.nr_failed, 0);
}

static void what_says_nothing_is_refused(void **state)
{
	static const char *const wrong[] = { "fail",	 "fail=",   "fail=0",	"fail=x",
					     "fail=1x",	 "fail-=1", "fail-a=1", "fail-alloc",
					     "fail=1++", "fail.",   "fail.x",	"failalloc=1",
					     "fail=??",	 "fail=1?" };

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(os_paths_set(wrong[i]), -EINVAL);
	assert_true(alloc_works());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(without_a_plan_nothing_fails, disarm),
		cmocka_unit_test_teardown(the_call_that_was_named_fails_and_no_other, disarm),
		cmocka_unit_test_teardown(only_kinds_that_were_named_count, disarm),
		cmocka_unit_test_teardown(each_error_of_a_call_can_be_had, disarm),
		cmocka_unit_test_teardown(nothing_fails_by_a_plan_without_failures, disarm),
		cmocka_unit_test_teardown(a_wait_that_a_signal_ends, disarm),
		cmocka_unit_test_teardown(words_say_which, disarm),
		cmocka_unit_test_teardown(a_look_for_a_signal_fails_by_its_name_alone, disarm),
		cmocka_unit_test_teardown(a_question_fails_nothing, disarm),
		cmocka_unit_test_teardown(what_says_nothing_is_refused, disarm),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
