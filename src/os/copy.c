/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Copies to and from the program's memory. The moves are made by hand: a sanitizer must not judge
 * the program's memory by its own rules, and one instruction is left by a fault without a frame in
 * between.
 */
#include <errno.h>

#include "os/fault.h"

static inline void move_bytes(void *dst, const void *src, size_t size)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(size) : : "memory");
}

static int copy(void *dst, const void *src, size_t size)
{
	struct os_catch c;

	if (os_catch(&c))
		return -EFAULT;
	move_bytes(dst, src, size);
	os_catch_end(&c);
	return 0;
}

int os_copy_in(void *dst, uint64_t src, size_t size)
{
	return copy(dst, (const void *)(uintptr_t)src, size);
}

int os_copy_out(uint64_t dst, const void *src, size_t size)
{
	return copy((void *)(uintptr_t)dst, src, size);
}
