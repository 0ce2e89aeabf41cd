/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Memory that has failed. */
#include "test.h"

#include <errno.h>

#include "fail_alloc.h"
#include "fixture.h"
#include "recorder.h"

static int look(struct gmem_file *f, uint64_t offset, int *level)
{
	void *addr;

	return gmem_file_page(f, offset, &addr, level);
}

static void nobody_gets_it_until_it_is_punched(void **state)
{
	struct gmem_file *f = file_of(MB, 0);
	int level;

	page_at(f, 3 * PAGE)[0] = 3;
	page_at(f, 4 * PAGE)[0] = 4;
	page_at(f, 5 * PAGE)[0] = 5;
	assert_int_equal(gmem_file_poison(f, 4 * PAGE, PAGE), 0);
	assert_int_equal(look(f, 4 * PAGE, &level), -EHWPOISON);
	assert_int_equal(look(f, 4 * PAGE + 17, &level), -EHWPOISON);
	assert_int_equal(page_at(f, 3 * PAGE)[0], 3);
	assert_int_equal(page_at(f, 5 * PAGE)[0], 5);
	assert_int_equal(gmem_file_punch(f, 0, 4 * PAGE), 0);
	assert_int_equal(look(f, 4 * PAGE, &level), -EHWPOISON);
	assert_int_equal(gmem_file_punch(f, 4 * PAGE, PAGE), 0);
	assert_int_equal(page_at(f, 4 * PAGE)[0], 0);
	close_file(f);
}

static void a_leaf_does_not_contain_it(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	int level;

	assert_int_equal(look(f, 0, &level), 0);
	assert_int_equal(level, LEVEL_2M);
	assert_true(gmem_file_neighbours_ready(f, 0));
	assert_int_equal(gmem_file_poison(f, 4 * PAGE, PAGE), 0);
	assert_int_equal(look(f, 0, &level), 0);
	assert_int_equal(level, LEVEL_4K);
	assert_false(gmem_file_neighbours_ready(f, 0));
	assert_int_equal(look(f, 2 * MB, &level), 0);
	assert_int_equal(level, LEVEL_2M);
	assert_int_equal(gmem_file_punch(f, 4 * PAGE, PAGE), 0);
	assert_int_equal(look(f, 0, &level), 0);
	assert_int_equal(level, LEVEL_2M);
	close_file(f);
}

static void what_the_host_can_see_does_not_fail(void **state)
{
	struct gmem_file *f = file_of(MB, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	int level;

	assert_int_equal(gmem_file_poison(f, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(convert(f, 0, 2 * PAGE, P), 0);
	assert_int_equal(gmem_file_poison(f, 0, 3 * PAGE), -EOPNOTSUPP);
	assert_int_equal(gmem_file_poison(f, 0, 2 * PAGE), 0);
	assert_int_equal(convert(f, PAGE, PAGE, 0), -EHWPOISON);
	assert_true(all_are(f, 0, 2 * PAGE, P));
	assert_int_equal(gmem_file_punch(f, PAGE, PAGE), 0);
	assert_int_equal(convert(f, PAGE, PAGE, 0), 0);
	assert_int_equal(look(f, 0, &level), -EHWPOISON);
	assert_int_equal(look(f, PAGE, &level), 0);
	close_file(f);
}

static void whoever_has_a_translation_loses_it(void **state)
{
	struct gmem_file *f = file_of(MB, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	struct recorder r[2];

	assert_int_equal(convert(f, 0, 8 * PAGE, P), 0);
	recorders_add(r, 2, f);
	assert_int_equal(gmem_file_poison(f, 4 * PAGE, 3 * PAGE), 0);
	assert_string_equal(diary(), "ab bb ae be");
	assert_int_equal(r[0].last.kind, GMEM_CHANGE_DISCARD);
	assert_int_equal(r[0].last.offset, 4 * PAGE);
	assert_int_equal(r[0].last.size, 3 * PAGE);
	assert_int_equal(r[0].last.filter, GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE);
	diary_clear();
	assert_int_equal(gmem_file_poison(f, 7 * PAGE, 2 * PAGE), -EOPNOTSUPP);
	assert_string_equal(diary(), "");
	recorders_remove(r, 2);
	close_file(f);
}

static uint64_t run_at(struct gmem_file *f, uint64_t page, uint64_t nr, bool *poisoned)
{
	uint64_t size;

	gmem_file_fault_begin(f);
	size = gmem_file_poisoned_run(f, page * PAGE, nr * PAGE, poisoned);
	gmem_file_fault_end(f);
	return size / PAGE;
}

static void who_asks_is_told_which_have_failed(void **state)
{
	struct gmem_file *f = file_of(MB, 0);
	bool poisoned = true;

	assert_int_equal(run_at(f, 3, 9, &poisoned), 9);
	assert_false(poisoned);
	assert_int_equal(gmem_file_poison(f, 4 * PAGE, 3 * PAGE), 0);
	assert_int_equal(run_at(f, 3, 9, &poisoned), 1);
	assert_false(poisoned);
	assert_int_equal(run_at(f, 4, 9, &poisoned), 3);
	assert_true(poisoned);
	assert_int_equal(run_at(f, 5, 1, &poisoned), 1);
	assert_true(poisoned);
	assert_int_equal(run_at(f, 7, 9, &poisoned), 9);
	assert_false(poisoned);
	close_file(f);
}

static void all_of_a_range_fails(void **state)
{
	struct gmem_file *f = file_of(MB, 0);
	int level;

	assert_int_equal(gmem_file_poison(f, 4 * PAGE, 3 * PAGE), 0);
	for (uint64_t page = 3; page < 8; page++)
		assert_int_equal(look(f, page * PAGE, &level),
				 page == 3 || page == 7 ? 0 : -EHWPOISON);
	assert_int_equal(gmem_file_punch(f, 5 * PAGE, PAGE), 0);
	assert_int_equal(look(f, 4 * PAGE, &level), -EHWPOISON);
	assert_int_equal(look(f, 5 * PAGE, &level), 0);
	assert_int_equal(look(f, 6 * PAGE, &level), -EHWPOISON);
	close_file(f);
}

static void without_memory_nothing_fails(void **state)
{
	struct gmem_file *f = file_of(MB, 0);
	int level;

	allow_allocs(0);
	assert_int_equal(gmem_file_poison(f, 0, PAGE), -ENOMEM);
	allow_allocs(ALLOW_ALL);
	assert_int_equal(look(f, 0, &level), 0);
	gmem_file_release(f);
	assert_int_equal(gmem_file_poison(f, 0, PAGE), -EBADF);
	close_file(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_gets_it_until_it_is_punched),
		cmocka_unit_test(a_leaf_does_not_contain_it),
		cmocka_unit_test(what_the_host_can_see_does_not_fail),
		cmocka_unit_test(whoever_has_a_translation_loses_it),
		cmocka_unit_test(who_asks_is_told_which_have_failed),
		cmocka_unit_test(all_of_a_range_fails),
		cmocka_unit_test(without_memory_nothing_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
