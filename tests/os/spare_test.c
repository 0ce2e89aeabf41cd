/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* In the jail no memfd and no thread is made; what was made before is used instead, and has an end. */
#include "os/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/window.h"

#define NR_NAMED 3

static bool name_of(unsigned int i, char name[OS_SPARE_NAME_MAX])
{
	snprintf(name, OS_SPARE_NAME_MAX, "named.%u", i + 10);
	return true;
}

/* Whatever calls memfd_create or makes a thread from here on dies. */
static void forbid(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(rules[0]), .filter = rules };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* A filter is for good: each test has a process of its own. */
static void in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void is_called(int fd, const char *name)
{
	char path[64], link[128] = { 0 }, expected[128];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, link, sizeof(link) - 1) > 0);
	snprintf(expected, sizeof(expected), "/memfd:%s (deleted)", name);
	assert_string_equal(link, expected);
}

static void nothing(void *arg)
{
}

static void use_the_pool(void)
{
	unsigned int nr = os_jail_prepare(name_of, NR_NAMED);
	struct os_thread *thread;
	struct stat st;
	int fd, low;

	assert_true(nr >= 100);
	assert_int_equal(os_spare_left(), nr);
	os_jail_enter();
	forbid();
	assert_true(os_jailed());
	assert_false(os_jail_hold());
	assert_int_equal(os_memfd_create("store", 3 * OS_PAGE_SIZE, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 3 * OS_PAGE_SIZE);
	assert_true(os_fd_is_ours(fd));
	/* The program's is the lowest number, not one of ours, sealable, and called as asked. */
	low = dup(0);
	close(low);
	assert_int_equal(os_memfd_for_program("named.11", true, true, &fd), 0);
	assert_int_equal(fd, low);
	assert_false(os_fd_is_ours(fd));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
	is_called(fd, "named.11");
	assert_int_equal(os_memfd_for_program("named.11", true, true, &fd), -EMFILE);
	assert_int_equal(os_memfd_for_program("named.13", true, true, &fd), -EMFILE);
	assert_int_equal(os_memfd_for_program("any", false, false, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(os_spare_left(), nr - 3);
	assert_int_equal(os_thread_create(nothing, NULL, "none", &thread), -EPERM);
}

static void use_it_up(void)
{
	unsigned int nr = os_jail_prepare(name_of, NR_NAMED);
	int fd;

	os_jail_enter();
	forbid();
	for (unsigned int i = NR_NAMED; i < nr; i++)
		assert_int_equal(os_memfd_create("one", 0, &fd), 0);
	assert_int_equal(os_memfd_create("none", 0, &fd), -EMFILE);
	assert_int_equal(os_spare_left(), NR_NAMED);
}

/* Whoever has not made it before the filter must not be killed for it. */
static void an_empty_file(void)
{
	unsigned int nr = os_jail_prepare(name_of, NR_NAMED);
	int fd;

	os_jail_enter();
	forbid();
	assert_int_equal(os_window_empty(&fd), 0);
	assert_int_equal(os_spare_left(), nr - 1);
	assert_int_equal(ftruncate(fd, 1), -1);
}

/* What fails once is there all the same, and nothing behind it is missing. */
static void one_failure(void)
{
	const struct rlimit few = { 80, 80 };
	struct os_fail_plan plan = { .points = OS_FAIL_ALL, .nr = 1 };
	struct os_fail_seen seen;
	unsigned int nr;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	nr = os_jail_prepare(name_of, NR_NAMED);
	do {
		os_fail_arm(&plan);
		assert_int_equal(os_jail_prepare(name_of, NR_NAMED), nr);
		os_fail_disarm(&seen);
		plan.first++;
	} while (seen.nr_failed);
	assert_true(plan.first > nr);
}

/* The parent goes on to use them: a child must not get the same file for something else. */
static void fork_inside(void)
{
	unsigned int nr = os_jail_prepare(name_of, NR_NAMED);
	int fd, status;
	pid_t pid;

	os_jail_enter();
	pid = fork();
	if (pid == 0) {
		os_after_fork();
		_exit(os_jailed() && !os_spare_left() && os_memfd_create("none", 0, &fd) == -EMFILE
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(os_spare_left(), nr);
	assert_int_equal(os_memfd_create("one", 0, &fd), 0);
}

static void with_few_numbers(void)
{
	struct rlimit limit = { 64, 64 };
	unsigned int nr;
	int low;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	nr = os_jail_prepare(name_of, NR_NAMED);
	assert_in_range(nr, 8, 32);
	low = dup(0);
	assert_true(low < 32);
}

/* A filter that was refused leaves all as it was, and the next try starts anew. */
static void come_out_again(void)
{
	unsigned int nr = os_jail_prepare(name_of, NR_NAMED);
	struct os_thread *thread;
	int fd;

	os_jail_enter();
	os_jail_leave();
	assert_int_equal(os_memfd_create("fresh", 0, &fd), 0);
	is_called(fd, "fresh");
	assert_int_equal(os_spare_left(), nr);
	assert_int_equal(os_thread_create(nothing, NULL, "one", &thread), 0);
	os_thread_join(thread);
	assert_true(os_jail_hold());
	os_jail_let();
	assert_int_equal(os_jail_prepare(NULL, 0), nr);
	os_jail_enter();
	assert_int_equal(os_memfd_for_program("named.11", true, true, &fd), -EMFILE);
}

#define IN_CHILD(name, fn)             \
	static void name(void **state) \
	{                              \
		in_child(fn);          \
	}
IN_CHILD(the_pool_stands_in_for_what_is_forbidden, use_the_pool)
IN_CHILD(the_pool_has_an_end, use_it_up)
IN_CHILD(the_empty_file_comes_from_the_pool, an_empty_file)
IN_CHILD(what_fails_once_is_made_all_the_same, one_failure)
IN_CHILD(a_child_has_no_pool, fork_inside)
IN_CHILD(the_program_keeps_half_of_its_numbers, with_few_numbers)
IN_CHILD(a_filter_that_is_refused_changes_nothing, come_out_again)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pool_stands_in_for_what_is_forbidden),
		cmocka_unit_test(the_pool_has_an_end),
		cmocka_unit_test(the_empty_file_comes_from_the_pool),
		cmocka_unit_test(what_fails_once_is_made_all_the_same),
		cmocka_unit_test(a_child_has_no_pool),
		cmocka_unit_test(the_program_keeps_half_of_its_numbers),
		cmocka_unit_test(a_filter_that_is_refused_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
