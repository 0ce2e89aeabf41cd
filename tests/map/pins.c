/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pins, and the pages of a memfd that real pipes hold. */
#include "map/pins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/host_file.h"
#include "map/pipes.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define NR_PAGES 64

/* ---- a file, as far as pins know one ------------------------------------------------------- */

static struct host_file file;
static char *window;
static char ranges[400];
static uint64_t live;

static int nr_of_our_descriptors(void)
{
	int nr = 0;

	for (int fd = os_fd_next(0); fd >= 0; fd = os_fd_next(fd + 1))
		nr++;
	return nr;
}

static int setup(void **state)
{
	memset(&file, 0, sizeof(file));
	file.size = NR_PAGES * PAGE;
	file.store_fd = (int)syscall(SYS_memfd_create, "store", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file.store_fd, NR_PAGES * PAGE), 0);
	window = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file.store_fd, 0);
	assert_ptr_not_equal(window, MAP_FAILED);
	live = os_alloc_live();
	return 0;
}

/* Whatever a test has left in pipes goes with the file. */
static int teardown(void **state)
{
	pins_release(&file);
	assert_int_equal(file.pins.nr, 0);
	assert_false(pipes_any());
	assert_int_equal(nr_of_our_descriptors(), 0);
	assert_int_equal(os_alloc_live(), live);
	munmap(window, NR_PAGES * PAGE);
	close(file.store_fd);
	return 0;
}

static void note(void *arg, uint64_t offset, uint64_t size)
{
	size_t used = strlen(ranges);

	assert_ptr_equal(arg, ranges);
	assert_int_equal(offset % PAGE | size % PAGE, 0);
	snprintf(ranges + used, sizeof(ranges) - used, "%s%u+%u", used ? " " : "",
		 (unsigned int)(offset / PAGE), (unsigned int)(size / PAGE));
}

static const char *pinned_in(uint64_t first, uint64_t nr)
{
	ranges[0] = 0;
	pins_check(&file, first * PAGE, nr * PAGE, note, ranges);
	return ranges;
}

static const char *pinned(void)
{
	return pinned_in(0, NR_PAGES);
}

/* ---- pins alone ---------------------------------------------------------------------------- */

static struct pin *intend(uint64_t offset, uint64_t size)
{
	struct pin *p;

	assert_int_equal(pin_intend(&file, offset, size, &p), 0);
	return p;
}

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

/* ---- pipes --------------------------------------------------------------------------------- */

static void make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void close_pipe(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

/* As the program's call is followed. page < 0: memory of another kind. */
static ssize_t give(int fd, const int *pages, uint32_t nr, unsigned int flags)
{
	static char other[PAGE];
	struct pipe_piece pieces[8];
	struct pipe_push *push;
	struct iovec iov[8];
	ssize_t ret;

	for (uint32_t i = 0; i < nr; i++) {
		bool is_other = pages[i] < 0;

		pieces[i].file = is_other ? NULL : &file;
		pieces[i].offset = is_other ? 0 : (uint64_t)pages[i] * PAGE;
		pieces[i].size = PAGE;
		iov[i].iov_base = is_other ? other : window + pieces[i].offset;
		iov[i].iov_len = PAGE;
	}
	assert_int_equal(pipe_push_begin(fd, pieces, nr, &push), 0);
	ret = vmsplice(fd, iov, nr, flags);
	pipe_push_end(push, ret < 0 ? -errno : ret);
	return ret;
}

#define GIVE(fd, ...)                                                                 \
	assert_int_equal(give(fd, (const int[]){ __VA_ARGS__ },                       \
			      sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int), 0), \
			 sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int) * PAGE)

static ssize_t move(int in, int out, size_t size, bool is_tee)
{
	struct pipe_pass *pass;
	ssize_t ret;

	assert_int_equal(pipe_pass_begin(in, out, &pass), 0);
	ret = is_tee ? tee(in, out, size, 0) : splice(in, NULL, out, NULL, size, 0);
	pipe_pass_end(pass, ret < 0 ? -errno : ret);
	return ret;
}

static void drain(int fd, size_t size)
{
	static char bytes[16 * PAGE];

	while (size) {
		ssize_t n = read(fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes));

		assert_true(n > 0);
		size -= (size_t)n;
	}
}

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
	assert_string_equal(pinned(), "");
	file.file = (struct gmem_file *)(void *)&file; /* at home */
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ranges_are_told_in_order_rounded_and_joined),
		TEST(a_short_call_keeps_what_it_took),
		TEST(many_pins_in_any_order_are_one_range),
		TEST(a_pin_outlives_its_file),
		TEST(a_page_is_pinned_until_its_last_byte_is_read),
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
		cmocka_unit_test_setup_teardown(a_page_in_a_socket_is_found_by_its_references,
						setup, teardown_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
