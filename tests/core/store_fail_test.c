/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a store and a file say when the system refuses, and that the next attempt finds everything as it was. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "core/limit.h"
#include "fixture.h"
#include "os/paths.h"
#include "pool_2m.h"
#include "recorder.h"
#include "store_model.h"

#define HUGE_PATH (1u << OS_PATH_HUGE)
#define WANTED 6

bool __real_os_signal_pending(void);
bool __wrap_os_signal_pending(void);
int __real_os_file_punch(int fd, uint64_t offset, uint64_t size);
int __wrap_os_file_punch(int fd, uint64_t offset, uint64_t size);

int __real_attr_map_reserve(struct attr_map *map, uint64_t first, uint64_t nr);
int __wrap_attr_map_reserve(struct attr_map *map, uint64_t first, uint64_t nr);

static const char *no_pool;
static long signal_in = -1; /* looks for a signal before there is one; -1: there is none */
static int refuse_punch;
static bool refuse_reserve;

bool __wrap_os_signal_pending(void)
{
	return signal_in >= 0 && signal_in-- == 0;
}

int __wrap_os_file_punch(int fd, uint64_t offset, uint64_t size)
{
	return refuse_punch ? refuse_punch : __real_os_file_punch(fd, offset, size);
}

int __wrap_attr_map_reserve(struct attr_map *map, uint64_t first, uint64_t nr)
{
	return refuse_reserve ? -ENOMEM : __real_attr_map_reserve(map, first, nr);
}

static void need_pool(void)
{
	if (no_pool) {
		print_message("skipped: %s\n", no_pool);
		skip();
	}
}

/* ---- thp ------------------------------------------------------------------------------------- */

static void a_fault_without_a_window_is_refused(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_THP);

	fail_all(OS_FAIL_MAP);
	assert_int_equal(store_fill(s, BLOCK), -ENOMEM);
	fail_none();
	assert_int_equal(store_backed(s), 0);
	guest_at(s, BLOCK)[0] = 1;
	store_destroy(s);
}

static void an_allocation_without_a_window_is_refused(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_THP);

	fail_all(OS_FAIL_MAP);
	assert_int_equal(store_allocate(s, 0, 2 * BLOCK), -ENOMEM);
	fail_none();
	assert_int_equal(store_backed(s), 0);
	assert_int_equal(store_allocate(s, 0, 2 * BLOCK), 0);
	assert_int_equal(store_backed(s), 2 * BLOCK);
	store_destroy(s);
}

static void a_block_that_cannot_be_huge_has_small_pages(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_THP);

	fail_all(OS_FAIL_POPULATE);
	guest_at(s, 3 * PAGE)[0] = 3;
	fail_none();
	assert_int_equal(store_backed(s), PAGE);
	assert_int_equal(at(s, 3 * PAGE)[0], 3);
	store_destroy(s);
}

/* Between steps of 16 MiB; what was allocated stays, and the call can be made again. */
static void a_signal_ends_an_allocation_of_small_pages(void **state)
{
	struct store *s = make_store(24 * BLOCK, STORE_4K);

	signal_in = 1;
	assert_int_equal(store_allocate(s, 0, 24 * BLOCK), -EINTR);
	assert_int_equal(store_backed(s), 16 * BLOCK);
	assert_int_equal(store_allocate(s, 0, 24 * BLOCK), 0);
	assert_int_equal(store_backed(s), 24 * BLOCK);
	store_destroy(s);
}

static void a_signal_ends_an_allocation_of_huge_pages(void **state)
{
	struct store *s = make_store(3 * BLOCK, STORE_THP);

	signal_in = 1;
	assert_int_equal(store_allocate(s, 0, 3 * BLOCK), -EINTR);
	assert_int_equal(signal_in, -1);
	assert_true(store_backed(s) <= BLOCK);
	assert_int_equal(store_allocate(s, 0, 3 * BLOCK), 0);
	assert_int_equal(store_backed(s), 3 * BLOCK);
	store_destroy(s);
}

