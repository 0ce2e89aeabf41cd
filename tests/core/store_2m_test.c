/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stores of the system's own huge pages. The pool is made larger for the time of the test. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "fail_alloc.h"
#include "os/os.h"
#include "pool_run.h"
#include "store_model.h"

#define PAGE OS_PAGE_SIZE
#define WANTED 12

static void pages_are_set_aside_at_creation(void **state)
{
	long before = pool_free();
	struct store *s = make_store(2 * BLOCK + PAGE, STORE_2M), *more = NULL;

	assert_int_equal(pool_free(), before - 3);
	assert_int_equal(store_backed(s), 0);
	assert_int_equal(store_create((uint64_t)(before - 2) * BLOCK, STORE_2M, &more), -ENOMEM);
	assert_null(more);
	assert_int_equal(pool_free(), before - 3);
	store_destroy(s);
	assert_int_equal(pool_free(), before);
}

static void an_access_takes_one(void **state)
{
	struct store *s = make_store(2 * BLOCK + PAGE, STORE_2M);

	guest_at(s, BLOCK + 7 * PAGE)[0] = 1;
	assert_int_equal(store_backed(s), BLOCK);
	assert_true(is_zero(at(s, BLOCK), 7 * PAGE));
	guest_at(s, 2 * BLOCK)[0] = 1;
	assert_int_equal(store_backed(s), 2 * BLOCK);
	assert_int_equal(store_level(s, BLOCK), LEVEL_2M);
	assert_int_equal(store_level(s, 2 * BLOCK), LEVEL_4K);
	store_destroy(s);
}

static void an_allocation_takes_what_it_meets(void **state)
{
	struct store *s = make_store(4 * BLOCK, STORE_2M);

	guest_at(s, BLOCK)[9] = 9;
	assert_int_equal(store_allocate(s, BLOCK - PAGE, 2 * PAGE), 0);
	assert_int_equal(store_backed(s), 2 * BLOCK);
	assert_int_equal(at(s, BLOCK)[9], 9);
	store_destroy(s);
}

static void a_punched_piece_is_zero_and_stays(void **state)
{
	struct store *s = make_store(BLOCK, STORE_2M);

	memset(guest_at(s, 0), 0xaa, BLOCK);
	assert_int_equal(store_punch(s, 7 * PAGE, 2 * PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK);
	assert_true(is_zero(at(s, 7 * PAGE), 2 * PAGE));
	assert_int_equal(at(s, 7 * PAGE - 1)[0], 0xaa);
	assert_int_equal(at(s, 9 * PAGE)[0], 0xaa);
	store_destroy(s);
}

static void it_goes_when_the_last_piece_is_punched(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_2M);
	uint64_t page;

	memset(guest_at(s, 0), 0xaa, BLOCK);
	guest_at(s, BLOCK)[0] = 1;
	for (page = 0; page < 511; page++) {
		assert_int_equal(store_punch(s, page * PAGE, PAGE), 0);
		assert_int_equal(store_backed(s), 2 * BLOCK);
	}
	assert_int_equal(store_punch(s, 511 * PAGE, PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK);
	assert_true(is_zero(guest_at(s, 0), BLOCK));
	assert_int_equal(at(s, BLOCK)[0], 1);
	store_destroy(s);
}

/* What was punched and is touched again is in use. */
static void a_page_in_use_keeps_it(void **state)
{
	struct store *s = make_store(BLOCK, STORE_2M);

	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_punch(s, 0, BLOCK - PAGE), 0);
	assert_int_equal(store_level(s, 0), LEVEL_4K);
	guest_at(s, 3 * PAGE)[0] = 3;
	assert_int_equal(store_punch(s, BLOCK - PAGE, PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK);
	assert_int_equal(at(s, 3 * PAGE)[0], 3);
	assert_int_equal(store_punch(s, 3 * PAGE, PAGE), 0);
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

static void one_that_is_taken_again_is_mapped_whole(void **state)
{
	struct store *s = make_store(2 * BLOCK, STORE_2M);

	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_punch(s, PAGE, PAGE), 0);
	assert_int_equal(store_level(s, 0), LEVEL_4K);
	guest_at(s, PAGE)[0] = 1;
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	assert_int_equal(store_punch(s, PAGE, 2 * PAGE), 0);
	assert_int_equal(store_allocate(s, 0, BLOCK), 0);
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	assert_int_equal(store_punch(s, PAGE, 2 * PAGE), 0);
	assert_int_equal(store_punch(s, 0, BLOCK), 0);
	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	store_destroy(s);
}

static void the_rest_of_a_file_goes_with_its_pages(void **state)
{
	struct store *s = make_store(BLOCK + 3 * PAGE, STORE_2M);

	guest_at(s, BLOCK)[0] = 1;
	assert_int_equal(store_punch(s, BLOCK, 2 * PAGE), 0);
	assert_int_equal(store_backed(s), BLOCK);
	assert_int_equal(store_punch(s, BLOCK + 2 * PAGE, PAGE), 0);
	assert_int_equal(store_backed(s), 0);
	guest_at(s, BLOCK)[0] = 1;
	assert_int_equal(store_punch(s, BLOCK, 3 * PAGE), 0);
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

/* Others have taken what was given back. */
static void none_left_is_no_memory(void **state)
{
	struct store *s = make_store(BLOCK, STORE_2M), *other;
	long nr;

	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_punch(s, 0, BLOCK), 0);
	nr = pool_free();
	other = make_store((uint64_t)nr * BLOCK, STORE_2M);
	assert_int_equal(store_fill(s, 0), -ENOMEM);
	assert_int_equal(store_allocate(s, 0, PAGE), -ENOMEM);
	store_destroy(other);
	assert_int_equal(store_fill(s, 0), 0);
	store_destroy(s);
}

static void without_memory_to_note_it_a_page_stays(void **state)
{
	uint64_t before = os_alloc_live();
	struct store *s = make_store(BLOCK, STORE_2M);
	uint64_t page;

	memset(guest_at(s, 0), 0xaa, BLOCK);
	allow_allocs(0);
	for (page = 0; page < 512; page++)
		assert_int_equal(store_punch(s, page * PAGE, PAGE), 0);
	allow_allocs(ALLOW_ALL);
	assert_int_equal(store_backed(s), BLOCK);
	assert_true(is_zero(at(s, 0), BLOCK));
	store_destroy(s);
	assert_int_equal(os_alloc_live(), before);
}

static void contents_are_those_of_a_model(void **state)
{
	for (uint64_t seed = 1; seed < 6; seed++)
		compare_with_model(STORE_2M, seed, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_set_aside_at_creation),
		cmocka_unit_test(an_access_takes_one),
		cmocka_unit_test(an_allocation_takes_what_it_meets),
		cmocka_unit_test(a_punched_piece_is_zero_and_stays),
		cmocka_unit_test(it_goes_when_the_last_piece_is_punched),
		cmocka_unit_test(a_page_in_use_keeps_it),
		cmocka_unit_test(one_that_is_taken_again_is_mapped_whole),
		cmocka_unit_test(the_rest_of_a_file_goes_with_its_pages),
		cmocka_unit_test(none_left_is_no_memory),
		cmocka_unit_test(without_memory_to_note_it_a_page_stays),
		cmocka_unit_test(contents_are_those_of_a_model),
	};

	return pool_run(WANTED, tests);
}
