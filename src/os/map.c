/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Mappings. */
#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/uio.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/place.h"
#include "os/sanitize.h"
#include "os/sys.h"

#ifndef MADV_DONTFORK
#define MADV_DONTFORK 10
#endif
#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int protection(unsigned int flags)
{
	return (flags & OS_MAP_READ ? PROT_READ : 0) | (flags & OS_MAP_WRITE ? PROT_WRITE : 0);
}

static int hide(void *addr, size_t size)
{
	long ret = os_fail(OS_FAIL_ADVISE);

	if (!ret)
		ret = os_sys3(SYS_madvise, addr, size, MADV_DONTFORK);
	if (!ret)
		ret = os_sys3(SYS_madvise, addr, size, MADV_DONTDUMP);
	return (int)ret;
}

/* Hands out what was mapped, or takes it back. */
static int finish(long ret, size_t size, unsigned int flags, void **out)
{
	void *addr = (void *)ret;
	int err;

	if (os_sys_failed(ret))
		return (int)ret;
	err = flags & OS_MAP_HIDDEN ? hide(addr, size) : 0;
	if (err)
		os_unmap(addr, size);
	else
		*out = addr;
	return err;
}

int os_reserve(size_t size, size_t align, uint64_t offset, void **out)
{
	size_t slack = align - OS_PAGE_SIZE;
	size_t front;
	long ret;

	os_assert(!((size | offset) & (OS_PAGE_SIZE - 1)));
	if (size > SIZE_MAX - slack)
		return -ENOMEM;
	ret = os_fail(OS_FAIL_MAP);
	if (!ret)
		ret = os_map_raw(0, size + slack, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (os_sys_failed(ret))
		return (int)ret;
	front = (offset - (uint64_t)ret) & (align - 1);
	os_unmap((void *)ret, front);
	os_unmap((char *)ret + front + size, slack - front);
	*out = (char *)ret + front;
	return 0;
}

int os_map_file(int fd, uint64_t offset, size_t size, size_t align, unsigned int flags, void **out)
{
	int err = os_fail(OS_FAIL_MAP);

	if (err)
		return err;
	size = os_page_up(size);
	align = align < OS_PAGE_SIZE ? OS_PAGE_SIZE : align;
	return finish(os_place_map(size, align, protection(flags), MAP_SHARED, fd, offset), size,
		      flags, out);
}

int os_map_anon(size_t size, unsigned int flags, void **out)
{
	int err = os_fail(OS_FAIL_MAP);

	if (err)
		return err;
	size = os_page_up(size);
	return finish(os_place_map(size, OS_PAGE_SIZE, protection(flags),
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
		      size, flags, out);
}

int os_populate(void *addr, size_t size, bool write)
{
	uintptr_t start = (uintptr_t)addr & ~(OS_PAGE_SIZE - 1);
	uintptr_t end = ((uintptr_t)addr + size + OS_PAGE_SIZE - 1) & ~(OS_PAGE_SIZE - 1);
	long ret = os_fail(OS_FAIL_POPULATE);

	if (!ret)
		ret = os_sys3(SYS_madvise, start, end - start,
			      write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	/* Nothing mapped there, or mapped without the right: the caller asked about touching. */
	if (ret == -ENOMEM || ret == -EINVAL)
		ret = -EFAULT;
	return (int)ret;
}

/* A filter of system calls may know nothing of it: then what can be asked for and read is all there is. */
static int read_touched(void *to, uint64_t from, size_t size)
{
	int err = os_populate((void *)(uintptr_t)from, size, false);

	if (!err)
		memcpy(to, (const void *)(uintptr_t)from, size);
	return err;
}

int os_read_program(void *to, uint64_t from, size_t size)
{
	struct iovec here = { .iov_base = to, .iov_len = size };
	struct iovec there = { .iov_base = (void *)(uintptr_t)from, .iov_len = size };
	long ret = os_fail(OS_FAIL_POPULATE);

	if (!ret)
		ret = os_sys6(SYS_process_vm_readv, os_sys0(SYS_getpid), &here, 1, &there, 1, 0);
	if (ret == -ENOSYS || ret == -EPERM)
		return read_touched(to, from, size);
	if (ret < 0)
		return (int)ret;
	return (size_t)ret == size ? 0 : -EFAULT;
}

int os_collapse(void *addr, size_t size)
{
	int err = os_fail(OS_FAIL_COLLAPSE);

	return err ? err : (int)os_sys3(SYS_madvise, addr, size, MADV_COLLAPSE);
}

#if OS_TSAN

/* The thread sanitizer must see that an address begins a new life. */
#include <sys/types.h>

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
int munmap(void *addr, size_t size);
int *__errno_location(void);

long os_map_raw(uint64_t addr, size_t size, int prot, int flags, int fd, uint64_t offset)
{
	void *map = mmap((void *)addr, size, prot, flags, fd, (off_t)offset);

	return map == (void *)-1 ? -(long)*__errno_location() : (long)map;
}

void os_unmap(void *addr, size_t size)
{
	if (size)
		munmap(addr, size);
}

#else

long os_map_raw(uint64_t addr, size_t size, int prot, int flags, int fd, uint64_t offset)
{
	return os_sys6(SYS_mmap, addr, size, prot, flags, fd, offset);
}

void os_unmap(void *addr, size_t size)
{
	if (!size)
		return;
	os_sys2(SYS_munmap, addr, size);
	os_place_left((uintptr_t)addr, size);
}

#endif
