/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pins, and what is found where nobody has told of it. */
#include "pins_t.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- pins alone ---------------------------------------------------------------------------- */

static void ranges_are_told_in_order_rounded_and_joined(void **state)
{
	struct pin *p[] = {
		intend(9 * PAGE + 5, 1),    intend(2 * PAGE, PAGE),  intend(3 * PAGE + 1, 10),
		intend(PAGE / 2, 2 * PAGE), intend(20 * PAGE, PAGE), intend(9 * PAGE, 2 * PAGE),
	};

	assert_string_equal(pinned(), "0+4 9+2 20+1");
	assert_string_equal(pinned_in(1, 9), "1+3 9+1");
	assert_string_equal(pinned_in(4, 5), "");
	assert_int_equal(pins_check(&file, 0, NR_PAGES * PAGE, note, ranges), 3);
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
		pin_drop(p[i]);
	assert_string_equal(pinned(), "");
}

static void a_short_call_keeps_what_it_took(void **state)
{
	struct pin *a = intend(2 * PAGE, 4 * PAGE), *b = intend(10 * PAGE, PAGE);

	assert_string_equal(pinned(), "2+4 10+1");
	pin_settle(a, PAGE + 1);
	pin_settle(b, 0);
	assert_string_equal(pinned(), "2+2");
	assert_int_equal(file.pins.nr, 1);
	pin_advance(a, PAGE);
	assert_string_equal(pinned(), "3+1");
	pin_drop(a);
}

static void many_pins_in_any_order_are_one_range(void **state)
{
	static struct pin *p[4001];

	for (uint32_t i = 0; i < 4001; i++)
		p[i] = intend((i * 1237 % 4001) * 16, 16);
	assert_string_equal(pinned(), "0+16");
	for (uint32_t i = 0; i < 4001; i++)
		pin_drop(p[i]);
}

static void a_pin_outlives_its_file(void **state)
{
	struct pin *p = intend(0, PAGE), *copy;

	pins_release(&file);
	assert_int_equal(file.pins.nr, 0);
	assert_int_equal(pin_copy(p, 0, PAGE, &copy), 0);
	pin_settle(p, 10);
	pin_drop(p);
	pin_drop(copy);
}

/* ---- what is not told; last, since it cannot be taken back ---------------------------------- */

static void a_page_in_a_socket_is_found_by_its_references(void **state)
{
	int a[2], s[2];

	make_pipe(a);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	memset(window, 1, NR_PAGES * PAGE);
	GIVE(a[1], 5);
	assert_int_equal(move(a[0], s[1], PAGE, false), PAGE);
	assert_true(pins_unseen_possible());
	if (!pins_are_exact()) {
		assert_string_equal(pinned(), "");
		skip();
	}
	assert_string_equal(pinned(), "5+1");
	GIVE(a[1], 3, 6);
	assert_string_equal(pinned(), "3+1 5+2");
	drain(s[0], PAGE);
	drain(a[0], 2 * PAGE);
	assert_string_equal(pinned(), "");
	close_pipe(s);
	close_pipe(a);
}

static int teardown_unseen(void **state)
{
	pins_release(&file);
	munmap(window, NR_PAGES * PAGE);
	close(file.store_fd);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pins_setup, pins_teardown)
	const struct CMUnitTest tests[] = {
		TEST(ranges_are_told_in_order_rounded_and_joined),
		TEST(a_short_call_keeps_what_it_took),
		TEST(many_pins_in_any_order_are_one_range),
		TEST(a_pin_outlives_its_file),
		cmocka_unit_test_setup_teardown(a_page_in_a_socket_is_found_by_its_references,
						pins_setup, teardown_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
