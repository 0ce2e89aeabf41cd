/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "stacks.h"

#include <sys/ioctl.h>

static __attribute__((noinline)) int inside(int fd, unsigned long request, void *arg)
{
	char pad[96];
	int ret;

	__asm__ volatile("" : : "r"(pad) : "memory", "rbx");
	ret = ioctl(fd, request, arg);
	__asm__ volatile("" : : "r"(pad) : "memory");
	return ret;
}

int library_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = inside(fd, request, arg);

	__asm__ volatile("" : : "r"(ret) : "memory", "r12");
	return ret;
}
