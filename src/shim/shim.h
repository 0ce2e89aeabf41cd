/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * shim: libgmem-kvm.so, which stands between an unmodified program and the C library.
 *
 * Every function of the C library that takes a descriptor or a path which may be one of ours is
 * defined here again. It first asks, by a table look-up without a lock, whether the descriptor is
 * ours; if not, the call goes on untouched: errno, cancellation, safety in signal handlers and
 * speed are the C library's own. If so, kvm/ answers.
 *
 *	calls_*.c    the exported functions, by family
 *	ops          what they answer for a handle
 *	fdtable      number -> handle
 *	handle       what stands behind our descriptors; last close
 *	path         names that are ours: /dev/kvm, /sys/module/kvm, /proc/self/fd/N
 *	signal       the program's handlers, and how they wait while a thread is inside gmem
 *	fork         what a child process begins with
 *	jail         what is made before the program filters its system calls
 *	map_change   the frame of every change of a mapping
 *	observe      whether somebody observes, and where in the program a call comes from
 *	exec         other programs run under gmem too
 *	real         the C library's functions behind ours
 *
 * Functions that serve a call return a value or -errno; only the exported ones touch errno.
 */
#ifndef GMEM_SHIM_SHIM_H
#define GMEM_SHIM_SHIM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/signal.h"
#include "os/sys.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

/* A result in the kernel's manner to one in the C library's. */
static inline long shim_return(long ret)
{
	if (__builtin_expect(os_sys_failed(ret), 0)) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

/* Calls into kvm/, map/ and core/, and whatever takes a lock, are made between these two: signals
 * of the program wait. They nest. */
#define shim_enter os_signals_begin
#define shim_leave os_signals_end

/* Are we a process that shares another one's memory, between vfork() and exec? Then nothing that is
 * kept in memory may change: it is the parent's. A system call. */
bool shim_is_vfork_child(void);

/* Is it a thread of this process? A system call. */
static inline bool shim_is_own_thread(long tid)
{
	long self = os_sys0(SYS_getpid);

	return tid == self || os_sys3(SYS_tgkill, self, tid, 0) == 0;
}

/* Sets up everything. Runs as a constructor, and earlier if a program calls earlier. */
void shim_init(void);

#endif
