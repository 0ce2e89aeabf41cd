/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the line of progress says, on a terminal and elsewhere; the clock is ours (--wrap). And who may have colours. */
#include "cmd/progress.h"
#include "cmd/tty.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t ms = 1000000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	ts->tv_sec = (time_t)(ms / 1000);
	ts->tv_nsec = (long)(ms % 1000) * 1000000;
	return 0;
}

/* ---- a terminal as stderr --------------------------------------------------------------------------- */

static int ours, old_stderr;

static void begin(unsigned short columns)
{
	struct winsize size = { .ws_row = 25, .ws_col = columns };
	struct termios raw;
	int theirs;

	assert_int_equal(openpty(&ours, &theirs, NULL, NULL, &size), 0);
	tcgetattr(theirs, &raw);
	cfmakeraw(&raw);
	tcsetattr(theirs, TCSANOW, &raw);
	fcntl(ours, F_SETFL, O_NONBLOCK);
	old_stderr = dup(STDERR_FILENO);
	dup2(theirs, STDERR_FILENO);
	close(theirs);
	setenv("TERM", "xterm", 1);
}

static const char *said(void)
{
	static char text[1024];
	ssize_t n = read(ours, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void end(void)
{
	dup2(old_stderr, STDERR_FILENO);
	close(old_stderr);
	close(ours);
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void test_long_work(void **state)
{
	struct progress p;

	begin(80);
	progress_begin(&p, "work", 200);
	ms += 499;
	progress_at(&p, 10, NULL);
	assert_string_equal(said(), "");
	ms += 1;
	progress_at(&p, 50, "here");
	assert_string_equal(said(), "\rwork [######                  ]  25 % 0 s  here\033[K");
	ms += 99;
	progress_at(&p, 51, "here");
	assert_string_equal(said(), "");
	ms += 2000;
	progress_at(&p, 300, NULL);
	assert_string_equal(said(), "\rwork [########################] 100 % 2 s\033[K");
	progress_hide(&p);
	assert_string_equal(said(), "\r\033[K");
	progress_hide(&p);
	assert_string_equal(said(), "");
	progress_at(&p, 100, NULL);
	assert_string_equal(said(), "\rwork [############            ]  50 % 2 s\033[K");
	progress_end(&p);
	assert_string_equal(said(), "\r\033[K");
	ms += 1000;
	progress_at(&p, 100, NULL);
	assert_string_equal(said(), "");
	end();
}

static void test_short_work_says_nothing(void **state)
{
	struct progress p;

	begin(80);
	progress_begin(&p, "work", 2);
	progress_at(&p, 1, NULL);
	progress_end(&p);
	assert_string_equal(said(), "");
	end();
}

static void test_how_much_is_not_known(void **state)
{
	struct progress p;

	begin(80);
	progress_begin(&p, "work", 0);
	ms += 3000;
	progress_at(&p, 7, NULL);
	assert_string_equal(said(), "\rwork 3 s\033[K");
	progress_end(&p);
	end();
}

static void test_never_a_second_line(void **state)
{
	struct progress p;

	begin(12);
	progress_begin(&p, "work", 2);
	ms += 3000;
	progress_at(&p, 1, "a name that is long");
	assert_string_equal(said(), "\rwork [#####\033[K");
	progress_end(&p);
	end();
}

static void test_elsewhere_nothing(void **state)
{
	struct progress p;
	int pipes[2];

	begin(80);
	setenv("TERM", "dumb", 1);
	progress_begin(&p, "work", 2);
	ms += 3000;
	progress_at(&p, 1, NULL);
	progress_end(&p);
	assert_string_equal(said(), "");
	setenv("TERM", "xterm", 1);
	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	dup2(pipes[1], STDERR_FILENO);
	progress_begin(&p, "work", 2);
	ms += 3000;
	progress_at(&p, 1, NULL);
	progress_end(&p);
	end();
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &ms, 1), 0);
	close(pipes[0]);
}

static void test_colours(void **state)
{
	begin(80);
	unsetenv("NO_COLOR");
	assert_true(tty_may_colour());
	assert_true(tty_is_one(stderr));
	setenv("NO_COLOR", "", 1);
	assert_true(tty_may_colour());
	setenv("NO_COLOR", "0", 1);
	assert_false(tty_may_colour());
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_false(tty_is_one(stderr));
	unsetenv("TERM");
	assert_false(tty_is_one(stderr));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_work),
		cmocka_unit_test(test_short_work_says_nothing),
		cmocka_unit_test(test_how_much_is_not_known),
		cmocka_unit_test(test_never_a_second_line),
		cmocka_unit_test(test_elsewhere_nothing),
		cmocka_unit_test(test_colours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
