/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Private pages are given contents, and a file stands still for who copies it. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "os/fail.h"
#include "recorder.h"

#define NR_PAGES 20

static uint8_t source[NR_PAGES * PAGE];

static void fill_source(void)
{
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)(1 + i / PAGE);
}

static void private_pages_get_contents(void **state)
{
	struct gmem_file *f = file_of(NR_PAGES * PAGE, 0);
	uint64_t done;

	fill_source();
	assert_int_equal(gmem_file_populate(f, 3 * PAGE, 5 * PAGE, source, &done), 0);
	assert_int_equal(done, 5 * PAGE);
	assert_memory_equal(page_at(f, 3 * PAGE), source, 5 * PAGE);
	assert_int_equal(*page_at(f, 2 * PAGE), 0);
	assert_int_equal(*page_at(f, 8 * PAGE), 0);
	close_file(f);
}

static void without_a_source_pages_become_present_alone(void **state)
{
	struct gmem_file *f = file_of(NR_PAGES * PAGE, 0);
	uint64_t done, from = 0, size;

	*page_at(f, 6 * PAGE) = 9;
	assert_int_equal(gmem_file_populate(f, 5 * PAGE, 3 * PAGE, NULL, &done), 0);
	assert_true(store_next_present(gmem_file_store(f), &from, NR_PAGES * PAGE, &size));
	assert_int_equal(from, 5 * PAGE);
	assert_int_equal(size, 3 * PAGE);
	assert_int_equal(*page_at(f, 6 * PAGE), 9);
	close_file(f);
}

static void a_shared_page_ends_it(void **state)
{
	struct gmem_file *f = file_of(NR_PAGES * PAGE, 0);
	uint64_t done;

	fill_source();
	assert_int_equal(convert(f, 4 * PAGE, PAGE, 0), 0);
	assert_int_equal(gmem_file_populate(f, 0, 8 * PAGE, source, &done), -EINVAL);
	assert_int_equal(done, 4 * PAGE);
	assert_int_equal(*page_at(f, 3 * PAGE), 4);
	assert_int_equal(*page_at(f, 4 * PAGE), 0);
	assert_int_equal(*page_at(f, 5 * PAGE), 0);
	close_file(f);
}

static void no_memory_ends_it(void **state)
{
	const struct os_fail_plan plan = { .points = 1u << OS_FAIL_POPULATE, .first = 2, .nr = 1 };
	struct gmem_file *f = file_of(NR_PAGES * PAGE, 0);
	uint64_t done;

	fill_source();
	os_fail_arm(&plan);
	assert_int_equal(gmem_file_populate(f, 0, 8 * PAGE, source, &done), -EFAULT);
	os_fail_disarm(NULL);
	assert_int_equal(done, 2 * PAGE);
	assert_int_equal(*page_at(f, PAGE), 2);
	assert_int_equal(*page_at(f, 2 * PAGE), 0);
	close_file(f);
}

static unsigned int nr_prepared;

static int prepare(void *type, uint64_t offset, uint64_t size)
{
	const uint8_t *page = page_at(type, offset);

	/* The contents are there already. */
	assert_int_equal(*page, 1 + offset / PAGE);
	nr_prepared++;
	return offset == 6 * PAGE ? -EIO : 0;
}

static void the_type_prepares_what_is_there(void **state)
{
	static const struct gmem_type_ops ops = { .prepare = prepare };
	struct gmem_file *f = file_of(NR_PAGES * PAGE, 0);
	uint64_t done;

	fill_source();
	gmem_file_set_type(f, &ops, f);
	assert_int_equal(gmem_file_populate(f, 0, 8 * PAGE, source, &done), -EIO);
	assert_int_equal(done, 6 * PAGE);
	assert_int_equal(nr_prepared, 7);
	assert_int_equal(gmem_file_populate(f, 0, 6 * PAGE, source, &done), 0);
	assert_int_equal(nr_prepared, 7);
	close_file(f);
}

static void a_frozen_file_is_a_bracket_that_changes_nothing(void **state)
{
	struct gmem_file *f = file_of(NR_PAGES * PAGE, GMEM_FILE_INIT_SHARED);
	struct recorder r[2];
	uint64_t before;

	memset(r, 0, sizeof(r));
	recorders_add(r, 2, f);
	assert_int_equal(convert(f, PAGE, PAGE, P), 0);
	*page_at(f, PAGE) = 7;
	diary_clear();
	before = gmem_file_generation(f);
	assert_int_equal(gmem_file_freeze(f), 0);
	assert_string_equal(diary(), "ab bb");
	assert_int_equal(r[0].last.kind, GMEM_CHANGE_FREEZE);
	assert_int_equal(r[0].last.offset, 0);
	assert_int_equal(r[0].last.size, NR_PAGES * PAGE);
	assert_int_equal(r[0].last.filter, GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE);
	assert_int_equal(r[0].nr_parts, 1);
	gmem_file_thaw(f);
	assert_string_equal(diary(), "ab bb ae be");
	assert_int_equal(gmem_file_generation(f), before + 1);
	assert_true(all_are(f, PAGE, PAGE, P));
	assert_true(all_are(f, 2 * PAGE, (NR_PAGES - 2) * PAGE, 0));
	assert_int_equal(*page_at(f, PAGE), 7);
	recorders_remove(r, 2);
	close_file(f);
}

static void what_is_released_is_refused(void **state)
{
	struct gmem_file *f = file_of(NR_PAGES * PAGE, 0);
	uint64_t done;

	gmem_file_release(f);
	assert_int_equal(gmem_file_populate(f, 0, PAGE, source, &done), -EFAULT);
	assert_int_equal(done, 0);
	assert_int_equal(gmem_file_freeze(f), -EFAULT);
	close_file(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(private_pages_get_contents),
		cmocka_unit_test(without_a_source_pages_become_present_alone),
		cmocka_unit_test(a_shared_page_ends_it),
		cmocka_unit_test(no_memory_ends_it),
		cmocka_unit_test(the_type_prepares_what_is_there),
		cmocka_unit_test(a_frozen_file_is_a_bracket_that_changes_nothing),
		cmocka_unit_test(what_is_released_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
