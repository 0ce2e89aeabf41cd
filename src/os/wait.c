/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Waits: sleeping until a word changes, and the short waits before it. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/time_types.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/sys.h"

#define NS_PER_S 1000000000

int os_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ns / NS_PER_S,
					.tv_nsec = timeout_ns % NS_PER_S };
	long ret = os_fail(OS_FAIL_WAIT);

	if (ret)
		return (int)ret;
	ret = os_sys4(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &ts);
	return ret == -EAGAIN ? 0 : (int)ret;
}

void os_wake(_Atomic uint32_t *word, uint32_t nr_waiters)
{
	os_sys3(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr_waiters);
}

void os_wake_all(_Atomic uint32_t *word)
{
	os_wake(word, INT32_MAX);
}

void os_relax(void)
{
	__builtin_ia32_pause();
}

void os_yield(void)
{
	os_sys0(SYS_sched_yield);
}
