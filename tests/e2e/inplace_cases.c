/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The nine things that the series promises of conversion in place: who may touch a page follows its state, the
 * contents stay, whatever happened to the page before.
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void private_at_first(void **state)
{
	struct inplace t;

	inplace_make(&t, 1, PRIVATE_FIRST);
	expect_private(&t, 0, 0, 'a');
	inplace_set(&t, 0, 1, 0);
	expect_shared(&t, 0, 'a', 'b', 'c');
	inplace_set(&t, 0, 1, PRIVATE);
	expect_private(&t, 0, 'c', 'd');
	inplace_free(&t);
}

static void shared_at_first(void **state)
{
	struct inplace t;

	inplace_make(&t, 1, SHARED_FIRST);
	expect_shared(&t, 0, 0, 'a', 'b');
	inplace_set(&t, 0, 1, PRIVATE);
	expect_private(&t, 0, 'b', 'c');
	inplace_set(&t, 0, 1, 0);
	expect_shared(&t, 0, 'c', 'd', 'e');
	inplace_free(&t);
}

/* Only the page that was named changes. */
static void each_page_has_its_own_state(void **state)
{
	for (unsigned int page = 0; page < 4; page++) {
		struct inplace t;
		unsigned int i;

		inplace_make(&t, 4, SHARED_FIRST);
		for (i = 0; i < 4; i++)
			assert_int_equal(host_write(t.host + i * PAGE, (uint8_t)(0x10 + i)), 0);
		inplace_set(&t, page, 1, PRIVATE);
		for (i = 4; i-- > 0;) {
			uint8_t mark = (uint8_t)(0x10 + i);

			if (i == page)
				expect_private(&t, i, mark, (uint8_t)(mark + 0x20));
			else
				expect_shared(&t, i, mark, (uint8_t)(mark + 0x10),
					      (uint8_t)(mark + 0x20));
		}
		inplace_set(&t, page, 1, 0);
		for (i = 0; i < 4; i++)
			expect_shared(&t, i, (uint8_t)(0x30 + i), 1, 2);
		inplace_free(&t);
	}
}

static void to_private_before_anybody_has_touched_it(void **state)
{
	struct inplace t;

	inplace_make(&t, 1, SHARED_FIRST);
	inplace_set(&t, 0, 1, PRIVATE);
	expect_private(&t, 0, 0, 'a');
	inplace_free(&t);
}

static void to_shared_before_anybody_has_touched_it(void **state)
{
	struct inplace t;

	inplace_make(&t, 1, PRIVATE_FIRST);
	inplace_set(&t, 0, 1, 0);
	expect_shared(&t, 0, 0, 'a', 'b');
	inplace_free(&t);
}

/* One call over pages with and without memory. */
static void holes_are_converted_too(void **state)
{
	for (unsigned int page = 0; page < 8; page++) {
		struct inplace t;
		unsigned int i;

		inplace_make(&t, 8, SHARED_FIRST);
		assert_int_equal(host_write(t.host + page * PAGE, 'a'), 0);
		assert_int_equal(host_write(t.host + 4 * PAGE, 'a'), 0);
		inplace_set(&t, 0, 8, PRIVATE);
		for (i = 0; i < 8; i++)
			expect_private(&t, i, i == page || i == 4 ? 'a' : 0, (uint8_t)('b' + i));
		for (i = 0; i < 8; i++) {
			inplace_set(&t, i, 1, 0);
			expect_shared(&t, i, (uint8_t)('b' + i), 'y', 'z');
		}
		inplace_free(&t);
	}
}

