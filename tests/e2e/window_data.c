/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every system call that moves data meets EFAULT at a private page, and nothing moves: neither out of the page
 * nor into it. A call that has shared pages before the private one does those, as at the end of a mapping.
 */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Page 8 is private and holds 9 all over; 7 is shared. */
#define PRIVATE 8

static int ends[2];

#define EXPECT_FAULT(call)                       \
	do {                                     \
		errno = 0;                       \
		assert_int_equal((call), -1);    \
		assert_int_equal(errno, EFAULT); \
	} while (0)

static uint8_t *private_page(struct window *w)
{
	return w->map + PRIVATE * PAGE;
}

static int setup(void **state)
{
	window_setup(state);
	window_hide(*state, PRIVATE, 1);
	return pipe2(ends, O_CLOEXEC);
}

/* Nothing has come into the page. */
static int teardown(void **state)
{
	struct window *w = *state;

	close(ends[0]);
	close(ends[1]);
	expect_hidden(private_page(w));
	window_show(w, PRIVATE, 1);
	expect_shown(private_page(w), PRIVATE + 1);
	return window_teardown(state);
}

static void fill_pipe(size_t size)
{
	char data[2 * PAGE] = { 0 };

	assert_int_equal(write(ends[1], data, size), size);
}

static void read_and_write(void **state)
{
	uint8_t *p = private_page(*state);
	struct iovec one = { p, 16 };

	fill_pipe(16);
	EXPECT_FAULT(read(ends[0], p, 16));
	EXPECT_FAULT(readv(ends[0], &one, 1));
	EXPECT_FAULT(syscall(SYS_read, ends[0], p, 16));
	EXPECT_FAULT(write(ends[1], p, 16));
	EXPECT_FAULT(writev(ends[1], &one, 1));
	EXPECT_FAULT(write(ends[1], p + PAGE - 8, 16));
}

static void one_that_reaches_into_it_is_cut_short(void **state)
{
	uint8_t *p = private_page(*state), data[64] = { 0 };
	struct iovec two[2] = { { p - 8, 8 }, { p, 8 } };
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, p - 16, 32, 0), 16);
	assert_int_equal(pwritev(fd, two, 2, 16), 8);
	assert_int_equal(pread(fd, data, 64, 0), 24);
	assert_int_equal(data[0], PRIVATE);
	assert_int_equal(data[23], PRIVATE);
	memset(data, 77, 64);
	assert_int_equal(pwrite(fd, data, 64, 0), 64);
	assert_int_equal(pread(fd, p - 24, 48, 0), 24);
	assert_int_equal(preadv(fd, two, 2, 0), 8);
	assert_int_equal(p[-24], 77);
	assert_int_equal(p[-1], 77);
	memset(p - PAGE, PRIVATE, PAGE);
	close(fd);
}

static void pages_given_to_a_pipe(void **state)
{
	uint8_t *p = private_page(*state);
	struct iovec one = { p, PAGE };
	struct iovec two[2] = { { p - PAGE, PAGE }, { p, PAGE } };

	EXPECT_FAULT(vmsplice(ends[1], &one, 1, 0));
	EXPECT_FAULT(vmsplice(ends[1], &one, 1, SPLICE_F_GIFT));
	assert_int_equal(vmsplice(ends[1], two, 2, 0), PAGE);
}

static void memory_of_a_process(void **state)
{
	uint8_t *p = private_page(*state), buffer[16];
	struct iovec hidden = { p, 16 }, plain = { buffer, 16 };

	EXPECT_FAULT(process_vm_readv(getpid(), &plain, 1, &hidden, 1, 0));
	EXPECT_FAULT(process_vm_writev(getpid(), &plain, 1, &hidden, 1, 0));
	EXPECT_FAULT(process_vm_readv(getpid(), &hidden, 1, &plain, 1, 0));
	EXPECT_FAULT(process_vm_writev(getpid(), &hidden, 1, &plain, 1, 0));
}

static void memory_as_a_file(void **state)
{
	uint8_t *p = private_page(*state), buffer[16] = { 0 };
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	assert_true(mem >= 0);
	assert_int_equal(pread(mem, buffer, 16, (off_t)(uintptr_t)p), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(pwrite(mem, buffer, 16, (off_t)(uintptr_t)p), -1);
	assert_int_equal(errno, EIO);
	close(mem);
}

static void a_disk_past_the_page_cache(void **state)
{
	uint8_t *p = private_page(*state);
	char name[] = "/tmp/gmem-window-XXXXXX";
	int fd = mkstemp(name), direct;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	direct = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	unlink(name);
	EXPECT_FAULT(pread(fd, p, PAGE, 0));
	EXPECT_FAULT(pwrite(fd, p, PAGE, 0));
	if (direct >= 0) {
		EXPECT_FAULT(pread(direct, p, PAGE, 0));
		EXPECT_FAULT(pwrite(direct, p, PAGE, 0));
		assert_int_equal(pwrite(direct, p - PAGE, PAGE, 0), PAGE);
		close(direct);
	}
	close(fd);
}

static void locks_and_names(void **state)
{
	uint8_t *p = private_page(*state);
	struct timespec at_once = { 0 };

	EXPECT_FAULT(syscall(SYS_futex, p, FUTEX_WAIT, 0, &at_once, NULL, 0));
	EXPECT_FAULT(syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, 0, &at_once, NULL, 0));
	EXPECT_FAULT(syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0));
	EXPECT_FAULT(open((char *)p, O_RDONLY | O_CLOEXEC));
	EXPECT_FAULT(nanosleep((struct timespec *)(void *)p, NULL));
}

static void data_from_elsewhere(void **state)
{
	uint8_t *p = private_page(*state), c = 0;
	struct iovec one = { p, 8 };
	struct msghdr msg = { .msg_iov = &one, .msg_iovlen = 1 };
	struct stat st;
	int pair[2];

	EXPECT_FAULT(getrandom(p, 16, 0));
	EXPECT_FAULT(syscall(SYS_getcwd, p, 64));
	EXPECT_FAULT(syscall(SYS_fstat, ends[0], p));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	EXPECT_FAULT(send(pair[0], p, 8, 0));
	EXPECT_FAULT(sendmsg(pair[0], &msg, 0));
	assert_int_equal(send(pair[0], &c, 1, 0), 1);
	EXPECT_FAULT(recv(pair[1], p, 8, 0));
	EXPECT_FAULT(recvmsg(pair[1], &msg, 0));
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(fstat(ends[0], &st), 0);
}

int main(int argc, char **argv)
{
#define DATA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		DATA_TEST(read_and_write),	  DATA_TEST(one_that_reaches_into_it_is_cut_short),
		DATA_TEST(pages_given_to_a_pipe), DATA_TEST(memory_of_a_process),
		DATA_TEST(memory_as_a_file),	  DATA_TEST(a_disk_past_the_page_cache),
		DATA_TEST(locks_and_names),	  DATA_TEST(data_from_elsewhere),
	};

	window_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
