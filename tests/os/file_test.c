/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Files, descriptors and mappings of our own. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "os/os.h"
#include "os/sanitize.h"

#define PAGE OS_PAGE_SIZE
#define RW (OS_MAP_READ | OS_MAP_WRITE)

static int memfd(uint64_t size)
{
	int fd = -1;

	assert_int_equal(os_memfd_create("gmem-test", size, &fd), 0);
	return fd;
}

static void our_descriptors_are_high_and_cloexec(void **state)
{
	struct rlimit limit;
	int low = dup(0);
	int fd = memfd(PAGE);
	struct stat st;

	getrlimit(RLIMIT_NOFILE, &limit);
	assert_true(fd >= 256 || (rlim_t)fd >= limit.rlim_cur / 2);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, PAGE);
	assert_true(os_fd_is_ours(fd));
	assert_false(os_fd_is_ours(low));
	assert_false(os_fd_is_ours(-1));
	assert_false(os_fd_is_ours(INT32_MAX));
	/* The number it had on the way is free. */
	assert_int_equal(dup(0), low + 1);
	close(low + 1);
	close(low);
	os_fd_close(fd);
	assert_false(os_fd_is_ours(fd));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static int with_a_small_limit(void)
{
	struct rlimit limit = { 32, 32 };
	int fds[64];
	int nr = 0;
	int err;

	setrlimit(RLIMIT_NOFILE, &limit);
	if (os_memfd_create("a", PAGE, &fds[0]) || fds[0] < 16)
		return 1;
	/* The program has taken the rest: we take what is left, and say when there is none. */
	for (nr = 1; !(err = os_memfd_create("b", PAGE, &fds[nr])); nr++)
		;
	if (err != -EMFILE || fds[nr] != -1 || nr < 20)
		return 2;
	os_fd_close(fds[5]);
	return os_memfd_create("c", PAGE, &fds[5]) ? 3 : 0;
}

static void a_small_limit_is_lived_with(void **state)
{
	assert_true(exited_with(in_child(with_a_small_limit), 0));
}

static int close_a_foreign_one(void)
{
	os_fd_close(0);
	return 0;
}

static void only_our_own_are_closed(void **state)
{
	assert_true(died_of(in_child(close_a_foreign_one), SIGABRT));
}

static void a_file_is_backed_and_punched(void **state)
{
	int fd = memfd(64 * PAGE);
	uint64_t bytes = 1;

	assert_int_equal(os_file_backed(fd, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(os_file_allocate(fd, PAGE, 10 * PAGE), 0);
	assert_int_equal(os_file_backed(fd, &bytes), 0);
	assert_int_equal(bytes, 10 * PAGE);
	assert_int_equal(os_file_punch(fd, 2 * PAGE, 3 * PAGE), 0);
	assert_int_equal(os_file_backed(fd, &bytes), 0);
	assert_int_equal(bytes, 7 * PAGE);
	assert_int_equal(os_file_resize(fd, 4 * PAGE), 0);
	assert_int_equal(os_file_backed(fd, &bytes), 0);
	assert_int_equal(bytes, PAGE);
	assert_int_equal(os_file_allocate(fd, 0, 0), -EINVAL);
	os_fd_close(fd);
}

/* Pages of address space; the sanitizers take their own besides. */
static long address_space(void)
{
	FILE *f;
	long nr = 0;

	if (OS_ASAN || OS_TSAN)
		return 0;
	f = fopen("/proc/self/statm", "r");
	assert_int_equal(fscanf(f, "%ld", &nr), 1);
	fclose(f);
	return nr;
}

static void a_mapping_is_aligned_and_nothing_else_stays(void **state)
{
	static const size_t aligns[] = { 0, PAGE, 2 << 20, 1 << 30 };
	int fd = memfd(8 * PAGE);
	long before = address_space();
	unsigned int i;
	void *map;

	before = address_space(); /* now stdio has its buffers */
	for (i = 0; i < 4; i++) {
		assert_int_equal(os_map_file(fd, PAGE, 3 * PAGE, aligns[i], RW, &map), 0);
		if (aligns[i])
			assert_int_equal((uintptr_t)map % aligns[i], 0);
		memset(map, 5, 3 * PAGE);
		assert_int_equal(address_space(), before ? before + 3 : 0);
		os_unmap(map, 3 * PAGE);
		assert_int_equal(os_populate(map, PAGE, false), -EFAULT);
	}
	assert_int_equal(os_map_file(-1, 0, PAGE, 0, RW, &map), -EBADF);
	assert_int_equal(os_map_file(-1, 0, PAGE, 2 << 20, RW, &map), -EBADF);
	assert_int_equal(os_map_file(fd, 0, SIZE_MAX / 2, 1 << 30, RW, &map), -ENOMEM);
	assert_int_equal(address_space(), before);
	os_fd_close(fd);
}

static uint8_t *hidden, *plain;

static int look_at_plain(void)
{
	return plain[0];
}

static int look_at_hidden(void)
{
	return hidden[0];
}

static void hidden_mappings_stay_out_of_children(void **state)
{
	void *map;

	assert_int_equal(os_map_anon(PAGE, RW, &map), 0);
	plain = map;
	assert_int_equal(os_map_anon(PAGE, RW | OS_MAP_HIDDEN, &map), 0);
	hidden = map;
	plain[0] = hidden[0] = 7;
	assert_true(exited_with(in_child(look_at_plain), 7));
	assert_true(died_of(in_child(look_at_hidden), SIGSEGV));
	os_unmap(plain, PAGE);
	os_unmap(hidden, PAGE);
}

static void populate_says_what_cannot_be_touched(void **state)
{
	int fd = memfd(2 * PAGE);
	uint64_t bytes;
	void *map;

	assert_int_equal(os_map_file(fd, 0, 4 * PAGE, 0, RW, &map), 0);
	assert_int_equal(os_populate((char *)map + 5, PAGE, true), 0);
	assert_int_equal(os_file_backed(fd, &bytes), 0);
	assert_int_equal(bytes, 2 * PAGE);
	assert_int_equal(os_populate((char *)map + PAGE, 2 * PAGE, false), -EFAULT);
	os_unmap(map, 4 * PAGE);
	assert_int_equal(os_map_file(fd, 0, PAGE, 0, OS_MAP_READ, &map), 0);
	assert_int_equal(os_populate(map, PAGE, false), 0);
	assert_int_equal(os_populate(map, PAGE, true), -EFAULT);
	os_unmap(map, PAGE);
	os_fd_close(fd);
}

static void an_eventfd_is_signalled(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t value;

	assert_int_equal(os_eventfd_signal(fd), 0);
	assert_int_equal(os_eventfd_signal(fd), 0);
	assert_int_equal(read(fd, &value, 8), 8);
	assert_int_equal(value, 2);
	close(fd);
	assert_int_equal(os_eventfd_signal(fd), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_descriptors_are_high_and_cloexec),
		cmocka_unit_test(a_small_limit_is_lived_with),
		cmocka_unit_test(only_our_own_are_closed),
		cmocka_unit_test(a_file_is_backed_and_punched),
		cmocka_unit_test(a_mapping_is_aligned_and_nothing_else_stays),
		cmocka_unit_test(hidden_mappings_stay_out_of_children),
		cmocka_unit_test(populate_says_what_cannot_be_touched),
		cmocka_unit_test(an_eventfd_is_signalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
