/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Files in memory, and the descriptors of others that we signal. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/spare.h"
#include "os/sys.h"

static int memfd_make(const char *name, int *fd)
{
	long ret;

	if (!os_jail_hold())
		return os_spare_take(NULL, fd);
	ret = os_fail(OS_FAIL_MEMFD);
	if (!ret)
		ret = os_sys2(SYS_memfd_create, name, MFD_CLOEXEC);
	os_jail_let();
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	return os_fd_adopt(fd);
}

int os_memfd_create(const char *name, uint64_t size, int *fd)
{
	int err = memfd_make(name, fd);

	if (err)
		return err;
	err = os_file_resize(*fd, size);
	if (err) {
		os_fd_close(*fd);
		*fd = -1;
	}
	return err;
}

/* A shared mapping sets pages aside; they stay so without it. */
static int set_aside(int fd, uint64_t size, uint64_t page_size)
{
	void *addr;
	int err = os_map_file(fd, 0, size, page_size, 0, &addr);

	if (!err)
		os_unmap(addr, size);
	return err;
}

/* The flags of memfd_create() that say it. */
static unsigned int flags_for(uint64_t page_size)
{
	return MFD_CLOEXEC | MFD_HUGETLB |
	       (unsigned int)__builtin_ctzll(page_size) << MFD_HUGE_SHIFT;
}

int os_memfd_create_huge(const char *name, uint64_t size, uint64_t page_size, int *fd)
{
	long ret;
	int err;

	if (!os_jail_hold())
		return -EMFILE;
	ret = os_fail(OS_FAIL_MEMFD);
	if (!ret)
		ret = os_sys2(SYS_memfd_create, name, flags_for(page_size));
	os_jail_let();
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	err = os_fd_adopt(fd);
	if (err)
		return err;
	err = os_file_resize(*fd, size);
	if (!err)
		err = set_aside(*fd, size, page_size);
	if (err) {
		os_fd_close(*fd);
		*fd = -1;
	}
	return err;
}

int os_file_punch(int fd, uint64_t offset, uint64_t size)
{
	return (int)os_sys4(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
			    size);
}

int os_file_allocate(int fd, uint64_t offset, uint64_t size)
{
	int err = os_fail(OS_FAIL_ALLOCATE);

	return err ? err : (int)os_sys4(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, offset, size);
}

int os_file_resize(int fd, uint64_t size)
{
	int err = os_fail(OS_FAIL_RESIZE);

	return err ? err : (int)os_sys2(SYS_ftruncate, fd, size);
}

int os_file_backed(int fd, uint64_t *bytes)
{
	struct stat st;
	long ret = os_sys2(SYS_fstat, fd, &st);

	if (ret)
		return (int)ret;
	*bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}

int os_file_data(int fd, uint64_t offset, uint64_t *start, uint64_t *end)
{
	long from = os_sys3(SYS_lseek, fd, offset, SEEK_DATA);
	long to = from < 0 ? from : os_sys3(SYS_lseek, fd, from, SEEK_HOLE);

	if (to < 0)
		return (int)to;
	*start = (uint64_t)from;
	*end = (uint64_t)to;
	return 0;
}

long os_file_write_from(int fd, uint64_t from, uint64_t size, uint64_t offset)
{
	return os_sys4(SYS_pwrite64, fd, from, size, offset);
}

/* A write waits while the counter is full; a signal to whoever has not looked for 2^64 times is none more. */
int os_eventfd_signal(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct timespec at_once = { 0 };
	uint64_t one = 1;
	long ret = os_sys5(SYS_ppoll, &p, 1, &at_once, NULL, 0);

	if (ret == 0)
		return 0;
	if (ret > 0)
		ret = os_sys3(SYS_write, fd, &one, sizeof(one));
	return ret < 0 ? (int)ret : 0;
}
