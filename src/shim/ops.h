/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * ops: what a system call on one of our descriptors answers. The exported functions and syscall()
 * both end here. Each takes a handle that its caller counts, is called between shim_enter() and
 * shim_leave(), and returns what the kernel would: a value or -errno.
 */
#ifndef GMEM_SHIM_OPS_H
#define GMEM_SHIM_OPS_H

#include <stdint.h>
#include <sys/stat.h>

#include "shim/handle.h"

enum op_data { OP_READ, OP_WRITE };

/* read, write, readv, writev and, at a place, pread, pwrite, preadv, pwritev. */
long op_data(struct handle *h, enum op_data what);
long op_data_at(struct handle *h, enum op_data what, int64_t offset);
long op_seek(struct handle *h, int64_t offset, int whence);
long op_truncate(struct handle *h, int64_t size);
long op_sync(struct handle *h);
long op_fallocate(struct handle *h, int mode, int64_t offset, int64_t size);
/* fchmod, fchown, futimens: the attributes of the inode. */
long op_setattr(struct handle *h);
long op_getxattr(struct handle *h);
long op_ioctl(struct handle *h, int fd, unsigned int cmd, uint64_t arg);
/* KVM_RUN of a vCPU. */
long op_run(struct handle *h, uint64_t arg);
/* true and *ret: answered here; false: the kernel's answer for the handle's memfd is right. */
bool op_fcntl(struct handle *h, int fd, int cmd, uint64_t arg, long *ret);
long op_mmap(struct handle *h, uint64_t addr, uint64_t size, int prot, int flags, uint64_t offset);

void op_stat(struct handle *h, struct stat *st);
/* fstatfs: the type of the file system. */
uint64_t op_fs_type(struct handle *h);

#endif
