/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int libc_open(void)
{
	return (int)result(open("/dev/kvm", O_RDWR | O_CLOEXEC));
}

static long libc_ioctl(int fd, unsigned int cmd, uint64_t arg)
{
	return result(ioctl(fd, cmd, arg));
}

static int libc_map(int fd, uint64_t offset, uint64_t size, void **out)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);

	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

static int libc_map_at(void *addr, int fd, uint64_t offset, uint64_t size)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	int prot = fd == UAPI_NOTHING ? PROT_NONE : PROT_READ | PROT_WRITE;

	if (mmap(addr, size, prot, flags | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
		return -errno;
	return 0;
}

static int libc_unmap(void *addr, uint64_t size)
{
	return (int)result(munmap(addr, size));
}

static int libc_fallocate(int fd, int mode, int64_t offset, int64_t size)
{
	return (int)result(fallocate(fd, mode, offset, size));
}

static int libc_madvise(void *addr, uint64_t size, int advice)
{
	return (int)result(madvise(addr, size, advice));
}

static int libc_move(void *addr, uint64_t size, void *to)
{
	void *at = mremap(addr, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);

	return at == MAP_FAILED ? -errno : 0;
}

static int libc_dup(int fd)
{
	return (int)result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static int libc_close(int fd)
{
	return (int)result(close(fd));
}

const struct uapi uapi_libc = {
	.name = "libc",
	.open = libc_open,
	.ioctl = libc_ioctl,
	.map = libc_map,
	.unmap = libc_unmap,
	.map_at = libc_map_at,
	.fallocate = libc_fallocate,
	.madvise = libc_madvise,
	.move = libc_move,
	.dup = libc_dup,
	.close = libc_close,
};
