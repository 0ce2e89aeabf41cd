/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Messages: a line each, and numbers as printf() writes them. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/format.h"
#include "os/os.h"

#define SAME(...)                                                                        \
	do {                                                                             \
		char ours_[200], theirs_[200];                                           \
		size_t len_ = os_format(ours_, sizeof(ours_), __VA_ARGS__);              \
		assert_int_equal(len_, snprintf(theirs_, sizeof(theirs_), __VA_ARGS__)); \
		assert_string_equal(ours_, theirs_);                                     \
	} while (0)

static void formats_as_printf_does(void **state)
{
	SAME("plain %% text");
	SAME("%d %d %d", 0, -1, INT32_MIN);
	SAME("%u %u", 0u, UINT32_MAX);
	SAME("%lld %llu", (long long)INT64_MIN, (unsigned long long)UINT64_MAX);
	SAME("%ld %lu %zu %zd", -5l, 5ul, (size_t)7, (ssize_t)-7);
	SAME("%hhu %hhd %hu", (unsigned char)200, (signed char)-3, (unsigned short)65535);
	SAME("%x %X %#x %lx", 0xbeefu, 0xbeefu, 0xbeefu, 0x123456789abcul);
	SAME("[%8d] [%-8d] [%08d] [%08x] [%#010x]", 42, 42, -42, 0x42u, 0x42u);
	SAME("[%s] [%8s] [%-8s] [%.2s] [%.*s] [%*d]", "abc", "abc", "abc", "abc", 1, "abc", 5, 3);
	SAME("%c%c", 'a', 'b');
	SAME("%p", (void *)0x1234);
}

static void a_long_text_is_cut(void **state)
{
	char buf[8];

	assert_int_equal(os_format(buf, sizeof(buf), "%s", "0123456789"), 7);
	assert_string_equal(buf, "0123456");
	assert_int_equal(os_format(buf, 1, "%d", 5), 0);
	assert_string_equal(buf, "");
	buf[0] = 'x';
	assert_int_equal(os_format(buf, 0, "%d", 5), 0);
	assert_int_equal(buf[0], 'x');
}

static int pipe_fds[2];

static const char *what_was_said(void)
{
	static char buf[8192];
	ssize_t nr;

	write(pipe_fds[1], "", 1);
	nr = read(pipe_fds[0], buf, sizeof(buf) - 1);
	assert_true(nr > 0);
	buf[nr] = 0;
	return buf;
}

static void messages_are_lines_of_ours(void **state)
{
	char big[3000];

	assert_int_equal(pipe(pipe_fds), 0);
	os_log_set_fd(pipe_fds[1]);
	os_log(OS_LOG_WARN, "%d pages", 5);
	assert_string_equal(what_was_said(), "gmem: 5 pages\n");
	os_log(OS_LOG_INFO, "not said");
	assert_false(os_log_enabled(OS_LOG_INFO));
	assert_string_equal(what_was_said(), "");
	os_log_set_level(OS_LOG_INFO);
	os_log(OS_LOG_INFO, "said");
	assert_string_equal(what_was_said(), "gmem: said\n");
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	os_log(OS_LOG_ERROR, "%s", big);
	assert_int_equal(strlen(what_was_said()), 1024);
	os_log_set_level(OS_LOG_WARN);
	os_log_set_fd(2);
}

static void refusals_are_named_when_asked_for(void **state)
{
	assert_false(os_log_why());
	os_log_set_why(true);
	assert_true(os_log_why());
	os_log_set_why(false);
	os_log_set_level(OS_LOG_DEBUG);
	assert_true(os_log_why());
	os_log_set_level(OS_LOG_WARN);
}

static void refuse(const char *rule, int times)
{
	while (times--)
		os_log_refusal(-EINVAL, "KVM_RUN", rule, "RULE");
}

static void the_same_again_is_counted(void **state)
{
	os_log_set_fd(pipe_fds[1]);
	refuse("no", 2048);
	refuse("never", 1);
	assert_string_equal(what_was_said(), "gmem: EINVAL: KVM_RUN: no [RULE]\n"
					     "gmem: ... again, 2047 times\n"
					     "gmem: EINVAL: KVM_RUN: never [RULE]\n");
	refuse("never", 1);
	refuse("no", 1);
	os_log_end();
	assert_string_equal(what_was_said(), "gmem: ... again, 1 time\n"
					     "gmem: EINVAL: KVM_RUN: no [RULE]\n");
	refuse("no", 2);
	assert_string_equal(what_was_said(), "gmem: EINVAL: KVM_RUN: no [RULE]\n");
	/* A child says nothing of its parent's. */
	os_log_after_fork();
	os_log_end();
	assert_string_equal(what_was_said(), "");
	os_log_set_level(OS_LOG_DEBUG);
	refuse("no", 2);
	assert_string_equal(what_was_said(), "gmem: EINVAL: KVM_RUN: no [RULE]\n"
					     "gmem: EINVAL: KVM_RUN: no [RULE]\n");
	os_log_set_level(OS_LOG_WARN);
	os_log_set_fd(2);
}

static int assertion(void)
{
	volatile int one = 1;

	dup2(pipe_fds[1], 2);
	os_assert(one == 2);
	return 0;
}

static void a_failed_assertion_says_what_and_aborts(void **state)
{
	assert_true(died_of(in_child(assertion), SIGABRT));
	assert_non_null(strstr(what_was_said(), "one == 2"));
}

static void a_pending_signal_is_per_thread(void **state)
{
	assert_false(os_signal_pending());
	os_signal_set_pending(true);
	assert_true(os_signal_pending());
	os_signal_set_pending(false);
	assert_false(os_signal_pending());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_as_printf_does),
		cmocka_unit_test(a_long_text_is_cut),
		cmocka_unit_test(messages_are_lines_of_ours),
		cmocka_unit_test(refusals_are_named_when_asked_for),
		cmocka_unit_test(the_same_again_is_counted),
		cmocka_unit_test(a_failed_assertion_says_what_and_aborts),
		cmocka_unit_test(a_pending_signal_is_per_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
