/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/place.h"
#include "os/sanitize.h"
#include "os/spare.h"
#include "os/sys.h"

/* Newer than the headers we build with. */
#define FEATURE_POISON (1ull << 14)
#define FEATURE_WP_FILES (1ull << 12)
#define IOCTL_POISON _IOWR(UFFDIO, 0x08, struct poison)
#define USER_MODE_ONLY 1
#define FEATURE_MINOR_HUGETLB (1ull << 9)
#define FEATURE_MINOR_SHMEM (1ull << 10)
/* Pages that are there, and pages that are not. */
#define MODE_CLOSED (1ull << 2 | 1ull << 0)
struct poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#define SEALS (1 | 2 | 4) /* seal, shrink, grow */

#define DEFAULT_MAX_MAPPINGS 65530

#if OS_TSAN
#include <sys/types.h>
/* The thread sanitizer must see that an address begins a new life. */
void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
int munmap(void *addr, size_t size);
int *__errno_location(void);

long os_window_map(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	int err = os_fail(OS_FAIL_MAP);
	void *map;

	if (err)
		return err;
	if (flags & MAP_FIXED)
		return os_sys6(SYS_mmap, addr, size, prot, flags, fd, offset);
	map = mmap((void *)addr, size, prot, flags, fd, (off_t)offset);
	return map == (void *)-1 ? -(long)*__errno_location() : (long)map;
}

long os_window_unmap(uint64_t addr, uint64_t size)
{
	os_fail_unmapped();
	return munmap((void *)addr, size) ? -(long)*__errno_location() : 0;
}
#else
long os_window_map(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	int err = os_fail(OS_FAIL_MAP);

	return err ? err : os_sys6(SYS_mmap, addr, size, prot, flags, fd, offset);
}

long os_window_unmap(uint64_t addr, uint64_t size)
{
	long ret;

	os_fail_unmapped();
	ret = os_sys2(SYS_munmap, addr, size);
	if (!ret)
		os_place_left(addr, size);
	return ret;
}
#endif

long os_window_aside(uint64_t size, int fd, uint64_t offset)
{
	int err = os_fail(OS_FAIL_MAP);

	return err ? err : os_place_map(size, OS_PAGE_SIZE, PROT_NONE, MAP_SHARED, fd, offset);
}

long os_window_cut(uint64_t addr, uint64_t size)
{
	int err = os_fail(OS_FAIL_UNMAP);

	return err ? err : os_window_unmap(addr, size);
}

long os_window_move(uint64_t addr, uint64_t old_size, uint64_t size, int flags, uint64_t to)
{
	long ret = os_fail(OS_FAIL_MOVE);

	if (!ret)
		ret = os_sys5(SYS_mremap, addr, old_size, size, flags, to);
	if (!os_sys_failed(ret) && ret != (long)addr)
		os_place_left(addr, old_size);
	return ret;
}

long os_window_protect(uint64_t addr, uint64_t size, int prot, int pkey)
{
	int err = os_fail(OS_FAIL_PROTECT);

	if (err)
		return err;
	if (pkey < 0)
		return os_sys3(SYS_mprotect, addr, size, prot);
	return os_sys4(SYS_pkey_mprotect, addr, size, prot, pkey);
}

long os_window_bar(uint64_t addr, uint64_t size)
{
	return os_sys3(SYS_mprotect, addr, size, PROT_NONE);
}

long os_window_lock(uint64_t addr, uint64_t size, int flags)
{
	int err = os_fail(OS_FAIL_LOCK);

	if (err)
		return err;
	/* Without flags the older call will do, which filters may know. */
	if (!flags)
		return os_sys2(SYS_mlock, addr, size);
	return os_sys3(SYS_mlock2, addr, size, flags);
}

long os_window_unlock(uint64_t addr, uint64_t size)
{
	return os_sys2(SYS_munlock, addr, size);
}

long os_window_advise(uint64_t addr, uint64_t size, int advice)
{
	int err = os_fail(OS_FAIL_ADVISE);

	return err ? err : os_sys3(SYS_madvise, addr, size, advice);
}

/* ---- the empty file, the limit --------------------------------------------------------------- */

