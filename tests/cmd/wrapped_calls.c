/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What VMMs have around ioctl(), in a file of its own: one of a known name, one around it of a name of its own. */
#include "wrapped.h"

#include <stdint.h>
#include <sys/ioctl.h>

__attribute__((noinline)) int vm_ioctl(int fd, unsigned long request, void *arg)
{
	char pad[64];
	int ret;

	/* Something on the stack, and something to do after the call: it is no jump. */
	__asm__ volatile("" : : "r"(pad) : "memory", "rbx", "r12");
	ret = ioctl(fd, request, arg);
	__asm__ volatile("" : : "r"(pad) : "memory");
	return ret;
}

__attribute__((noinline)) int our_own_call(int fd, unsigned long request, void *arg)
{
	int ret = vm_ioctl(fd, request, arg);

	__asm__ volatile("" : : : "memory", "r13");
	return ret;
}
