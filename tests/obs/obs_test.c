/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is told: events are counted, a refusal names its rule when asked to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "obs/obs.h"
#include "os/os.h"

static int pipe_fds[2];

static int listen_to_messages(void **state)
{
	os_log_set_fd(pipe(pipe_fds) ? -1 : pipe_fds[1]);
	return 0;
}

static int stop_listening(void **state)
{
	os_log_set_why(false);
	os_log_set_level(OS_LOG_WARN);
	os_log_set_fd(2);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

/* All since the last time; a byte of the test's own ends it. */
static const char *what_was_said(void)
{
	static char buf[4096];
	ssize_t nr;

	assert_int_equal(write(pipe_fds[1], "", 1), 1);
	nr = read(pipe_fds[0], buf, sizeof(buf));
	assert_true(nr > 0 && !buf[nr - 1]);
	return buf;
}

static void a_refusal_is_its_error_and_quiet(void **state)
{
	assert_int_equal(obs_refuse(-EINVAL, "a rule"), -EINVAL);
	assert_string_equal(what_was_said(), "");
}

static void a_refusal_names_its_rule_when_asked_why(void **state)
{
	os_log_set_why(true);
	assert_int_equal(obs_refuse(-EEXIST, "a page is bound"), -EEXIST);
	assert_string_equal(what_was_said(), "gmem: EEXIST: a page is bound\n");
}

static void events_are_counted_each_by_itself(void **state)
{
	uint64_t punches = obs_counter(OBS_PUNCH);
	uint64_t exits = obs_counter(OBS_EXIT);

	obs_count(OBS_PUNCH, 1, 2, 3);
	obs_count(OBS_PUNCH, 1, 2, 3);
	assert_int_equal(obs_counter(OBS_PUNCH), punches + 2);
	assert_int_equal(obs_counter(OBS_EXIT), exits);
	assert_string_equal(what_was_said(), "");
	os_log_set_level(OS_LOG_DEBUG);
	obs_count(OBS_EXIT, 1, 2, 0x30);
	assert_int_equal(obs_counter(OBS_EXIT), exits + 1);
	assert_string_equal(what_was_said(), "gmem: exit 0x1 0x2 0x30\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listen_to_messages, stop_listening)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refusal_is_its_error_and_quiet),
		TEST(a_refusal_names_its_rule_when_asked_why),
		TEST(events_are_counted_each_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