static void a_punch_keeps_the_state(void **state)
{
	struct inplace t;
	uint8_t value = 1;

	inplace_make(&t, 1, SHARED_FIRST);
	expect_shared(&t, 0, 0, 'a', 'b');
	assert_int_equal(fallocate(t.fd, PUNCH, 0, PAGE), 0);
	assert_int_equal(host_read(t.host, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(host_write(t.host, 'c'), 0);
	inplace_set(&t, 0, 1, PRIVATE);
	expect_private(&t, 0, 'c', 'd');
	assert_int_equal(fallocate(t.fd, PUNCH, 0, PAGE), 0);
	expect_private(&t, 0, 0, 'e');
	inplace_free(&t);
}

/* ---- a forked child has the same pages --------------------------------------------------------- */

static void tell(int fd)
{
	assert_int_equal(write(fd, "", 1), 1);
}

static void await(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
}

/* Its own checks, since cmocka's asserts belong to the parent: 0 or which one failed. */
static int child_steps(struct inplace *t, int from_parent, int to_parent)
{
	uint8_t value = 0;

	if (host_read(t->host, &value) || value != 'b')
		return 1;
	if (host_write(t->host, 'c'))
		return 2;
	tell(to_parent);
	await(from_parent);
	if (host_read(t->host, &value) != SIGBUS)
		return 3;
	if (host_write(t->host, 'x') != SIGBUS)
		return 4;
	tell(to_parent);
	await(from_parent);
	if (host_read(t->host, &value) || value != 'd')
		return 5;
	return 0;
}

static void a_forked_child_loses_the_page_too(void **state)
{
	int to_child[2], to_parent[2], status;
	struct inplace t;
	pid_t child;

	inplace_make(&t, 1, SHARED_FIRST);
	expect_shared(&t, 0, 0, 'a', 'b');
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		_exit(child_steps(&t, to_child[0], to_parent[1]));
	await(to_parent[0]);
	inplace_set(&t, 0, 1, PRIVATE);
	expect_private(&t, 0, 'c', 'd');
	tell(to_child[1]);
	await(to_parent[0]);
	inplace_set(&t, 0, 1, 0);
	tell(to_child[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
	inplace_free(&t);
}

/* ---- a page that somebody holds ---------------------------------------------------------------- */

static void hold_page(int pipe_end, uint8_t *page)
{
	struct iovec v = { page, PAGE };

	assert_int_equal(vmsplice(pipe_end, &v, 1, 0), PAGE);
}

static void a_held_page_stays_shared_until_it_is_let_go(void **state)
{
	for (unsigned int held = 0; held < 4; held++) {
		int ends[2];
		struct inplace t;
		uint64_t where;
		unsigned int i;

		inplace_make(&t, 4, SHARED_FIRST);
		assert_int_equal(pipe(ends), 0);
		hold_page(ends[1], t.host + held * PAGE);
		for (i = 0; i < 4; i++)
			expect_shared(&t, i, 0, 'a', 'b');
		assert_int_equal(inplace_convert(t.fd, 0, 4 * PAGE, PRIVATE, &where), -EAGAIN);
		assert_int_equal(where, held * PAGE);
		/* Nothing has changed, anywhere in the range. */
		for (i = 0; i < 4; i++)
			expect_shared(&t, i, 'b', 'a', 'b');
		for (i = 0; i < 4; i++) {
			int r = inplace_convert(t.fd, i * PAGE, PAGE, PRIVATE, &where);

			assert_int_equal(r, i == held ? -EAGAIN : 0);
			assert_int_equal(where, i == held ? held * PAGE : UNTOLD);
			if (i != held)
				expect_private(&t, i, 'b', 'c');
		}
		close(ends[0]);
		close(ends[1]);
		inplace_set(&t, 0, 4, PRIVATE);
		for (i = 0; i < 4; i++)
			expect_private(&t, i, i == held ? 'b' : 'c', 'd');
		inplace_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(private_at_first),
		cmocka_unit_test(shared_at_first),
		cmocka_unit_test(each_page_has_its_own_state),
		cmocka_unit_test(to_private_before_anybody_has_touched_it),
		cmocka_unit_test(to_shared_before_anybody_has_touched_it),
		cmocka_unit_test(holes_are_converted_too),
		cmocka_unit_test(a_punch_keeps_the_state),
		cmocka_unit_test(a_forked_child_loses_the_page_too),
		cmocka_unit_test(a_held_page_stays_shared_until_it_is_let_go),
	};

	inplace_need();
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
