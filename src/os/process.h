/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a process is to gmem: who it is, whose children it is, and the eventfds it lends us. */
#ifndef GMEM_OS_PROCESS_H
#define GMEM_OS_PROCESS_H

#include <stdint.h>

/* A number that no other process of a family of forks has; the same for the life of a process. Seen to
 * differ in a child however it was made. No system call after the first. */
uint64_t os_home_token(void);

/* The ids that a file made by this process gets. */
uint32_t os_fs_uid(void);
uint32_t os_fs_gid(void);

/* Processors that this process may run on. */
uint32_t os_nr_cpus(void);

/* Bytes that this process may keep in memory for good (RLIMIT_MEMLOCK); UINT64_MAX: no limit, or this thread has
 * CAP_IPC_LOCK. */
uint64_t os_memlock_limit(void);

/* Bytes that a file of this process may have (RLIMIT_FSIZE), or it is sent a signal; UINT64_MAX: no limit. */
uint64_t os_file_limit(void);

/* Takes hold of an eventfd of the program: *own is a descriptor of ours for it, *key names the eventfd
 * itself. -EBADF: not open; -EINVAL: not an eventfd. */
int os_eventfd_hold(int fd, int *own, uint64_t *key);

#endif
