/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A store of one huge page of 1 GiB: what differs from those of 2 MiB. The pool is made larger for the time of the test. */
#include "test.h"

#include <stdio.h>

#include "core/attr_map.h"
#include "os/os.h"
#define POOL_PATH "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
#include "pool_run.h"
#include "store_model.h"

#define PAGE OS_PAGE_SIZE
#define GB ((uint64_t)1 << 30)

static void a_touch_takes_all_of_it_and_it_is_mapped_whole(void **state)
{
	struct store *s = make_store(GB, STORE_1G);

	assert_int_equal(store_backed(s), 0);
	guest_at(s, 300 * BLOCK + 7 * PAGE)[0] = 1;
	assert_int_equal(store_backed(s), GB);
	assert_int_equal(store_level(s, 0), LEVEL_1G);
	assert_true(is_zero(at(s, 300 * BLOCK), 7 * PAGE));
	store_destroy(s);
}

static void a_punched_piece_is_zero_and_what_is_around_it_smaller(void **state)
{
	struct store *s = make_store(GB, STORE_1G);

	guest_at(s, 5 * BLOCK)[0] = 1;
	at(s, 5 * BLOCK + PAGE)[0] = 2;
	assert_int_equal(store_punch(s, 5 * BLOCK, PAGE), 0);
	assert_int_equal(store_backed(s), GB);
	assert_true(is_zero(at(s, 5 * BLOCK), PAGE));
	assert_int_equal(at(s, 5 * BLOCK + PAGE)[0], 2);
	assert_int_equal(store_level(s, 5 * BLOCK + PAGE), LEVEL_4K);
	assert_false(store_filled_around(s, 5 * BLOCK + PAGE));
	assert_int_equal(store_level(s, 6 * BLOCK), LEVEL_2M);
	assert_true(store_filled_around(s, 6 * BLOCK));
	guest_at(s, 5 * BLOCK)[0] = 1;
	assert_int_equal(store_level(s, 0), LEVEL_1G);
	store_destroy(s);
}

static void it_goes_with_its_last_piece(void **state)
{
	struct store *s = make_store(GB, STORE_1G);

	guest_at(s, 0)[0] = 1;
	assert_int_equal(store_punch(s, 0, 200 * BLOCK), 0);
	assert_int_equal(store_punch(s, 201 * BLOCK, GB - 201 * BLOCK), 0);
	assert_int_equal(store_backed(s), GB);
	assert_int_equal(store_punch(s, 200 * BLOCK, BLOCK), 0);
	assert_int_equal(store_backed(s), 0);
	assert_true(is_zero(guest_at(s, 0), PAGE));
	store_destroy(s);
}

static void a_file_may_be_shorter(void **state)
{
	struct store *s = make_store(3 * BLOCK + PAGE, STORE_1G);

	guest_at(s, 3 * BLOCK)[0] = 1;
	assert_int_equal(store_backed(s), GB);
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	assert_int_equal(store_level(s, 3 * BLOCK), LEVEL_4K);
	assert_int_equal(store_punch(s, 0, 3 * BLOCK), 0);
	assert_int_equal(store_punch(s, 3 * BLOCK, PAGE), 0);
	assert_int_equal(store_backed(s), 0);
	store_destroy(s);
}

/* Of a file with windows: nothing that a host could show of it comes near the huge page. */
static void it_is_the_block_of_a_store_with_small_pages(void **state)
{
	struct store *s;

	assert_int_equal(store_create_mixed(GB + BLOCK, STORE_1G, false, &s), 0);
	guest_at(s, 7 * BLOCK)[0] = 1;
	guest_at(s, GB)[0] = 2;
	assert_int_equal(store_backed(s), 2 * PAGE);
	assert_int_equal(store_move(s, 0, true), 0);
	assert_int_equal(guest_at(s, 7 * BLOCK)[0], 1);
	assert_int_equal(at(s, GB)[0], 2);
	assert_int_equal(store_level(s, 0), LEVEL_1G);
	assert_int_equal(store_backed(s), GB + PAGE);
	assert_int_equal(store_punch(s, 0, GB), 0);
	assert_int_equal(store_move(s, 0, false), 0);
	assert_true(is_zero(guest_at(s, 7 * BLOCK), PAGE));
	assert_int_equal(store_backed(s), 2 * PAGE);
	store_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_touch_takes_all_of_it_and_it_is_mapped_whole),
		cmocka_unit_test(a_punched_piece_is_zero_and_what_is_around_it_smaller),
		cmocka_unit_test(it_goes_with_its_last_piece),
		cmocka_unit_test(a_file_may_be_shorter),
		cmocka_unit_test(it_is_the_block_of_a_store_with_small_pages),
	};

	return pool_run(1, tests);
}
