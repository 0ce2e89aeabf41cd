/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pages of a memfd that real pipes hold. */
#include "pins_t.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_page_is_pinned_until_its_last_byte_is_read(void **state)
{
	int p[2];

	make_pipe(p);
	GIVE(p[1], 5, 6, 20);
	assert_string_equal(pinned(), "5+2 20+1");
	drain(p[0], PAGE - 1);
	assert_string_equal(pinned(), "5+2 20+1");
	drain(p[0], 1);
	assert_string_equal(pinned(), "6+1 20+1");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "20+1");
	assert_true(pipes_any());
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "");
	assert_false(pipes_any());
	close_pipe(p);
}

static void a_run_of_pages_is_let_go_from_its_front(void **state)
{
	struct pipe_piece run = { &file, 5 * PAGE + 100, 3 * PAGE };
	struct iovec iov = { window + run.offset, run.size };
	struct pipe_push *push;
	int p[2];

	make_pipe(p);
	assert_int_equal(pipe_push_begin(p[1], &run, 1, &push), 0);
	assert_int_equal(vmsplice(p[1], &iov, 1, 0), run.size);
	pipe_push_end(push, (int64_t)run.size);
	assert_string_equal(pinned(), "5+4");
	drain(p[0], PAGE - 101);
	assert_string_equal(pinned(), "5+4");
	drain(p[0], 1);
	assert_string_equal(pinned(), "6+3");
	drain(p[0], 2 * PAGE);
	assert_string_equal(pinned(), "8+1");
	drain(p[0], 100);
	assert_string_equal(pinned(), "");
	close_pipe(p);
}

static void a_page_that_is_there_twice_is_pinned_twice(void **state)
{
	int p[2];

	make_pipe(p);
	GIVE(p[1], 5, 6);
	GIVE(p[1], 5);
	drain(p[0], 2 * PAGE);
	assert_string_equal(pinned(), "5+1");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "");
	close_pipe(p);
}

static void other_memory_in_the_same_call_has_its_place(void **state)
{
	int p[2];

	make_pipe(p);
	GIVE(p[1], -1, 5, -1, 7);
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "5+1 7+1");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "7+1");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "7+1");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "");
	close_pipe(p);
}

static void what_was_there_before_does_not_count(void **state)
{
	int p[2];

	make_pipe(p);
	assert_int_equal(write(p[1], "hello", 5), 5);
	GIVE(p[1], 5, 6);
	drain(p[0], 5);
	assert_string_equal(pinned(), "5+2");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "6+1");
	close_pipe(p);
}

static void what_others_write_after_keeps_pages_until_the_pipe_is_empty(void **state)
{
	int p[2];

	make_pipe(p);
	GIVE(p[1], 5);
	assert_int_equal(write(p[1], "hello", 5), 5);
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "5+1");
	drain(p[0], 5);
	assert_string_equal(pinned(), "");
	close_pipe(p);
}

static void a_closed_pipe_pins_nothing(void **state)
{
	int p[2];

	make_pipe(p);
	GIVE(p[1], 5);
	close(p[1]);
	assert_string_equal(pinned(), "5+1");
	close(p[0]);
	assert_string_equal(pinned(), "");
	assert_int_equal(nr_of_our_descriptors(), 0);
}

