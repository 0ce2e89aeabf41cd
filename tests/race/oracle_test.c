/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The oracle of the race judged: which contents of a word are right, and which a loss. */
#include "race.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE_NR 41u
#define WRITER 11u
#define GUEST (NR_HOSTS + 2)

static struct table *t;

static int make_table(void **state)
{
	t = calloc(1, sizeof(*t));
	return t ? 0 : -1;
}

static int free_table(void **state)
{
	free(t);
	return 0;
}

/* The writer has written done and is at intent; one punch before that, and perhaps one since. */
static void set(unsigned int writer, uint32_t done, uint32_t intent, bool punched)
{
	t->page[PAGE_NR].punch_begin = t->page[PAGE_NR].punch_end = 1;
	t->done[PAGE_NR][writer] = (uint64_t)done << 32 | 1;
	t->intent[PAGE_NR][writer] = intent;
	t->page[PAGE_NR].punch_begin += punched;
}

static bool is_right(unsigned int word, uint64_t value)
{
	struct before b;

	before_access(t, PAGE_NR, &b);
	t->failed = t->stop = 0;
	judge_word(t, PAGE_NR, &b, value, word, false, "a test");
	return !t->failed;
}

static uint64_t host(uint32_t n)
{
	return value_of('H', WRITER, PAGE_NR, n);
}

static void a_count_between_what_is_known_and_what_is_intended_is_right(void **state)
{
	set(WRITER, 862, 921, false);
	assert_true(is_right(WRITER, host(862)));
	assert_true(is_right(WRITER, host(921)));
	assert_false(is_right(WRITER, host(861)));
	assert_false(is_right(WRITER, host(922)));
	assert_false(is_right(WRITER, 0));
	set(WRITER, 862, 921, true);
	assert_true(is_right(WRITER, host(861)));
	assert_true(is_right(WRITER, 0));
	assert_false(is_right(WRITER, host(922)));
}

static void a_store_is_seen_in_part_where_its_page_was_zero(void **state)
{
	set(WRITER, 862, 921, true);
	/* Its first byte, its first two, all but its last, all but its first. */
	assert_true(is_right(WRITER, 0x99));
	assert_true(is_right(WRITER, 0x399));
	assert_true(is_right(WRITER, host(921) & ~(0xffull << 56)));
	assert_true(is_right(WRITER, host(921) & ~0xffull));
	set(WRITER, 0, 1, false);
	assert_true(is_right(WRITER, 1));
}

static void a_store_is_seen_in_part_over_the_one_before(void **state)
{
	set(WRITER, 0x2ff, 0x300, false);
	assert_true(is_right(WRITER, host(0x200)));
	assert_true(is_right(WRITER, host(0x3ff)));
	set(WRITER, 0x2fe, 0x2ff, false);
	assert_false(is_right(WRITER, host(0x200)));
	assert_false(is_right(WRITER, host(0x3ff)));
}

static void no_part_is_right_of_what_nobody_wrote(void **state)
{
	set(WRITER, 862, 921, false);
	/* No zeros could be there. */
	assert_false(is_right(WRITER, 0x99));
	assert_false(is_right(WRITER, host(921) & ~0xffull));
	set(WRITER, 862, 921, true);
	/* No count is so high; two parts and no more; another writer's, another page's, a private page's. */
	assert_false(is_right(WRITER, 0x39a));
	assert_false(is_right(WRITER, host(921) & ~0xff0000ffull & ~(0xffull << 48)));
	assert_false(is_right(WRITER, host(921) & 0xff00ull));
	assert_false(is_right(WRITER, value_of('H', WRITER + 1, PAGE_NR, 921)));
	assert_false(is_right(WRITER, value_of('H', WRITER, PAGE_NR + 1, 921)));
	assert_false(is_right(WRITER, value_of('H', WRITER, PAGE_NR + 1, 0)));
	assert_false(is_right(WRITER, value_of('G', WRITER, PAGE_NR, 921)));
	assert_false(is_right(WRITER, value_of('P', WRITER, PAGE_NR, 921)));
}

static void what_a_guest_stores_is_seen_whole(void **state)
{
	set(GUEST, 862, 921, true);
	assert_true(is_right(GUEST, value_of('G', GUEST, PAGE_NR, 921)));
	assert_false(is_right(GUEST, 0x99));
	assert_false(is_right(GUEST, value_of('G', GUEST, PAGE_NR, 921) & ~(0xffull << 56)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_count_between_what_is_known_and_what_is_intended_is_right),
		cmocka_unit_test(a_store_is_seen_in_part_where_its_page_was_zero),
		cmocka_unit_test(a_store_is_seen_in_part_over_the_one_before),
		cmocka_unit_test(no_part_is_right_of_what_nobody_wrote),
		cmocka_unit_test(what_a_guest_stores_is_seen_whole),
	};

	return cmocka_run_group_tests(tests, make_table, free_table);
}
