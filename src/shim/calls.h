/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * calls: what the exported functions of one file do, for syscall() and for other files. A value or
 * -errno. Those whose name ends in _ours want a handle, as ops.h.
 */
#ifndef GMEM_SHIM_CALLS_H
#define GMEM_SHIM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/handle.h"

/* copy is what the kernel answered to a copying of fd. */
long calls_dup(long copy, int fd);
long calls_dup_to(int fd, int to, int flags, bool is_dup3);
long calls_close(int fd);
long calls_close_range(unsigned int first, unsigned int last, unsigned int flags);
long calls_fcntl_ours(struct handle *h, int fd, int cmd, uint64_t arg);
/* The descriptor that fcntl() and lockf() shall lock, for fd. */
int calls_lock_fd(int fd);
long calls_ioctl(int fd, unsigned int cmd, uint64_t arg);

/* Does (dirfd, name, AT_EMPTY_PATH) mean dirfd itself, which may be ours? */
bool calls_means_descriptor(int dirfd, uint64_t name, int flags);
long calls_fstat(int fd, uint64_t out);
long calls_fstatat(int dirfd, uint64_t name, uint64_t out, int flags);
long calls_statx(int dirfd, uint64_t name, int flags, unsigned int mask, uint64_t out);
long calls_fstatfs(int fd, uint64_t out);
bool calls_access_ours(int dirfd, uint64_t name, int mode, long *ret);
long calls_readlinkat(int dirfd, uint64_t name, uint64_t text, uint64_t size);

/* May userfaultfd have the range, or let go of it, at the start of this structure of the program? */
bool calls_may_register(uint64_t uffdio_range);
long calls_mmap(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset);
long calls_munmap(uint64_t addr, uint64_t size);
long calls_mremap(uint64_t addr, uint64_t old_size, uint64_t size, int flags, uint64_t to);
long calls_mprotect(uint64_t addr, uint64_t size, int prot, int pkey);
long calls_madvise(uint64_t addr, uint64_t size, int advice);
long calls_msync(uint64_t addr, uint64_t size, int flags, bool *answered);
long calls_remap_file_pages(uint64_t addr, uint64_t size, int prot, uint64_t pgoff, int flags);
long calls_mseal(uint64_t addr, uint64_t size, unsigned long flags);
/* rest: what follows address and size. */
long calls_mbind(uint64_t addr, uint64_t size, const uint64_t rest[4]);
long calls_set_mempolicy_home_node(uint64_t addr, uint64_t size, const uint64_t rest[2]);
long calls_get_mempolicy(uint64_t mode, uint64_t mask, uint64_t maxnode, uint64_t addr,
			 uint64_t flags);
long calls_process_madvise(int pidfd, uint64_t vec, uint64_t nr, int advice, unsigned int flags);
/* mlock2's flags; lock false: munlock, munlockall. */
long calls_mlock(uint64_t addr, uint64_t size, int flags, bool lock);
long calls_mlockall(int flags, bool lock);

/* Pages of guest_memfds in pipes. */
long calls_vmsplice(int fd, uint64_t iov, uint64_t nr, unsigned int flags);
long calls_splice(int in, uint64_t in_at, int out, uint64_t out_at, uint64_t size,
		  unsigned int flags);
long calls_tee(int in, int out, uint64_t size, unsigned int flags);
/* write() and writev() and those with an offset, by number; from is where in the program. */
long calls_write(struct handle *h, long nr, uint64_t from, uint64_t size, int64_t offset);
long calls_writev(struct handle *h, long nr, uint64_t iov, int n, int64_t offset);

/* process_vm_readv, process_vm_writev, with the arguments of the call. */
long calls_process_vm(long nr, const uint64_t a[6]);
/* Flags of an open file, options of a socket: with some of them I/O holds pages that we cannot see. */
void calls_note_flags(int flags);
void calls_note_zerocopy(int level, int option);

/* clone(2) as the kernel has it, for a child that goes on where it is. */
long calls_raw_clone(unsigned long flags, const uint64_t args[5]);

void calls_before_sendmsg(uint64_t msg);
struct msghdr;
void calls_after_recvmsg(struct msghdr *msg);
/* fd has come from elsewhere and may be one of ours. */
void calls_adopt(int fd);
/* One that could not be followed when it came is tried again; true: fd is one of ours now. */
bool calls_adopt_late(int fd);
/* At the start of a program: those that came over exec. */
void calls_adopt_inherited(void);

/* memfd_create(), and memfd_restricted() where that has a number (GMEM_RESTRICTED_NR). */
long calls_memfd_create(uint64_t name, unsigned int flags);
void calls_set_restricted(const char *number);
bool calls_is_restricted(long nr);
long calls_memfd_restricted(unsigned int flags);

/* The process is about to end in order; does nothing in a vfork child. */
void calls_before_exit(void);

/* Around a fork: nobody is in the middle of changing a mapping. */
void calls_map_lock(void);
void calls_map_unlock(void);

#endif
