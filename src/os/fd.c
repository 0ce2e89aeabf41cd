/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Our own descriptors. They are moved to the top of the number space, where a program does not look
 * (lowest-first numbers, close loops, select), and are known by a bitmap, so that the shim can keep
 * close_range() and dup2() off them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/sys.h"

/* The kernel's table is as long as the highest number: 16384 costs a process 128 KiB. */
#define TOP 16384
#define ROOM 256
#define MUCH_ROOM 1024 /* when the program has very many */
#define NR_TRACKED 65536

static _Atomic uint64_t ours[NR_TRACKED / 64];

static uint64_t top_fd(void)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	os_sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	return limit.rlim_cur < TOP ? limit.rlim_cur : TOP;
}

static int base_fd(void)
{
	uint64_t top = top_fd();

	if (top == TOP)
		return TOP - MUCH_ROOM;
	return (int)(top >= 2 * ROOM ? top - ROOM : top / 2);
}

unsigned int os_fd_room(void)
{
	return (unsigned int)top_fd() - (unsigned int)base_fd();
}

static long dup_high(int fd)
{
	int base = base_fd();
	long ret = os_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, base);

	/* No room up there: anywhere above the standard ones. */
	if ((ret == -EMFILE || ret == -EINVAL) && base > 3)
		ret = os_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
	return ret;
}

static void mark(int fd, bool is_ours)
{
	uint64_t bit = (uint64_t)1 << (fd % 64);

	if (is_ours)
		atomic_fetch_or(&ours[fd / 64], bit);
	else
		atomic_fetch_and(&ours[fd / 64], ~bit);
}

int os_fd_adopt(int *fd)
{
	int err = os_fail(OS_FAIL_FD);
	long high = err ? err : dup_high(*fd);

	os_sys1(SYS_close, *fd);
	*fd = -1;
	if (high < 0)
		return (int)high;
	if (high >= NR_TRACKED) {
		os_sys1(SYS_close, high);
		return -EMFILE;
	}
	mark((int)high, true);
	*fd = (int)high;
	return 0;
}

bool os_fd_is_ours(int fd)
{
	if (fd < 0 || fd >= NR_TRACKED)
		return false;
	return atomic_load_explicit(&ours[fd / 64], memory_order_relaxed) >> (fd % 64) & 1;
}

int os_fd_next(int fd)
{
	unsigned int from = (unsigned int)fd;

	for (unsigned int word = from / 64; word < NR_TRACKED / 64; word++) {
		uint64_t bits = atomic_load_explicit(&ours[word], memory_order_relaxed);

		if (word == from / 64)
			bits &= ~(uint64_t)0 << (from % 64);
		if (bits)
			return (int)(word * 64) + __builtin_ctzll(bits);
	}
	return -1;
}

void os_fd_close(int fd)
{
	os_assert(os_fd_is_ours(fd));
	/* First: the number may be the program's as soon as it is closed. */
	mark(fd, false);
	os_sys1(SYS_close, fd);
}
