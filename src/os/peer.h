/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Other processes: memory that is shared with them, whether they live, and what their descriptors are of.
 *
 * That a process lives is told by a lock of the OFD kind on a byte of a file: it dies with the last copy of
 * the description, so with exit and with exec. A child that was made behind our back keeps a copy; so a
 * process that holds the lock and has exited is asked for by its number, too (pidfd: exited means all of
 * its threads, also when the first one went early).
 *
 * Results are 0 or -errno. Any thread, no lock.
 */
#ifndef GMEM_OS_PEER_H
#define GMEM_OS_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As os_wait() and os_wake_all(), on memory that other processes have mapped, too. */
int os_shared_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void os_shared_wake(_Atomic uint32_t *word);

/* -EAGAIN: somebody else's. */
int os_peer_lock(int fd, uint64_t byte);
void os_peer_unlock(int fd, uint64_t byte);
/* Held through another description than fd's? */
bool os_peer_locked(int fd, uint64_t byte);

uint32_t os_peer_self(void);
/* Numbers of processes mean the same where this is the same; 0: cannot be known. */
uint64_t os_peer_namespace(void);
/* False when the process is known to have ended. */
bool os_peer_lives(uint32_t pid);

/* A description of its own for what descriptor fd of process pid is of (0: this process); a descriptor of ours.
 * -ENOENT, -EACCES. */
int os_peer_open(uint32_t pid, int fd, int *own);
/* The text behind /proc/PID/fd/N, ended by a zero. Its length. */
long os_peer_link(uint32_t pid, int fd, char *text, size_t size);
int os_peer_size(int fd, uint64_t *size);
/* The next descriptor of a process from fd (>= 0) on whose link text begins so; -ENOENT: none. */
int os_peer_find(uint32_t pid, int fd, const char *begins, char *text, size_t size);

#endif
