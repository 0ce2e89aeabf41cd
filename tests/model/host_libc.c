/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

static sigjmp_buf back;
static int pipes[NR_PINS][2];

static void on_fault(int signo)
{
	siglongjmp(back, signo == SIGBUS ? 1 : 2);
}

static int start(const char *profile)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	return sigaction(SIGBUS, &sa, NULL) || sigaction(SIGSEGV, &sa, NULL) ? -errno : 0;
}

static int64_t touch(void (*fn)(void *arg), void *arg)
{
	switch (sigsetjmp(back, 0)) {
	case 0:
		fn(arg);
		return 0;
	case 1:
		return ANSWER_SIGBUS;
	default:
		return ANSWER_SIGSEGV;
	}
}

static int pin(unsigned int i, void *addr)
{
	struct iovec page = { addr, PAGE };
	long ret;

	if (pipe2(pipes[i], O_CLOEXEC))
		return -errno;
	ret = vmsplice(pipes[i][1], &page, 1, 0);
	return ret < 0 ? -errno : 0;
}

static void unpin(unsigned int i)
{
	if (pipes[i][0]) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	pipes[i][0] = pipes[i][1] = 0;
}

const struct host host_libc = {
	.u = &uapi_libc,
	.start = start,
	.touch = touch,
	.pin = pin,
	.unpin = unpin,
};
