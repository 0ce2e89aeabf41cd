/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * sys: system calls made by hand.
 *
 * libgmem-kvm.so exports names such as open(), ioctl() and syscall() itself, so nothing in src/os
 * and src/shim may call libc's wrappers: they would come back to us. These also leave errno
 * alone and are no cancellation points. Any thread, any signal handler, any time.
 *
 * The result is what the kernel returned: a value, or -errno (-4095 to -1). Arguments are
 * integers or pointers of any kind: os_sys3(SYS_read, fd, buf, size).
 */
#ifndef GMEM_OS_SYS_H
#define GMEM_OS_SYS_H

#include <stdbool.h>
#include <sys/syscall.h>

#ifndef __x86_64__
#error "gmem knows the system call convention of x86-64 only"
#endif

#ifdef __clang_analyzer__
/* To an analyser a call writes where its arguments point, which assembly would hide from it. */
long os_sys_raw(long nr, long a, long b, long c, long d, long e, long f);
#else
/* All six registers are always set: a syscall ignores those it does not take, and one function
 * costs nothing measurable beside the kernel entry. */
static inline long os_sys_raw(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#endif

#define OS_SYS_ARG(x) ((long)(x))

#define os_sys0(nr) os_sys_raw((nr), 0, 0, 0, 0, 0, 0)
#define os_sys1(nr, a) os_sys_raw((nr), OS_SYS_ARG(a), 0, 0, 0, 0, 0)
#define os_sys2(nr, a, b) os_sys_raw((nr), OS_SYS_ARG(a), OS_SYS_ARG(b), 0, 0, 0, 0)
#define os_sys3(nr, a, b, c) os_sys_raw((nr), OS_SYS_ARG(a), OS_SYS_ARG(b), OS_SYS_ARG(c), 0, 0, 0)
#define os_sys4(nr, a, b, c, d) \
	os_sys_raw((nr), OS_SYS_ARG(a), OS_SYS_ARG(b), OS_SYS_ARG(c), OS_SYS_ARG(d), 0, 0)
#define os_sys5(nr, a, b, c, d, e)                                                   \
	os_sys_raw((nr), OS_SYS_ARG(a), OS_SYS_ARG(b), OS_SYS_ARG(c), OS_SYS_ARG(d), \
		   OS_SYS_ARG(e), 0)
#define os_sys6(nr, a, b, c, d, e, f)                                                \
	os_sys_raw((nr), OS_SYS_ARG(a), OS_SYS_ARG(b), OS_SYS_ARG(c), OS_SYS_ARG(d), \
		   OS_SYS_ARG(e), OS_SYS_ARG(f))

/* Pointer results (mmap, mremap, brk) share the range: the last page is never mapped. */
static inline bool os_sys_failed(long ret)
{
	return (unsigned long)ret >= (unsigned long)-4095L;
}

#endif
