/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Conversions while other processes have the file: forked children, and theirs. */
#include "family.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "map/host_map.h"
#include "os/os.h"

static void a_child_sees_what_is_shared_and_nothing_else(void **state)
{
	struct child c;

	assert_int_equal(convert(8, 8, true), 0);
	c = make_child();
	assert_int_equal(tell(&c, PEEK, 7, 0), stamp(7));
	assert_int_equal(tell(&c, PEEK, 8, 0), BUS);
	assert_int_equal(tell(&c, PEEK_BY_SYSCALL, 15, 0), -EFAULT);
	assert_int_equal(tell(&c, PEEK, 16, 0), stamp(16));
	end_child(&c);
}

static void conversions_reach_a_child_before_they_return(void **state)
{
	struct child c = make_child();

	for (uint64_t i = 0; i < 50; i++) {
		assert_int_equal(tell(&c, PEEK, i, 0), stamp(i));
		assert_int_equal(convert(i, 2, true), 0);
		assert_int_equal(tell(&c, PEEK, i, 0), BUS);
		assert_int_equal(tell(&c, PEEK_BY_SYSCALL, i + 1, 0), -EFAULT);
		assert_int_equal(peek(i), BUS);
		assert_int_equal(convert(i, 2, false), 0);
		assert_int_equal(tell(&c, PEEK, i, 0), stamp(i));
		assert_int_equal(tell(&c, PEEK_BY_SYSCALL, i + 1, 0), 0);
	}
	end_child(&c);
}

static void a_child_converts_for_all(void **state)
{
	struct child a = make_child(), b = make_child();

	assert_int_equal(tell(&a, PRIVATE, 100, 10), 0);
	assert_int_equal(peek(100), BUS);
	assert_int_equal(tell(&a, PEEK, 109, 0), BUS);
	assert_int_equal(tell(&b, PEEK, 105, 0), BUS);
	assert_int_equal(tell(&b, QUERY, 0, NR_PAGES), 10);
	assert_int_equal(nr_private(0, NR_PAGES), 10);
	assert_int_equal(tell(&b, SHARED, 102, 1), 0);
	assert_int_equal(peek(102), stamp(102));
	assert_int_equal(tell(&a, PEEK, 102, 0), stamp(102));
	assert_int_equal(tell(&b, PEEK, 102, 0), stamp(102));
	assert_int_equal(tell(&b, PEEK, 103, 0), BUS);
	end_child(&a);
	end_child(&b);
}

static void a_punch_of_a_child_is_seen_at_home(void **state)
{
	struct child c = make_child();

	assert_int_equal(tell(&c, PUNCH, 5, 1), 0);
	assert_int_equal(peek(5), 0);
	assert_int_equal(peek(6), stamp(6));
	end_child(&c);
}

/* Nor does it when the home is late, the first time it is asked for. */
static void what_could_not_be_shown_does_not_stay_hidden(void **state)
{
	struct child c = make_child();

	atomic_store(&host_file_patience_ms, 100);
	end_child(&c);
	c = make_child();
	assert_int_equal(convert(20, 1, true), 0);
	assert_int_equal(tell(&c, LACK, 0, 1), 0);
	assert_int_equal(convert(20, 1, false), 0);
	assert_int_equal(tell(&c, LACK, 0, 0), 0);
	assert_int_equal(tell(&c, PEEK, 20, 0), BUS);
	assert_int_equal(tell(&c, LOAD_WHILE_HOME_STOPS, 0, 0), 0);
	assert_int_equal(tell(&c, PEEK, 20, 0), BUS);
	assert_int_equal(tell(&c, LOAD, 0, 0), 0);
	assert_int_equal(tell(&c, PEEK, 20, 0), stamp(20));
	assert_int_equal(tell(&c, PEEK, 21, 0), stamp(21));
	end_child(&c);
}

static void a_grandchild_is_told_too_and_outlives_its_parent(void **state)
{
	struct child c = make_child(), g;

	assert_int_equal(convert(1, 1, true), 0);
	g = make_grandchild(&c);
	assert_int_equal(tell(&g, PEEK, 1, 0), BUS);
	assert_int_equal(tell(&g, PEEK, 2, 0), stamp(2));
	assert_int_equal(convert(2, 1, true), 0);
	assert_int_equal(tell(&g, PEEK, 2, 0), BUS);
	assert_int_equal(tell(&c, PEEK, 2, 0), BUS);
	assert_int_equal(tell(&g, SHARED, 1, 1), 0);
	assert_int_equal(peek(1), stamp(1));
	assert_int_equal(tell(&c, PEEK, 1, 0), stamp(1));
	kill(g.pid, SIGKILL);
	assert_int_equal(convert(3, 1, true), 0);
	assert_int_equal(tell(&c, PEEK, 3, 0), BUS);
	close(g.sock);
	end_child(&c);
}

