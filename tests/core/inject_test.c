/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A conversion, punch or allocation that is made to fail: where, as what, and that nothing has happened. */
#include "test.h"

#include <errno.h>

#include "../inject/rules.h"
#include "fixture.h"
#include "recorder.h"

static void begin(int err, uint64_t value)
{
	const struct inject_rule rule = { RULE_OF(INJECT_CONVERT, INJECT_FAIL), .err = (int16_t)err,
					  .value = value };

	rules_begin(&rule, 1);
}

static void a_conversion_fails_before_anybody_is_asked(void **state)
{
	struct gmem_file *f = file_of(MB, GMEM_FILE_INIT_SHARED);
	struct recorder r;
	uint64_t where;

	recorders_add(&r, 1, f);
	diary_clear();
	begin(-EAGAIN, 5 * PAGE);
	assert_int_equal(convert_where(f, 4 * PAGE, 4 * PAGE, P, &where), -EAGAIN);
	assert_int_equal(where, 5 * PAGE);
	assert_int_equal(convert_where(f, 6 * PAGE, PAGE, P, &where), -EAGAIN);
	assert_int_equal(where, 6 * PAGE);
	begin(-ENOMEM, INJECT_NOWHERE);
	assert_int_equal(convert_where(f, 4 * PAGE, 4 * PAGE, P, &where), -ENOMEM);
	assert_int_equal(where, 4 * PAGE);
	/* What is so already is no conversion. */
	assert_int_equal(convert(f, 0, MB, 0), 0);
	assert_string_equal(diary(), "");
	assert_true(all_are(f, 0, MB, 0));
	rules_end();
	assert_int_equal(convert(f, 4 * PAGE, 4 * PAGE, P), 0);
	begin(-EAGAIN, INJECT_NOWHERE);
	assert_int_equal(convert_where(f, 0, MB, 0, &where), -EAGAIN);
	assert_int_equal(where, 4 * PAGE);
	assert_true(all_are(f, 4 * PAGE, 4 * PAGE, P));
	rules_end();
	recorders_remove(&r, 1);
	close_file(f);
}

static void others_are_not_meant(void **state)
{
	const struct inject_rule rules[] = {
		{ RULE_OF(INJECT_CONVERT, INJECT_FAIL), .err = -ENOMEM, .kind = INJECT_PRIVATE,
		  .offset = PAGE, .offset_end = 2 * PAGE },
	};
	struct gmem_file *f = file_of(MB, GMEM_FILE_INIT_SHARED);

	rules_begin(rules, 1);
	assert_int_equal(convert(f, 0, PAGE, P), 0);
	assert_int_equal(convert(f, 2 * PAGE, PAGE, P), 0);
	assert_int_equal(convert(f, 0, 2 * PAGE, P), -ENOMEM);
	assert_int_equal(convert(f, 0, MB, 0), 0);
	rules_end();
	close_file(f);
}

static void a_punch_that_fails_keeps_the_pages(void **state)
{
	const struct inject_rule rules[] = {
		{ RULE_OF(INJECT_PUNCH, INJECT_FAIL), .err = -EBUSY, .nth = 1 },
		{ RULE_OF(INJECT_ALLOCATE, INJECT_FAIL), .err = -ENOSPC, .nth = 1 },
	};
	struct gmem_file *f = file_of(MB, GMEM_FILE_INIT_SHARED);

	rules_begin(rules, 2);
	*page_at(f, PAGE) = 7;
	assert_int_equal(gmem_file_punch(f, 0, MB), -EBUSY);
	assert_int_equal(*page_at(f, PAGE), 7);
	assert_int_equal(gmem_file_punch(f, 0, MB), 0);
	assert_int_equal(*page_at(f, PAGE), 0);
	assert_int_equal(gmem_file_allocate(f, 0, MB), -ENOSPC);
	assert_int_equal(gmem_file_allocate(f, 0, MB), 0);
	rules_end();
	close_file(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversion_fails_before_anybody_is_asked),
		cmocka_unit_test(others_are_not_meant),
		cmocka_unit_test(a_punch_that_fails_keeps_the_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