static void a_reader_meets_the_end_and_a_writer_the_missing_reader(void **state)
{
	int p[2];
	char c;

	make_pipe(p);
	GIVE(p[1], 5);
	assert_string_equal(pinned(), "5+1");
	drain(p[0], PAGE);
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 0);
	close(p[0]);
	make_pipe(p);
	GIVE(p[1], 5);
	assert_string_equal(pinned(), "5+1");
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(write(p[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(p[1]);
}

static void a_call_that_fails_or_is_short_leaves_the_rest_alone(void **state)
{
	static const int two[] = { 5, 6 };
	int p[2], null = open("/dev/null", O_RDWR);

	make_pipe(p);
	assert_int_equal(fcntl(p[1], F_SETPIPE_SZ, PAGE), PAGE);
	assert_int_equal(give(p[1], two, 2, SPLICE_F_NONBLOCK), PAGE);
	assert_string_equal(pinned(), "5+1");
	assert_int_equal(give(p[1], two + 1, 1, SPLICE_F_NONBLOCK), -1);
	assert_int_equal(errno, EAGAIN);
	assert_string_equal(pinned(), "5+1");
	assert_int_equal(give(null, two, 2, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_string_equal(pinned(), "5+1");
	close(null);
	close_pipe(p);
}

static void pages_are_followed_from_pipe_to_pipe(void **state)
{
	int a[2], b[2];

	make_pipe(a);
	make_pipe(b);
	GIVE(a[1], 5);
	assert_int_equal(move(a[0], b[1], PAGE, false), PAGE);
	assert_string_equal(pinned(), "5+1");
	close_pipe(a);
	assert_string_equal(pinned(), "5+1");
	drain(b[0], PAGE - 1);
	assert_string_equal(pinned(), "5+1");
	drain(b[0], 1);
	assert_string_equal(pinned(), "");
	close_pipe(b);
}

/* Which page went is not known, since others may have taken some. */
static void a_part_that_goes_on_keeps_the_rest_until_it_is_out(void **state)
{
	int a[2], b[2];

	make_pipe(a);
	make_pipe(b);
	GIVE(a[1], 5, 6);
	assert_int_equal(move(a[0], b[1], PAGE, false), PAGE);
	drain(a[0], PAGE);
	assert_string_equal(pinned(), "5+2");
	GIVE(b[1], 30);
	drain(b[0], PAGE);
	assert_string_equal(pinned(), "30+1");
	close_pipe(a);
	close_pipe(b);
}

static void tee_pins_a_second_time(void **state)
{
	int a[2], b[2], c[2];

	make_pipe(a);
	make_pipe(b);
	make_pipe(c);
	GIVE(a[1], 5);
	assert_int_equal(move(a[0], b[1], PAGE, true), PAGE);
	assert_int_equal(move(b[0], c[1], PAGE, true), PAGE);
	drain(a[0], PAGE);
	assert_string_equal(pinned(), "5+1");
	drain(c[0], PAGE);
	assert_string_equal(pinned(), "5+1");
	drain(b[0], PAGE);
	assert_string_equal(pinned(), "");
	close_pipe(a);
	close_pipe(b);
	close_pipe(c);
}

static void into_a_file_is_out_of_the_pipe(void **state)
{
	int a[2], out = (int)syscall(SYS_memfd_create, "out", 0);

	make_pipe(a);
	GIVE(a[1], 5);
	assert_int_equal(move(a[0], out, PAGE, false), PAGE);
	assert_string_equal(pinned(), "");
	assert_false(pins_unseen_possible());
	close(out);
	close_pipe(a);
}

/* ---- calls that wait ----------------------------------------------------------------------- */

/* The thread has nothing else to do than the call that waits. */
static void until_asleep(void)
{
	usleep(50000);
}

struct giving {
	int fd, pages[2];
	uint32_t nr;
};

static void *give_in_thread(void *arg)
{
	struct giving *g = arg;

	return (void *)give(g->fd, g->pages, g->nr, 0);
}

static void a_call_that_waits_for_room_pins_and_blocks_nobody(void **state)
{
	struct giving g = { .pages = { 8, 9 }, .nr = 2 };
	pthread_t thread;
	void *ret;
	int p[2];

	make_pipe(p);
	assert_int_equal(fcntl(p[1], F_SETPIPE_SZ, PAGE), PAGE);
	g.fd = p[1];
	GIVE(p[1], 5);
	assert_int_equal(pthread_create(&thread, NULL, give_in_thread, &g), 0);
	until_asleep();
	assert_string_equal(pinned(), "5+1 8+2");
	drain(p[0], PAGE);
	pthread_join(thread, &ret);
	assert_int_equal((intptr_t)ret, PAGE);
	assert_string_equal(pinned(), "8+1");
	close_pipe(p);
}

struct moving {
	int in, out;
	size_t size;
};

static void *move_in_thread(void *arg)
{
	struct moving *m = arg;

	return (void *)move(m->in, m->out, m->size, false);
}

static void what_comes_while_a_splice_waits_is_followed(void **state)
{
	int a[2], b[2], c[2];
	struct moving m[2];
	pthread_t thread[2];
	void *ret;

	make_pipe(a);
	make_pipe(b);
	make_pipe(c);
	m[0] = (struct moving){ a[0], b[1], PAGE };
	m[1] = (struct moving){ b[0], c[1], PAGE };
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, move_in_thread, &m[i]), 0);
	until_asleep();
	GIVE(a[1], 5);
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], &ret);
		assert_int_equal((intptr_t)ret, PAGE);
	}
	close_pipe(a);
	close_pipe(b);
	assert_string_equal(pinned(), "5+1");
	drain(c[0], PAGE);
	assert_string_equal(pinned(), "");
	close_pipe(c);
}

/* Two pipes that are emptied into each other: nothing goes round for ever. */
static void a_circle_of_splices_ends(void **state)
{
	struct pipe_pass *pass[3];
	int a[2], b[2];

	make_pipe(a);
	make_pipe(b);
	assert_int_equal(pipe_pass_begin(a[0], b[1], &pass[0]), 0);
	assert_int_equal(pipe_pass_begin(b[0], a[1], &pass[1]), 0);
	assert_int_equal(pipe_pass_begin(a[0], a[1], &pass[2]), 0);
	GIVE(a[1], 5);
	assert_string_equal(pinned(), "5+1");
	for (int i = 0; i < 3; i++)
		pipe_pass_end(pass[i], -EAGAIN);
	drain(a[0], PAGE);
	assert_string_equal(pinned(), "");
	close_pipe(a);
	close_pipe(b);
}

