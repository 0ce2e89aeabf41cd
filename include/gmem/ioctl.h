/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Requests to a guest_memfd that are gmem's own: what the kernel's interface for conversion in place lacks. A
 * program finds out whether it runs under gmem by asking: a kernel's guest_memfd, and any other descriptor,
 * answers ENOTTY.
 *
 * They work on every descriptor of a guest_memfd: a duplicate, one that was inherited over fork or exec, one
 * that came through a socket; also after the VM's descriptor is closed, without memslots, and without
 * GUEST_MEMFD_FLAG_MMAP.
 *
 *	GMEM_CONVERT		as KVM_SET_MEMORY_ATTRIBUTES2, and tells every range that refused, not the first
 *	GMEM_GET_ATTRIBUTES	which pages are private, as runs
 *
 * All offsets and sizes are bytes in the file and multiples of 4096. Fields marked 0 must be 0 (EINVAL).
 */
#ifndef GMEM_IOCTL_H
#define GMEM_IOCTL_H

#include <linux/ioctl.h>
#include <stdint.h>

/* The type byte of the numbers; KVM's is 0xAE. */
#define GMEM_IOCTL_TYPE 0xe6

/* A part of the file. */
struct gmem_ioctl_range {
	uint64_t offset;
	uint64_t size;
};

/*
 * GMEM_CONVERT: makes [offset, offset + size) private or shared, all of it or nothing. Only on a guest_memfd
 * that converts in place (else ENOTTY: a profile without it, or a VM that has not been switched to it).
 *
 *	EFAULT	the structure or the array cannot be read or written; of the array: the conversion may have
 *		failed as well, it has never succeeded
 *	EINVAL	a field that must be 0, an attribute this file's VM does not have, a range that is empty, not page
 *		aligned, or not in the file: as KVM_SET_MEMORY_ATTRIBUTES2, in its order
 *	EAGAIN	pages are in use (pinned, or another process did not let go of them in time); nothing has changed
 *	ENOMEM, EINTR (a signal waits), EIO (the process that made the file is gone), ENOSPC (it serves as many
 *		processes as it can): nothing has changed
 *
 * With EAGAIN, refused[0 .. min(nr_refused, max_refused) - 1] are the ranges that refused, in order, joined
 * where they touch; a program that lets go of all of them, and converts again, needs two calls, however many
 * there were. With the errors before EAGAIN nothing is written but on success (nr_refused 0).
 */
struct gmem_ioctl_convert {
	uint64_t offset;
	uint64_t size;
	uint64_t attributes; /* 0: shared; KVM_MEMORY_ATTRIBUTE_PRIVATE (8): private */
	uint64_t flags;	     /* 0 */
	uint64_t
		refused; /* in: address of struct gmem_ioctl_range[max_refused]; may be 0 if that is 0 */
	uint32_t max_refused;  /* in: at most GMEM_IOCTL_MAX_RANGES */
	uint32_t nr_refused;   /* out: how many there were, also those there was no room for */
	uint64_t error_offset; /* out, on failure: the lowest page that refused, else offset */
	uint64_t reserved[9];  /* 0 */
};

/* A part of the file whose pages are all the same. */
struct gmem_ioctl_run {
	uint64_t offset;
	uint64_t size;
	uint32_t attributes; /* as above */
	uint32_t reserved;   /* 0 */
};

/*
 * GMEM_GET_ATTRIBUTES: what the pages of [offset, offset + size) are now, in order, neighbours differing. On
 * every guest_memfd: one that does not convert in place is shared (GUEST_MEMFD_FLAG_INIT_SHARED) or private as
 * a whole, which is what its host mappings obey; what guests find there, the VM's attributes say.
 *
 *	EFAULT	the structure or the array cannot be read or written
 *	EINVAL	a field that must be 0, max_runs 0 or too large, or a range as above
 *	ENOMEM, EINTR, EIO, EAGAIN (the process that made the file did not answer)
 *
 * When nr_runs is max_runs there may be more: ask again from the end of the last one. One call sees one moment in
 * the process that made the file; elsewhere each 64 runs do.
 */
struct gmem_ioctl_attributes {
	uint64_t offset;
	uint64_t size;
	uint64_t runs;	      /* in: address of struct gmem_ioctl_run[max_runs] */
	uint32_t max_runs;    /* in: 1 to GMEM_IOCTL_MAX_RANGES */
	uint32_t nr_runs;     /* out */
	uint64_t reserved[4]; /* 0 */
};

#define GMEM_IOCTL_MAX_RANGES (1u << 20)

#define GMEM_CONVERT _IOWR(GMEM_IOCTL_TYPE, 1, struct gmem_ioctl_convert)
#define GMEM_GET_ATTRIBUTES _IOWR(GMEM_IOCTL_TYPE, 2, struct gmem_ioctl_attributes)
/* On /dev/kvm; the argument is the flags. memfd_restricted() of <gmem/early.h> makes it. */
#define GMEM_MEMFD_RESTRICTED _IO(GMEM_IOCTL_TYPE, 0x20)

#ifdef __cplusplus
#define GMEM_IOCTL_SIZE(type, size) static_assert(sizeof(struct type) == (size), "layout")
#else
#define GMEM_IOCTL_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "layout")
#endif
GMEM_IOCTL_SIZE(gmem_ioctl_convert, 128);
GMEM_IOCTL_SIZE(gmem_ioctl_attributes, 64);

#endif