static void a_punch_that_fails_leaves_the_page(void **state)
{
	struct store *s = make_store(BLOCK, STORE_THP);

	guest_at(s, 0)[0] = 7;
	refuse_punch = -EINTR;
	assert_int_equal(store_punch(s, 0, BLOCK), -EINTR);
	refuse_punch = 0;
	assert_int_equal(at(s, 0)[0], 7);
	assert_int_equal(store_punch(s, 0, BLOCK), 0);
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

/* Tables below tables: more windows than one table has. */
static void a_punch_far_out_forgets_what_was_filled_there(void **state)
{
	const uint64_t far = (uint64_t)3 << 48;
	struct store *s = make_store((uint64_t)1 << 50, STORE_THP);

	guest_at(s, far)[0] = 1;
	assert_int_equal(store_backed(s), BLOCK);
	assert_int_equal(store_punch(s, far - BLOCK, 2 * BLOCK), 0);
	assert_int_equal(store_backed(s), 0);
	guest_at(s, far + PAGE)[0] = 1;
	assert_int_equal(store_backed(s), BLOCK);
	store_destroy(s);
}

static void what_lies_behind_the_range_is_not_present_in_it(void **state)
{
	struct store *s = make_store(8 * PAGE, STORE_4K);
	uint64_t offset = 0, size;

	at(s, 5 * PAGE)[0] = 1;
	assert_false(store_next_present(s, &offset, 4 * PAGE, &size));
	assert_true(store_next_present(s, &offset, 6 * PAGE, &size));
	assert_int_equal(offset, 5 * PAGE);
	at(s, 6 * PAGE)[0] = 1;
	assert_true(store_next_present(s, &offset, 6 * PAGE, &size));
	assert_int_equal(size, PAGE);
	assert_null(store_huge(s));
	store_destroy(s);
}

/* Of a block that was whole: it is asked for, or not. */
static uint64_t collapses_of_join(struct store *s, uint64_t offset)
{
	const struct os_fail_plan count = { .points = 1u << OS_FAIL_COLLAPSE };
	struct os_fail_seen seen;

	os_fail_arm(&count);
	store_join(s, offset);
	os_fail_disarm(&seen);
	return seen.nr_calls;
}

static void nothing_is_joined_where_nothing_was_taken_apart(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_THP);

	assert_int_equal(collapses_of_join(s, 0), 0);
	guest_at(s, 0)[0] = 1;
	assert_int_equal(collapses_of_join(s, 0), 0);
	assert_int_equal(store_punch(s, 0, BLOCK), 0);
	assert_int_equal(collapses_of_join(s, 0), 0);
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

static void a_block_that_cannot_be_joined_is_asked_for_again(void **state)
{
	struct store *s = make_store(BLOCK, STORE_THP);

	if (store_backed(s) || !guest_at(s, 0) || store_backed(s) != BLOCK)
		skip();
	assert_int_equal(store_punch(s, 0, PAGE), 0);
	assert_int_equal(store_punch(s, 5 * PAGE, PAGE), 0);
	/* The first page is missing. */
	assert_int_equal(collapses_of_join(s, 5 * PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK - PAGE);
	fail_all(OS_FAIL_POPULATE);
	store_join(s, 0);
	fail_none();
	assert_int_equal(store_backed(s), BLOCK - PAGE);
	fail_all(OS_FAIL_COLLAPSE);
	store_join(s, 0);
	fail_none();
	assert_int_equal(store_backed(s), BLOCK);
	assert_int_equal(collapses_of_join(s, 0), 1);
	assert_int_equal(collapses_of_join(s, 0), 0);
	store_destroy(s);
}

/* ---- 2m -------------------------------------------------------------------------------------- */

static void a_signal_ends_an_allocation_of_the_pool(void **state)
{
	struct store *s;

	need_pool();
	s = make_store(3 * BLOCK, STORE_2M);
	signal_in = 1;
	assert_int_equal(store_allocate(s, 0, 3 * BLOCK), -EINTR);
	assert_int_equal(store_backed(s), BLOCK);
	store_destroy(s);
}

static void without_a_window_no_page_leaves_the_pool(void **state)
{
	struct store *s;

	need_pool();
	s = make_store(BLOCK, STORE_2M);
	fail_all(OS_FAIL_MAP);
	assert_int_equal(store_fill(s, 0), -ENOMEM);
	assert_int_equal(store_allocate(s, 0, BLOCK), -ENOMEM);
	fail_none();
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

static void a_punch_that_fails_leaves_the_huge_page(void **state)
{
	struct store *s;

	need_pool();
	s = make_store(3 * BLOCK, STORE_2M);
	guest_at(s, 0)[0] = 1;
	guest_at(s, BLOCK)[0] = 2;
	refuse_punch = -ENOMEM;
	assert_int_equal(store_punch(s, PAGE, 3 * BLOCK - PAGE), -ENOMEM);
	refuse_punch = 0;
	assert_int_equal(store_backed(s), 2 * BLOCK);
	assert_int_equal(at(s, BLOCK)[0], 2);
	store_destroy(s);
}

/* Of the block in which the range begins the last piece goes, and with it the huge page; or would. */
static void a_punch_whose_first_piece_fails_goes_no_further(void **state)
{
	struct store *s;

	need_pool();
	s = make_store(3 * BLOCK, STORE_2M);
	guest_at(s, 0)[0] = 1;
	guest_at(s, BLOCK)[0] = 2;
	assert_int_equal(store_punch(s, 0, PAGE), 0);
	refuse_punch = -ENOMEM;
	assert_int_equal(store_punch(s, PAGE, 2 * BLOCK), -ENOMEM);
	refuse_punch = 0;
	assert_int_equal(at(s, BLOCK)[0], 2);
	assert_int_equal(store_punch(s, PAGE, 2 * BLOCK), 0);
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

/* Taking it back into use has to be noted, and cannot be. */
static void a_page_that_was_punched_needs_memory_to_come_back(void **state)
{
	struct store *s;

	need_pool();
	s = make_store(2 * BLOCK, STORE_2M);
	guest_at(s, 0)[0] = 1;
	guest_at(s, BLOCK)[0] = 1;
	assert_int_equal(store_punch(s, PAGE, PAGE), 0);
	refuse_reserve = true;
	assert_int_equal(store_fill(s, PAGE), -ENOMEM);
	/* One more that cannot be noted is zero all the same. */
	at(s, 2 * PAGE)[0] = 2;
	assert_int_equal(store_punch(s, 2 * PAGE, PAGE), 0);
	assert_int_equal(at(s, 2 * PAGE)[0], 0);
	refuse_reserve = false;
	assert_int_equal(store_punch(s, 0, BLOCK - PAGE), 0);
	assert_int_equal(store_punch(s, BLOCK - PAGE, PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK);
	refuse_reserve = true;
	assert_int_equal(store_fill(s, 5 * PAGE), -ENOMEM);
	assert_int_equal(store_backed(s), BLOCK);
	refuse_reserve = false;
	assert_true(is_zero(guest_at(s, 5 * PAGE), PAGE));
	assert_int_equal(store_backed(s), 2 * BLOCK);
	store_destroy(s);
}

static void what_was_punched_of_a_huge_page_is_not_present(void **state)
{
	uint64_t offset = 0, size;
	struct store *s;

	need_pool();
	s = make_store(2 * BLOCK, STORE_2M);
	guest_at(s, BLOCK)[0] = 1;
	assert_int_equal(store_punch(s, BLOCK, 3 * PAGE), 0);
	assert_int_equal(store_punch(s, BLOCK + 5 * PAGE, PAGE), 0);
	assert_true(store_next_present(s, &offset, 2 * BLOCK, &size));
	assert_int_equal(offset, BLOCK + 3 * PAGE);
	assert_int_equal(size, 2 * PAGE);
	offset = BLOCK + 5 * PAGE;
	assert_true(store_next_present(s, &offset, 2 * BLOCK, &size));
	assert_int_equal(offset, BLOCK + 6 * PAGE);
	assert_int_equal(size, BLOCK - 6 * PAGE);
	offset = BLOCK;
	assert_false(store_next_present(s, &offset, BLOCK + 3 * PAGE, &size));
	store_destroy(s);
}

static void a_punched_block_says_so_of_its_neighbours(void **state)
{
	struct store *s;

	need_pool();
	s = make_store(BLOCK + 3 * PAGE, STORE_2M);
	guest_at(s, 0)[0] = 1;
	guest_at(s, BLOCK)[0] = 1;
	assert_true(store_filled_around(s, 0));
	assert_int_equal(store_punch(s, BLOCK, PAGE), 0);
	assert_false(store_filled_around(s, BLOCK + 2 * PAGE));
	assert_true(store_filled_around(s, PAGE));
	assert_int_equal(store_punch(s, PAGE, BLOCK - PAGE), 0);
	assert_int_equal(store_punch(s, 0, PAGE), 0);
	assert_false(store_filled_around(s, 0));
	store_destroy(s);
}

/* ---- both -------------------------------------------------------------------------------------- */

static struct store *make_mixed(uint64_t size, bool huge)
{
	struct store *s;

	assert_int_equal(store_create_mixed(size, STORE_2M, huge, &s), 0);
	return s;
}

/* It has contents, so it cannot become small without a copy. */
static void a_huge_page_in_use_stays_huge_when_its_memory_cannot_come_back(void **state)
{
	struct store *s;

	need_pool();
	s = make_mixed(2 * BLOCK, true);
	guest_at(s, 0)[0] = 7;
	assert_int_equal(store_punch(s, PAGE, PAGE), 0);
	refuse_reserve = true;
	assert_int_equal(store_fill(s, PAGE), -ENOMEM);
	assert_int_equal(store_allocate(s, PAGE, BLOCK), -ENOMEM);
	refuse_reserve = false;
	assert_true(store_is_huge(s, 0));
	assert_false(store_filled_around(s, 0));
	assert_true(store_filled_around(s, BLOCK));
	assert_int_equal(store_fill(s, PAGE), 0);
	assert_int_equal(at(s, 0)[0], 7);
	store_stay_small(s);
	assert_true(store_is_huge(s, 0));
	/* Where its huge pages are is no secret. */
	assert_int_equal(store_backed(store_huge(s)), BLOCK);
	store_destroy(s);
}

static void what_ends_an_allocation_or_a_punch_ends_it(void **state)
{
	struct store *s;

	need_pool();
	s = make_mixed(3 * BLOCK, true);
	assert_int_equal(store_move(s, BLOCK, false), 0);
	signal_in = 1;
	assert_int_equal(store_allocate(s, 0, 3 * BLOCK), -EINTR);
	assert_int_equal(store_backed(s), 2 * BLOCK);
	guest_at(s, BLOCK)[0] = 7;
	refuse_punch = -EINTR;
	assert_int_equal(store_punch(s, 0, 2 * BLOCK), -EINTR);
	refuse_punch = 0;
	assert_int_equal(at(s, BLOCK)[0], 7);
	store_destroy(s);
}

/* Without a window on the place where it is, or on that where it goes. */
static void a_block_that_cannot_be_looked_at_does_not_move(void **state)
{
	uint8_t byte = 7;
	struct store *s;

	need_pool();
	s = make_mixed(BLOCK, true);
	guest_at(s, 0)[0] = 5;
	fail_all(OS_FAIL_MAP);
	assert_int_equal(store_move(s, 0, false), -ENOMEM);
	fail_none();
	assert_true(store_is_huge(s, 0));
	assert_int_equal(at(s, 0)[0], 5);
	assert_int_equal(store_punch(s, 0, BLOCK), 0);
	assert_int_equal(store_move(s, 0, false), 0);
	assert_int_equal(pwrite(store_fd(s), &byte, 1, (off_t)(3 * PAGE)), 1);
	fail_all(OS_FAIL_MAP);
	assert_int_equal(store_move(s, 0, true), -ENOMEM);
	fail_none();
	assert_false(store_is_huge(s, 0));
	assert_int_equal(store_move(s, 0, true), 0);
	assert_int_equal(at(s, 3 * PAGE)[0], 7);
	store_destroy(s);
}

static void what_a_move_that_failed_has_left_goes_before_the_next(void **state)
{
	const struct os_fail_plan second = { .points = 1u << OS_FAIL_POPULATE,
					     .first = 1,
					     .nr = 1 };
	struct store *s;

	need_pool();
	s = make_mixed(BLOCK, false);
	guest_at(s, 0)[0] = 5;
	guest_at(s, 7 * PAGE)[0] = 6;
	refuse_punch = -EINTR;
	os_fail_arm(&second);
	assert_int_equal(store_move(s, 0, true), -ENOMEM);
	fail_none();
	assert_int_equal(store_backed(s), BLOCK + 2 * PAGE);
	/* Nor can it be thrown away now. */
	assert_int_equal(store_move(s, 0, true), -EINTR);
	refuse_punch = 0;
	assert_false(store_is_huge(s, 0));
	at(s, 0)[0] = 4;
	assert_int_equal(store_move(s, 0, true), 0);
	assert_int_equal(store_backed(s), BLOCK);
	assert_int_equal(at(s, 0)[0], 4);
	assert_int_equal(at(s, 7 * PAGE)[0], 6);
	store_destroy(s);
}

static void what_stays_shared_stays_small(void **state)
{
	struct gmem_file *f;
	struct recorder r;

	need_pool();
	f = file_of(BLOCK + 3 * PAGE, GMEM_FILE_HUGETLB | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	page_at(f, 0)[0] = 7;
	recorders_add(&r, 1, f);
	r.refuse_begin = -ENOMEM;
	assert_int_equal(convert(f, 0, BLOCK, P), -ENOMEM);
	r.refuse_begin = 0;
	assert_false(store_is_huge(gmem_file_store(f), 0));
	diary_clear();
	/* What is behind the last whole block never moves. */
	assert_int_equal(convert(f, BLOCK, PAGE, P), 0);
	assert_string_equal(diary(), "ap ab ae");
	assert_int_equal(convert(f, 0, BLOCK, P), 0);
	assert_true(store_is_huge(gmem_file_store(f), 0));
	recorders_remove(&r, 1);
	close_file(f);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_file_of_more_huge_pages_than_there_are_is_refused(void **state)
{
	uint64_t before = os_alloc_live();
	struct gmem_file *f = NULL;

	assert_true(gmem_file_create((uint64_t)1 << 45, GMEM_FILE_HUGETLB, &f) < 0);
	assert_null(f);
	assert_int_equal(os_alloc_live(), before);
}

static void a_file_without_a_memfd_is_refused(void **state)
{
	uint64_t before = os_alloc_live();
	struct gmem_file *f = NULL;

	fail_all(OS_FAIL_MEMFD);
	assert_true(gmem_file_create(PAGE, 0, &f) < 0);
	fail_none();
	assert_null(f);
	assert_int_equal(os_alloc_live(), before);
}

static void a_file_passes_on_what_its_store_says(void **state)
{
	struct gmem_file *f = file_of(2 * BLOCK, GMEM_FILE_THP);
	void *addr;
	int level;

	fail_all(OS_FAIL_MAP);
	gmem_file_fault_begin(f);
	assert_int_equal(gmem_file_page(f, 0, &addr, &level), -ENOMEM);
	gmem_file_fault_end(f);
	fail_none();
	fail_all(OS_FAIL_ALLOCATE);
	assert_true(gmem_file_allocate(f, 0, PAGE) < 0);
	fail_none();
	assert_int_equal(store_backed(gmem_file_store(f)), 0);
	page_at(f, 0)[0] = 1;
	refuse_punch = -ENOMEM;
	assert_int_equal(gmem_file_punch(f, 0, PAGE), -ENOMEM);
	refuse_punch = 0;
	assert_int_equal(page_at(f, 0)[0], 1);
	assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
	assert_int_equal(page_at(f, 0)[0], 0);
	close_file(f);
}

static int look(struct gmem_file *f, uint64_t offset)
{
	void *addr;
	int level;

	return gmem_file_page(f, offset, &addr, &level);
}

/* It comes as a whole or not at all. */
static void a_page_of_the_pool_is_counted_as_a_whole(void **state)
{
	struct gmem_limit *limit;
	struct gmem_file *f;

	need_pool();
	f = file_of(3 * BLOCK, GMEM_FILE_HUGETLB);
	assert_int_equal(gmem_limit_create(2 * BLOCK + PAGE, &limit), 0);
	gmem_file_set_limit(f, limit);
	assert_int_equal(look(f, PAGE), 0);
	assert_int_equal(gmem_limit_used(limit), BLOCK);
	assert_int_equal(look(f, BLOCK - PAGE), 0);
	assert_int_equal(gmem_file_allocate(f, BLOCK - PAGE, BLOCK + 2 * PAGE), -ENOMEM);
	assert_int_equal(gmem_limit_used(limit), BLOCK);
	assert_int_equal(look(f, BLOCK), 0);
	assert_int_equal(look(f, 2 * BLOCK), -ENOMEM);
	assert_int_equal(gmem_limit_used(limit), 2 * BLOCK);
	assert_int_equal(gmem_file_allocate(f, PAGE, 2 * BLOCK - PAGE), 0);
	gmem_limit_put(limit);
	close_file(f);
}

static void what_cannot_be_noted_as_failed_has_not(void **state)
{
	struct gmem_file *f = file_of(4 * PAGE, 0);

	refuse_reserve = true;
	assert_int_equal(gmem_file_poison(f, 0, PAGE), -ENOMEM);
	refuse_reserve = false;
	assert_int_equal(look(f, 0), 0);
	assert_int_equal(gmem_file_poison(f, 0, PAGE), 0);
	/* Nor as good again. */
	refuse_reserve = true;
	assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
	refuse_reserve = false;
	assert_int_equal(look(f, 0), -EHWPOISON);
	assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
	assert_int_equal(look(f, 0), 0);
	close_file(f);
}

static int setup(void **state)
{
	os_paths_off &= ~HUGE_PATH;
	os_paths_always &= ~HUGE_PATH;
	return 0;
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fault_without_a_window_is_refused),
		TEST(an_allocation_without_a_window_is_refused),
		TEST(a_block_that_cannot_be_huge_has_small_pages),
		TEST(a_signal_ends_an_allocation_of_small_pages),
		TEST(a_signal_ends_an_allocation_of_huge_pages),
		TEST(a_punch_that_fails_leaves_the_page),
		TEST(a_punch_far_out_forgets_what_was_filled_there),
		TEST(what_lies_behind_the_range_is_not_present_in_it),
		TEST(nothing_is_joined_where_nothing_was_taken_apart),
		TEST(a_block_that_cannot_be_joined_is_asked_for_again),
		TEST(a_signal_ends_an_allocation_of_the_pool),
		TEST(without_a_window_no_page_leaves_the_pool),
		TEST(a_punch_that_fails_leaves_the_huge_page),
		TEST(a_punch_whose_first_piece_fails_goes_no_further),
		TEST(a_page_that_was_punched_needs_memory_to_come_back),
		TEST(what_was_punched_of_a_huge_page_is_not_present),
		TEST(a_punched_block_says_so_of_its_neighbours),
		TEST(a_huge_page_in_use_stays_huge_when_its_memory_cannot_come_back),
		TEST(what_ends_an_allocation_or_a_punch_ends_it),
		TEST(a_block_that_cannot_be_looked_at_does_not_move),
		TEST(what_a_move_that_failed_has_left_goes_before_the_next),
		TEST(what_stays_shared_stays_small),
		TEST(a_file_of_more_huge_pages_than_there_are_is_refused),
		TEST(a_file_without_a_memfd_is_refused),
		TEST(a_file_passes_on_what_its_store_says),
		TEST(a_page_of_the_pool_is_counted_as_a_whole),
		TEST(what_cannot_be_noted_as_failed_has_not),
	};
	int ret;

	no_pool = pool_open(WANTED);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (!no_pool)
		pool_close();
	return ret;
}
