/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Time and chance. */
#include <time.h>

#include "os/os.h"
#include "os/sys.h"

#define NS_PER_S 1000000000ull

/* The C library's, which asks the kernel's page and makes no system call. */
static uint64_t clock_read(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t os_clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t os_wallclock_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

uint64_t os_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

uint64_t os_random(void)
{
	uint64_t value = 0;

	while (os_sys3(SYS_getrandom, &value, sizeof(value), 0) != sizeof(value))
		os_relax();
	return value;
}
