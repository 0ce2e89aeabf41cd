/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include "os/fail.h"
#include "os/format.h"
#include "os/os.h"
#include "os/sys.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define NS_PER_S 1000000000
#define NAME_MAX_SIZE 64
#define NR_FDS 65536

int os_shared_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ns / NS_PER_S,
					.tv_nsec = timeout_ns % NS_PER_S };
	long ret = os_fail(OS_FAIL_WAIT);

	if (ret)
		return (int)ret;
	ret = os_sys4(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns < 0 ? NULL : &ts);
	return ret == -EAGAIN ? 0 : (int)ret;
}

void os_shared_wake(_Atomic uint32_t *word)
{
	os_sys3(SYS_futex, word, FUTEX_WAKE, INT32_MAX);
}

static struct flock lock_of(short type, uint64_t byte)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1
	};
}

int os_peer_lock(int fd, uint64_t byte)
{
	struct flock lock = lock_of(F_WRLCK, byte);
	int err = os_fail(OS_FAIL_PEER_LOCK);

	return err ? err : (int)os_sys3(SYS_fcntl, fd, F_OFD_SETLK, &lock);
}

void os_peer_unlock(int fd, uint64_t byte)
{
	struct flock lock = lock_of(F_UNLCK, byte);

	os_sys3(SYS_fcntl, fd, F_OFD_SETLK, &lock);
}

bool os_peer_locked(int fd, uint64_t byte)
{
	struct flock lock = lock_of(F_WRLCK, byte);

	/* Who cannot know takes it for locked. */
	return os_sys3(SYS_fcntl, fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

uint32_t os_peer_self(void)
{
	return (uint32_t)os_sys0(SYS_getpid);
}

uint64_t os_peer_namespace(void)
{
	struct stat st;

	return os_sys2(SYS_stat, "/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

bool os_peer_lives(uint32_t pid)
{
	struct timespec at_once = { 0 };
	struct pollfd p = { .events = POLLIN };
	long ret = os_sys2(SYS_pidfd_open, pid, 0);

	if (ret < 0)
		return ret != -ESRCH;
	p.fd = (int)ret;
	ret = os_sys5(SYS_ppoll, &p, 1, &at_once, NULL, 0);
	os_sys1(SYS_close, p.fd);
	return ret != 1;
}

static void name_of(uint32_t pid, int fd, char name[NAME_MAX_SIZE])
{
	if (pid)
		os_format(name, NAME_MAX_SIZE, "/proc/%u/fd/%d", pid, fd);
	else
		os_format(name, NAME_MAX_SIZE, "/proc/self/fd/%d", fd);
}

int os_peer_open(uint32_t pid, int fd, int *own)
{
	char name[NAME_MAX_SIZE];
	long ret = os_fail(OS_FAIL_FD);

	if (ret)
		return (int)ret;
	name_of(pid, fd, name);
	ret = os_sys4(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
	if (ret < 0)
		return (int)ret;
	*own = (int)ret;
	return os_fd_adopt(own);
}

long os_peer_link(uint32_t pid, int fd, char *text, size_t size)
{
	char name[NAME_MAX_SIZE];
	long n;

	name_of(pid, fd, name);
	n = os_sys4(SYS_readlinkat, AT_FDCWD, name, text, size - 1);
	if (n >= 0)
		text[n] = '\0';
	return n;
}

int os_peer_size(int fd, uint64_t *size)
{
	struct stat st;
	long ret = os_sys2(SYS_fstat, fd, &st);

	*size = ret ? 0 : (uint64_t)st.st_size;
	return (int)ret;
}

static bool has_prefix(const char *text, const char *begins)
{
	while (*begins && *text == *begins) {
		text++;
		begins++;
	}
	return !*begins;
}

/* ---- all descriptors of a process ------------------------------------------------------------- */

struct entry {
	uint64_t ino;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* A number, or -1 for "." and "..". */
static int number_of(const char *name)
{
	int n = 0;

	if (*name < '0' || *name > '9')
		return -1;
	for (; *name >= '0' && *name <= '9' && n < NR_FDS; name++)
		n = n * 10 + (*name - '0');
	return n;
}

static int smallest_of(const char *entries, long size, int from, int best)
{
	for (long at = 0; at < size;) {
		const struct entry *e = (const void *)(entries + at);
		int n = number_of(e->name);

		if (n >= from && (best < 0 || n < best))
			best = n;
		at += e->size;
	}
	return best;
}

static int next_descriptor(long dir, int from)
{
	char entries[2048] __attribute__((aligned(8)));
	int best = -1;
	long n;

	os_sys3(SYS_lseek, dir, 0, SEEK_SET);
	while ((n = os_sys3(SYS_getdents64, dir, entries, sizeof(entries))) > 0)
		best = smallest_of(entries, n, from, best);
	return best;
}

int os_peer_find(uint32_t pid, int fd, const char *begins, char *text, size_t size)
{
	char name[NAME_MAX_SIZE];
	long dir = os_fail(OS_FAIL_FD);

	if (dir)
		return (int)dir;
	if (pid)
		os_format(name, sizeof(name), "/proc/%u/fd", pid);
	else
		os_format(name, sizeof(name), "/proc/self/fd");
	dir = os_sys4(SYS_openat, AT_FDCWD, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return (int)dir;
	while ((fd = next_descriptor(dir, fd)) >= 0) {
		if (os_peer_link(pid, fd, text, size) > 0 && has_prefix(text, begins))
			break;
		fd++;
	}
	os_sys1(SYS_close, dir);
	return fd < 0 ? -ENOENT : fd;
}
