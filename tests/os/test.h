/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What every cmocka test includes, in the order cmocka wants, and a way to watch a child. */
#ifndef GMEM_TESTS_OS_TEST_H
#define GMEM_TESTS_OS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a forked child and returns its wait status; fn's result is the exit status. */
static inline int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		/* cmocka's handlers would speak. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline bool died_of(int status, int signo)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == signo;
}

static inline bool exited_with(int status, int value)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == value;
}

#endif
