/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A child is told from home however it was made. */
#include "test.h"

#include <sched.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "os/process.h"

static uint64_t home;

static int at_home(void)
{
	return os_home_token() == home;
}

static void a_forked_child_is_not_home(void **state)
{
	assert_true(at_home());
	assert_true(exited_with(in_child(at_home), 0));
	assert_true(at_home());
}

static void a_child_made_by_hand_is_not_home(void **state)
{
	int status;
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (!pid)
		_exit(at_home());
	assert_int_equal(waitpid((pid_t)pid, &status, 0), pid);
	assert_true(exited_with(status, 0));
}

static int become_home(void)
{
	os_after_fork();
	home = os_home_token();
	if (!at_home())
		return 1;
	return exited_with(in_child(at_home), 0) ? 42 : 2;
}

static void a_child_is_a_home_of_its_own(void **state)
{
	assert_true(exited_with(in_child(become_home), 42));
}

static _Atomic int seen;

static void look(void *arg)
{
	atomic_store(&seen, at_home() ? 1 : 2);
}

static void a_thread_is_home(void **state)
{
	struct os_thread *t;

	assert_int_equal(os_thread_create(look, NULL, "home", &t), 0);
	os_thread_join(t);
	assert_int_equal(atomic_load(&seen), 1);
}

static void randomness_and_time_move(void **state)
{
	uint64_t ns = os_clock_ns();
	uint64_t tsc = os_tsc();

	assert_int_not_equal(os_random(), os_random());
	assert_true(os_clock_ns() >= ns && os_tsc() > tsc);
	/* 2020 to 2200. */
	assert_true(os_wallclock_ns() / 1000000000 > 1577836800);
	assert_true(os_wallclock_ns() / 1000000000 < 7258118400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forked_child_is_not_home),
		cmocka_unit_test(a_child_made_by_hand_is_not_home),
		cmocka_unit_test(a_child_is_a_home_of_its_own),
		cmocka_unit_test(a_thread_is_home),
		cmocka_unit_test(randomness_and_time_move),
	};

	home = os_home_token();

	return cmocka_run_group_tests(tests, NULL, NULL);
}