static int make_empty(int *fd)
{
	long ret;

	if (!os_jail_hold())
		return os_spare_take(NULL, fd);
	ret = os_fail(OS_FAIL_MEMFD);
	if (!ret)
		ret = os_sys2(SYS_memfd_create, "gmem-empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	os_jail_let();
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	return os_fd_adopt(fd);
}

int os_window_empty(int *fd)
{
	int err = make_empty(fd);

	if (err)
		return err;
	err = (int)os_sys3(SYS_fcntl, *fd, F_ADD_SEALS, SEALS);
	if (err) {
		os_fd_close(*fd);
		*fd = -1;
	}
	return err;
}

uint64_t os_window_max(void)
{
	char text[32];
	uint64_t max = 0;
	long fd, nr;

	fd = os_sys4(SYS_openat, AT_FDCWD, "/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return DEFAULT_MAX_MAPPINGS;
	nr = os_sys3(SYS_read, fd, text, sizeof(text));
	os_sys1(SYS_close, fd);
	for (long i = 0; i < nr && text[i] >= '0' && text[i] <= '9'; i++)
		max = max * 10 + (uint64_t)(text[i] - '0');
	return max ? max : DEFAULT_MAX_MAPPINGS;
}

int64_t os_window_count(void)
{
	int64_t lines = 0;
	char text[2048];
	long fd, nr;

	fd = os_sys4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	while ((nr = os_sys3(SYS_read, fd, text, sizeof(text))) > 0)
		for (long i = 0; i < nr; i++)
			lines += text[i] == '\n';
	os_sys1(SYS_close, fd);
	return nr < 0 ? nr : lines;
}

/* ---- marks ----------------------------------------------------------------------------------- */

int os_marks_open(int *fd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_POISON | FEATURE_WP_FILES };
	long ret = os_fail(OS_FAIL_MARKS);
	int own;

	if (!ret)
		ret = os_sys1(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
	if (ret < 0)
		return (int)ret;
	own = (int)ret;
	ret = os_sys3(SYS_ioctl, own, UFFDIO_API, &api);
	if (ret) {
		os_sys1(SYS_close, own);
		return (int)ret;
	}
	ret = os_fd_adopt(&own);
	if (!ret)
		*fd = own;
	return (int)ret;
}

int os_marks_watch(int fd, uint64_t addr, uint64_t size)
{
	struct uffdio_register reg = { .range = { .start = addr, .len = size },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	int err = os_fail(OS_FAIL_WATCH);

	return err ? err : (int)os_sys3(SYS_ioctl, fd, UFFDIO_REGISTER, &reg);
}

int os_marks_unwatch(int fd, uint64_t addr, uint64_t size)
{
	struct uffdio_range range = { .start = addr, .len = size };

	return (int)os_sys3(SYS_ioctl, fd, UFFDIO_UNREGISTER, &range);
}

int os_mark(int fd, uint64_t addr, uint64_t size, uint64_t *done)
{
	struct poison p = { .range = { .start = addr, .len = size }, .mode = 1 /* wake nobody */ };
	int err = os_fail(OS_FAIL_MARK);

	*done = 0;
	if (err)
		return err;
	err = (int)os_sys3(SYS_ioctl, fd, IOCTL_POISON, &p);
	*done = err && p.updated < 0 ? 0 : (uint64_t)p.updated;
	return err;
}

/* ---- closing --------------------------------------------------------------------------------- */

static int closer_try(int own)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = FEATURE_MINOR_HUGETLB | FEATURE_MINOR_SHMEM };
	long ret = os_sys3(SYS_ioctl, own, UFFDIO_API, &api);

	if (ret)
		os_sys1(SYS_close, own);
	return ret ? (int)ret : own;
}

/* Not USER_MODE_ONLY: system calls are to wait as well. */
int os_closer_make(int *fd)
{
	long ret = os_fail(OS_FAIL_MARKS);
	int own, err;

	if (!ret)
		ret = os_sys1(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	own = ret < 0 ? (int)ret : closer_try((int)ret);
	if (own < 0)
		return own;
	err = os_fd_adopt(&own);
	if (!err)
		*fd = own;
	return err;
}

int os_closer_close(int fd, uint64_t addr, uint64_t size)
{
	struct uffdio_register reg = { .range = { .start = addr, .len = size },
				       .mode = MODE_CLOSED };
	long ret = os_fail(OS_FAIL_WATCH);

	if (!ret)
		ret = os_sys3(SYS_ioctl, fd, UFFDIO_REGISTER, &reg);
	if (!ret)
		ret = os_window_advise(addr, size, MADV_DONTNEED);
	if (!ret)
		return 0;
	os_closer_open(fd, addr, size);
	return -ENOMEM;
}

/* Ending the watch wakes nobody where the mapping is another one. */
void os_closer_open(int fd, uint64_t addr, uint64_t size)
{
	struct uffdio_range range = { .start = addr, .len = size };

	os_sys3(SYS_ioctl, fd, UFFDIO_UNREGISTER, &range);
	os_sys3(SYS_ioctl, fd, UFFDIO_WAKE, &range);
}
