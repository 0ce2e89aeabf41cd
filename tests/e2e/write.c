/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* write() into a guest_memfd where the profile has it (argument "has"), and where it has not. */
#include "guest.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define NR_PAGES 8
#define SIZE (NR_PAGES * PAGE)

static struct guest g;

static int make(uint64_t flags)
{
	guest_make(&g, KVM_X86_DEFAULT_VM);
	return guest_gmem(&g, SIZE, flags);
}

static void end(int fd)
{
	close(fd);
	guest_free(&g);
}

static void contents_are_there(void **state)
{
	int fd = make(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	char text[] = "in the second page", two[2 * PAGE];
	struct iovec iov[2] = { { text, 4 }, { two, sizeof(two) } };
	char *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	memset(two, 't', sizeof(two));
	assert_int_equal(pwrite(fd, text, sizeof(text), PAGE + 10), sizeof(text));
	assert_string_equal(at + PAGE + 10, text);
	assert_int_equal(at[PAGE + 9], 0);
	assert_int_equal(lseek(fd, 3 * PAGE, SEEK_SET), 3 * PAGE);
	assert_int_equal(writev(fd, iov, 2), 4 + sizeof(two));
	assert_memory_equal(at + 3 * PAGE, "in t", 4);
	assert_memory_equal(at + 3 * PAGE + 4, two, sizeof(two));
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 5 * PAGE + 4);
	assert_int_equal(write(fd, text, 2), 2);
	assert_int_equal(at[5 * PAGE + 4], 'i');
	munmap(at, SIZE);
	end(fd);
}

static void what_cannot_be_is_refused(void **state)
{
	int fd = make(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	char two[2 * PAGE];
	char *hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(two, 'e', sizeof(two));
	assert_int_equal(pwrite(fd, two, sizeof(two), SIZE - PAGE), PAGE);
	assert_int_equal(pwrite(fd, two, 1, SIZE), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pwrite(fd, two, 1, -1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pwrite(fd, hole, PAGE, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(read(fd, two, 1), -1);
	assert_int_equal(errno, EINVAL);
	munmap(hole, PAGE);
	end(fd);
	for (int i = 0; i < 2; i++) {
		fd = make(i ? GUEST_MEMFD_FLAG_MMAP : 0);
		assert_int_equal(pwrite(fd, two, 1, 0), -1);
		assert_int_equal(errno, ENODEV);
		end(fd);
	}
}

/* The vector is looked at as a whole first. */
static void vectors_are_checked(void **state)
{
	int fd = make(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	static const struct iovec many[1025];
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	struct iovec *iov = (struct iovec *)(pages + PAGE) - 1,
		     two[2] = { { pages, 1 }, { NULL, -1 } };

	pages[0] = 'v';
	assert_int_equal(munmap(pages + PAGE, PAGE), 0);
	iov[0] = two[0];
	assert_int_equal(pwritev(fd, iov, 2, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pwritev(fd, two, 2, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pwritev(fd, many, 1025, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(at[0], 0);
	assert_int_equal(pwritev(fd, iov, 1, 0), 1);
	assert_int_equal(at[0], 'v');
	munmap(at, SIZE);
	munmap(pages, PAGE);
	end(fd);
}

static void others_refuse(void **state)
{
	int fd = make(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);

	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(lseek(fd, 0, SEEK_SET), -1);
	assert_int_equal(errno, ESPIPE);
	end(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest with[] = {
		cmocka_unit_test(contents_are_there),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(vectors_are_checked),
	};
	const struct CMUnitTest without[] = {
		cmocka_unit_test(others_refuse),
	};

	return argc > 1 && !strcmp(argv[1], "has") ? cmocka_run_group_tests(with, NULL, NULL)
						   : cmocka_run_group_tests(without, NULL, NULL);
}