static void eight_children(void **state)
{
	struct child c[8];

	for (int i = 0; i < 8; i++)
		c[i] = make_child();
	assert_int_equal(convert(0, NR_PAGES, true), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(tell(&c[i], PEEK, (uint64_t)i * 100, 0), BUS);
	assert_int_equal(tell(&c[3], SHARED, 0, NR_PAGES), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(tell(&c[i], PEEK, (uint64_t)i * 100, 0), stamp((uint64_t)i * 100));
	for (int i = 0; i < 8; i++)
		end_child(&c[i]);
}

static void children_come_and_go_beside_conversions(void **state)
{
	uint64_t end = os_clock_ns() + 2000000000;
	unsigned int nr = 0;

	while (os_clock_ns() < end) {
		struct child c = make_child();
		uint64_t page = nr++ % NR_PAGES;

		/* While it starts. */
		assert_int_equal(convert(page, 1, true), 0);
		assert_int_equal(tell(&c, PEEK, page, 0), BUS);
		assert_int_equal(convert(page, 1, false), 0);
		assert_int_equal(tell(&c, PEEK, page, 0), stamp(page));
		end_child(&c);
	}
	assert_true(nr > 50);
}

static void without_windows_a_child_asks_when_it_needs(void **state)
{
	struct child c;

	assert_int_equal(host_map_munmap(map, (uintptr_t)window, SIZE), 0);
	assert_int_equal(convert(4, 1, true), 0);
	c = make_child();
	assert_int_equal(convert(5, 1, true), 0);
	assert_int_equal(tell(&c, QUERY, 0, NR_PAGES), 2);
	assert_int_equal(tell(&c, SHARED, 4, 1), 0);
	assert_int_equal(nr_private(0, NR_PAGES), 1);
	end_child(&c);
	map_window();
}

/* The one that pins says no before anything is hidden. */
static void what_a_child_has_pinned_stays_shared(void **state)
{
	struct gmem_refused refused[4];
	struct gmem_conversion c = { .offset = 8 * PAGE,
				     .size = 16 * PAGE,
				     .attributes = ATTR_PRIVATE,
				     .refused = refused,
				     .max_refused = 4 };
	struct child a = make_child(), b = make_child();

	assert_int_equal(tell(&a, PIN, 10, 2), 0);
	assert_int_equal(tell(&b, PIN, 14, 1), 0);
	assert_int_equal(host_file_convert(file, &c), -EAGAIN);
	assert_int_equal(c.error_offset, 10 * PAGE);
	assert_int_equal(c.nr_refused, 2);
	assert_int_equal(refused[0].offset, 10 * PAGE);
	assert_int_equal(refused[0].size, 2 * PAGE);
	assert_int_equal(refused[1].offset, 14 * PAGE);
	assert_int_equal(nr_private(0, NR_PAGES), 0);
	assert_int_equal(tell(&a, PEEK, 8, 0), stamp(8));
	assert_int_equal(tell(&b, UNPIN, 0, 0), 0);
	assert_int_equal(tell(&b, PRIVATE, 14, 1), 0);
	assert_int_equal(tell(&a, UNPIN, 0, 0), 0);
	assert_int_equal(convert(8, 16, true), 0);
	assert_int_equal(tell(&a, PEEK, 10, 0), BUS);
	end_child(&a);
	end_child(&b);
}

/* A pin at home does not keep the others from being asked: theirs may be lower, and all are wanted. */
static void pins_at_home_and_in_a_child_are_told_in_one_call(void **state)
{
	struct gmem_refused refused[4];
	struct gmem_conversion c = { .offset = 8 * PAGE,
				     .size = 16 * PAGE,
				     .attributes = ATTR_PRIVATE,
				     .refused = refused,
				     .max_refused = 4 };
	struct child a = make_child();
	struct pin *own;

	assert_int_equal(tell(&a, PIN, 10, 2), 0);
	assert_int_equal(pin_intend(file, 14 * PAGE, PAGE, &own), 0);
	assert_int_equal(host_file_convert(file, &c), -EAGAIN);
	assert_int_equal(c.error_offset, 10 * PAGE);
	assert_int_equal(c.nr_refused, 2);
	assert_int_equal(refused[0].offset, 10 * PAGE);
	assert_int_equal(refused[1].offset, 14 * PAGE);
	pin_drop(own);
	end_child(&a);
}

/* More than one message has room for. */
static void all_refusals_reach_a_child_that_asked(void **state)
{
	struct child a = make_child();

	assert_int_equal(pin_every_second(100, 400), 0);
	assert_int_equal(tell(&a, PRIVATE_REFUSED_AS_EVERY_SECOND, 100, 399), 1);
	assert_int_equal(tell(&a, PRIVATE_REFUSED_AS_EVERY_SECOND, 100, 127), 1);
	assert_int_equal(tell(&a, PRIVATE_REFUSED_AS_EVERY_SECOND, 100, 129), 1);
	assert_int_equal(tell(&a, PRIVATE, 101, 1), 0);
	end_child(&a);
}

static void all_pins_of_children_are_known(void **state)
{
	struct child a = make_child(), b = make_child();

	assert_int_equal(tell(&a, PIN_EVERY_SECOND, 100, 400), 0);
	assert_int_equal(refused_as_every_second(100, 399), 1);
	assert_int_equal(tell(&b, PRIVATE_REFUSED_AS_EVERY_SECOND, 100, 399), 1);
	end_child(&a);
	assert_int_equal(convert(100, 400, true), 0);
	end_child(&b);
}

/* The same as when the home itself is gone. */
static void a_file_that_its_home_has_let_go_of_is_eio(void **state)
{
	struct child a = make_child();

	assert_int_equal(family_teardown(state), 0);
	assert_int_equal(tell(&a, PRIVATE, 1, 1), -EIO);
	assert_int_equal(tell(&a, QUERY, 0, NR_PAGES), 0);
	assert_int_equal(family_setup(state), 0);
	end_child(&a);
}

/* Asked where nothing has changed. */
static void a_signal_ends_a_request(void **state)
{
	struct child c = make_child();

	assert_int_equal(tell(&c, PRIVATE_WITH_SIGNAL, 3, 1), -EINTR);
	assert_int_equal(nr_private(0, NR_PAGES), 0);
	assert_int_equal(tell(&c, PEEK, 3, 0), stamp(3));
	assert_int_equal(tell(&c, PRIVATE, 3, 1), 0);
	assert_int_equal(tell(&c, PEEK, 3, 0), BUS);
	end_child(&c);
}

#define STORM_NS 1900000000ull

/* One that is forked by who has not been told yet must be told as well. */
static void a_grandchild_is_made_while_a_page_is_hidden(void **state)
{
	struct child c = make_child();
	uint64_t start = os_clock_ns(), ran = 0;

	atomic_store(&stage->storm_over, false);
	give_order(&c, FORK_STORM, 7, 1, -1);
	/* Longer where a fork takes long. */
	for (; ran < STORM_NS || (ran < 10 * STORM_NS && atomic_load(&stage->nr_looks) <= 100);
	     ran = os_clock_ns() - start) {
		assert_int_equal(convert(7, 1, true), 0);
		atomic_fetch_add(&stage->hidden, 1);
		usleep(300);
		atomic_fetch_add(&stage->hidden, 1);
		assert_int_equal(convert(7, 1, false), 0);
	}
	atomic_store(&stage->storm_over, true);
	assert_int_equal(answer(&c), 0);
	assert_true(atomic_load(&stage->nr_looks) > 100);
	end_child(&c);
}

static void how_long_it_takes(void **state)
{
	uint64_t start, best[3] = { ~0ull, ~0ull, ~0ull };
	struct child c[8];
	int nr = 0;

	for (int step = 0; step < 3; step++) {
		for (; nr < (step == 0 ? 0 : step == 1 ? 1 : 8); nr++)
			c[nr] = make_child();
		for (int i = 0; i < 2000; i++) {
			uint64_t ns;

			start = os_clock_ns();
			assert_int_equal(convert(7, 1, true), 0);
			ns = os_clock_ns() - start;
			if (ns < best[step])
				best[step] = ns;
			assert_int_equal(convert(7, 1, false), 0);
		}
	}
	print_message(
		"to private, one page, best of 2000: alone %lu ns, 1 child %lu ns, 8 children "
		"%lu ns\n",
		best[0], best[1], best[2]);
	while (nr)
		end_child(&c[--nr]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_child_sees_what_is_shared_and_nothing_else),
		T(conversions_reach_a_child_before_they_return),
		T(a_child_converts_for_all),
		T(a_punch_of_a_child_is_seen_at_home),
		T(what_could_not_be_shown_does_not_stay_hidden),
		T(a_grandchild_is_told_too_and_outlives_its_parent),
		T(eight_children),
		T(children_come_and_go_beside_conversions),
		T(without_windows_a_child_asks_when_it_needs),
		T(what_a_child_has_pinned_stays_shared),
		T(pins_at_home_and_in_a_child_are_told_in_one_call),
		T(all_refusals_reach_a_child_that_asked),
		T(all_pins_of_children_are_known),
		T(a_file_that_its_home_has_let_go_of_is_eio),
		T(a_signal_ends_a_request),
		T(a_grandchild_is_made_while_a_page_is_hidden),
		T(how_long_it_takes),
	};

	return cmocka_run_group_tests(tests, family_start, NULL);
}
