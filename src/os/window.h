/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Windows of the program: the calls that map/ changes them with. Thin, so that a test can stand in for each;
 * who may call what, and when, is for map/guard.h and map/host_map.h to say. Results are the kernel's: a
 * value or 0, or -errno. Async-signal-safe, no locks.
 *
 * A mark is a page table entry of a shared file mapping that answers every access with SIGBUS (from a
 * system call: EFAULT) until it is dropped, and costs no mapping of its own. It is set through a
 * userfaultfd that watches the mapping; nothing is ever read from that.
 */
#ifndef GMEM_OS_WINDOW_H
#define GMEM_OS_WINDOW_H

#include <stdint.h>

long os_window_map(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset);
/* A mapping of gmem's own (place.h): shared, without rights. It ends as the others do. */
long os_window_aside(uint64_t size, int fd, uint64_t offset);
/* Of whole mappings, which cannot fail. */
long os_window_unmap(uint64_t addr, uint64_t size);
/* Of what may be the middle of one. -ENOMEM: that would be one too many. */
long os_window_cut(uint64_t addr, uint64_t size);
/* mremap(2) */
long os_window_move(uint64_t addr, uint64_t old_size, uint64_t size, int flags, uint64_t to);
/* pkey -1: mprotect(2) */
long os_window_protect(uint64_t addr, uint64_t size, int prot, int pkey);
/* Takes all rights of whole mappings, which needs no memory: for who has none. */
long os_window_bar(uint64_t addr, uint64_t size);
/* mlock2(2), or munlock(2) */
long os_window_lock(uint64_t addr, uint64_t size, int flags);
long os_window_unlock(uint64_t addr, uint64_t size);
long os_window_advise(uint64_t addr, uint64_t size, int advice);

/* A file without a byte in it, for good: what is mapped of it is SIGBUS. */
int os_window_empty(int *fd);
/* How many mappings a process may have, and how many this one has (-errno: it cannot be known); the second takes a
 * while. */
uint64_t os_window_max(void);
int64_t os_window_count(void);

/* A descriptor of ours to set marks with. Needs no privilege. -EPERM, -ENOSYS, -EINVAL: there are none
 * here (an old kernel, a filter); -EMFILE, -ENFILE, -ENOMEM: not now. */
int os_marks_open(int *fd);
/* Watching comes before marks, and is lost when a mapping moves; marks are not. */
int os_marks_watch(int fd, uint64_t addr, uint64_t size);
int os_marks_unwatch(int fd, uint64_t addr, uint64_t size);
/* Marks pages that are not present, inside one mapping; *done: bytes, also on failure. -EEXIST: the next page
 * is present, or marked. -ENOENT: not one mapping. -EAGAIN: try again. -ENOMEM. */
int os_mark(int fd, uint64_t addr, uint64_t size, uint64_t *done);

/*
 * A descriptor of ours to close ranges of mappings of memfds with, so that whoever touches them waits, system calls too.
 * -EPERM and others: not for this process.
 */
int os_closer_make(int *fd);
/* Parts of one mapping become one of their own. What page tables have of it is dropped. -ENOMEM: it is as it was. */
int os_closer_close(int fd, uint64_t addr, uint64_t size);
/* The mapping that was closed, or another in its place, is touched again. */
void os_closer_open(int fd, uint64_t addr, uint64_t size);

#endif
