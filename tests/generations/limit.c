/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* memfd-v5 under gmem run --limit 64K: what no VM makes is under one limit, and what it refuses costs nothing. */
#include "gen.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 16u /* pages: --limit 64K */

static int make_file(void)
{
	int fd = memfd_create("guest", MFD_INACCESSIBLE | MFD_CLOEXEC);

	assert_true(fd >= 0);
	WORKS(ftruncate(fd, 2 * LIMIT * PAGE));
	return fd;
}

static int allocate(int fd, unsigned int nr)
{
	return fallocate(fd, 0, 0, (off_t)(nr * PAGE));
}

static void files_of_all_vms_share_one_limit(void **state)
{
	int a = make_file(), b = make_file();

	WORKS(allocate(a, 10));
	FAILS_WITH(allocate(b, 7), ENOMEM);
	assert_int_equal(gen_backed(b), 0);
	WORKS(allocate(b, 6));
	FAILS_WITH(allocate(a, 11), ENOMEM);
	WORKS(fallocate(b, PUNCH, 0, PAGE));
	WORKS(allocate(a, 11));
	close(b);
	WORKS(allocate(a, LIMIT));
	close(a);
	a = make_file();
	WORKS(allocate(a, LIMIT));
	close(a);
}

/* In a child: who may lock memory is not charged. */
static int what_is_refused(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct rlimit limit = { 20 * PAGE, 20 * PAGE };
	int a = make_file(), b = make_file();

	if (syscall(SYS_capget, &head, data))
		return 1;
	data[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
	if (syscall(SYS_capset, &head, data) || setrlimit(RLIMIT_MEMLOCK, &limit))
		return 2;
	if (allocate(a, 12) || !allocate(b, 8))
		return 3;
	/* The eight pages of the call that failed are nobody's. */
	if (fallocate(a, PUNCH, 0, (off_t)(12 * PAGE)) || allocate(b, LIMIT))
		return 4;
	return 0;
}

static void what_the_limit_refuses_is_not_charged(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(what_is_refused());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_all_vms_share_one_limit),
		cmocka_unit_test(what_the_limit_refuses_is_not_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
