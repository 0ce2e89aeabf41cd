/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * uapi: the few calls by which a case speaks to KVM, so that the same case is measured several ways:
 *
 *	uapi_libc	the C library: the host's own kernel, or gmem in a program under "gmem run"
 *	uapi_linked	gmem's kvm/ and what is below it in this very program, called directly, without the
 *			preloaded library and its table of descriptors (uapi_linked.c is only in programs that
 *			are linked with libkvm)
 *
 * Descriptors of one way mean nothing to another. Memory that a slot names by userspace_addr must come from map
 * and go by unmap of the same way, since the guest's side is told of it there. Any thread may call anything;
 * results are a value or -errno.
 */
#ifndef GMEM_BENCH_UAPI_H
#define GMEM_BENCH_UAPI_H

#include <stdint.h>

#define UAPI_NOTHING (-2)

struct uapi {
	const char *name;
	/* Open on /dev/kvm. Where there is none: -ENOENT, -ENODEV, -EACCES. */
	int (*open)(void);
	long (*ioctl)(int fd, unsigned int cmd, uint64_t arg);
	/* Shared, readable and writable, at a place of the system's. fd -1: private memory of nobody's. */
	int (*map)(int fd, uint64_t offset, uint64_t size, void **out);
	int (*unmap)(void *addr, uint64_t size);
	/* The same as map in place of whatever is there; UAPI_NOTHING: what nobody can touch. A failure changes
	 * nothing. */
	int (*map_at)(void *addr, int fd, uint64_t offset, uint64_t size);
	int (*fallocate)(int fd, int mode, int64_t offset, int64_t size);
	int (*madvise)(void *addr, uint64_t size, int advice);
	/* One mapping, or a part of one, goes in place of whatever is at to; where it was is nothing then. A failure
	 * may have taken away what was at to. */
	int (*move)(void *addr, uint64_t size, void *to);
	int (*dup)(int fd);
	int (*close)(int fd);
};

extern const struct uapi uapi_libc, uapi_linked;

static inline long uapi_ioctl(const struct uapi *u, int fd, unsigned int cmd, const void *arg)
{
	return u->ioctl(fd, cmd, (uintptr_t)arg);
}

#endif