/* Which of two calls at the same time came first, nobody knows. */
static void overlapping_calls_end_together(void **state)
{
	struct pipe_piece x = { &file, 5 * PAGE, PAGE }, y = { &file, 9 * PAGE, PAGE };
	struct pipe_push *first, *second;
	struct iovec iov = { .iov_len = PAGE };
	int p[2];

	make_pipe(p);
	GIVE(p[1], 30);
	assert_int_equal(pipe_push_begin(p[1], &x, 1, &first), 0);
	assert_int_equal(pipe_push_begin(p[1], &y, 1, &second), 0);
	iov.iov_base = window + 9 * PAGE;
	assert_int_equal(vmsplice(p[1], &iov, 1, 0), PAGE);
	iov.iov_base = window + 5 * PAGE;
	assert_int_equal(vmsplice(p[1], &iov, 1, 0), PAGE);
	pipe_push_end(first, PAGE);
	assert_string_equal(pinned(), "5+1 9+1 30+1");
	pipe_push_end(second, PAGE);
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "5+1 9+1");
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "5+1 9+1");
	GIVE(p[1], 40);
	drain(p[0], PAGE);
	assert_string_equal(pinned(), "40+1");
	close_pipe(p);
}

static void a_call_that_ended_unseen_is_over_when_the_pipe_is_empty(void **state)
{
	struct pipe_piece x = { &file, 5 * PAGE, PAGE };
	struct pipe_push *push;
	int p[2];

	make_pipe(p);
	assert_int_equal(pipe_push_begin(p[1], &x, 1, &push), 0);
	assert_int_equal(write(p[1], "some of it", 10), 10);
	pipe_push_end(push, PIPE_RESULT_LOST);
	assert_string_equal(pinned(), "5+1");
	drain(p[0], 10);
	assert_string_equal(pinned(), "");
	close_pipe(p);
}

/* ---- what is kept -------------------------------------------------------------------------- */

static void pipes_that_nobody_asks_after_are_let_go(void **state)
{
	int p[2];

	for (int i = 0; i < 200; i++) {
		make_pipe(p);
		GIVE(p[1], 5);
		close_pipe(p);
	}
	assert_in_range(nr_of_our_descriptors(), 0, 40);
	make_pipe(p);
	for (int i = 0; i < 2000; i++) {
		GIVE(p[1], 5);
		drain(p[0], PAGE);
	}
	assert_in_range(file.pins.nr, 0, 120);
	close_pipe(p);
	assert_string_equal(pinned(), "");
}

static void without_a_descriptor_the_call_is_refused(void **state)
{
	struct pipe_piece x = { &file, 5 * PAGE, PAGE };
	struct pipe_push *push;
	int p[2], used[64], nr = 0;
	struct rlimit old, small;

	make_pipe(p);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	small = old;
	small.rlim_cur = 32;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	while (nr < 64 && (used[nr] = dup(p[0])) >= 0)
		nr++;
	assert_int_equal(pipe_push_begin(p[1], &x, 1, &push), -ENOMEM);
	while (nr)
		close(used[--nr]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_string_equal(pinned(), "");
	close_pipe(p);
}

static void a_child_has_no_pins_and_its_parent_keeps_them(void **state)
{
	struct pin *held = intend(20 * PAGE, PAGE);
	int p[2], status;
	pid_t pid;

	make_pipe(p);
	GIVE(p[1], 5);
	pins_before_fork();
	pid = fork();
	if (!pid) {
		bool right;

		pins_after_fork_in_child();
		right = !file.pins.nr && !pipes_any() && !nr_of_our_descriptors();
		GIVE(p[1], 6);
		right = right && !strcmp(pinned(), "6+1");
		pin_drop(held);
		_exit(right ? 0 : 1);
	}
	pins_after_fork_in_parent();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(pinned(), "5+1 20+1");
	pin_drop(held);
	close_pipe(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pins_setup, pins_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_page_is_pinned_until_its_last_byte_is_read),
		TEST(a_run_of_pages_is_let_go_from_its_front),
		TEST(a_page_that_is_there_twice_is_pinned_twice),
		TEST(other_memory_in_the_same_call_has_its_place),
		TEST(what_was_there_before_does_not_count),
		TEST(what_others_write_after_keeps_pages_until_the_pipe_is_empty),
		TEST(a_closed_pipe_pins_nothing),
		TEST(a_reader_meets_the_end_and_a_writer_the_missing_reader),
		TEST(a_call_that_fails_or_is_short_leaves_the_rest_alone),
		TEST(pages_are_followed_from_pipe_to_pipe),
		TEST(a_part_that_goes_on_keeps_the_rest_until_it_is_out),
		TEST(tee_pins_a_second_time),
		TEST(into_a_file_is_out_of_the_pipe),
		TEST(a_call_that_waits_for_room_pins_and_blocks_nobody),
		TEST(what_comes_while_a_splice_waits_is_followed),
		TEST(a_circle_of_splices_ends),
		TEST(overlapping_calls_end_together),
		TEST(a_call_that_ended_unseen_is_over_when_the_pipe_is_empty),
		TEST(pipes_that_nobody_asks_after_are_let_go),
		TEST(without_a_descriptor_the_call_is_refused),
		TEST(a_child_has_no_pins_and_its_parent_keeps_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
