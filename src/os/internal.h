/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Between the files of os alone. */
#ifndef GMEM_OS_INTERNAL_H
#define GMEM_OS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The form rt_sigaction takes; the handler is an address, 0 and 1 being default and ignore. */
struct os_kernel_sigaction {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

/* The child of a fork has one thread: locks that others held are free. */
void os_alloc_after_fork(void);
void os_spare_after_fork(void);
void os_thread_after_fork(void);
/* What os_signal_pending() says when nothing fails. */
bool os_signal_is_kept(void);
/* What the thread's outermost os_signals_end() calls when a signal is pending; for the life of the thread. */
void os_signals_at_end(void (*release)(void));
/* mmap(2), seen by the thread sanitizer. */
long os_map_raw(uint64_t addr, size_t size, int prot, int flags, int fd, uint64_t offset);
/* How many numbers there are for descriptors of ours. */
unsigned int os_fd_room(void);

#endif
