/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/place.h"

#include <errno.h>
#include <linux/mman.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "os/internal.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "os/sys.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define LARGE ((uint64_t)2 << 20)

/* Where the kernel chooses. It knows no alignment. */
static long map_elsewhere(uint64_t size, uint64_t align, int prot, int flags, int fd,
			  uint64_t offset)
{
	void *place;
	long ret;

	if (align <= OS_PAGE_SIZE)
		return os_map_raw(0, size, prot, flags, fd, offset);
	ret = os_reserve(size, align, 0, &place);
	if (ret)
		return ret;
	ret = os_map_raw((uint64_t)place, size, prot, flags | MAP_FIXED, fd, offset);
	if (os_sys_failed(ret))
		os_unmap(place, size);
	return ret;
}

#if OS_TSAN

long os_place_map(size_t size, size_t align, int prot, int flags, int fd, uint64_t offset)
{
	return map_elsewhere(size, align, prot, flags, fd, offset);
}

void os_place_left(uint64_t addr, uint64_t size)
{
	(void)addr;
	(void)size;
}

#else

/*
 * Above the shadow of the address sanitizer (16 TiB); below where the kernel begins when it goes upwards (42 2/3
 * TiB), which it does without a limit on the stack, and where it puts programs and what they map (from 85 TiB).
 */
#define FIRST ((uint64_t)20 << 40)
#define MIDDLE ((uint64_t)28 << 40)
#define MIDDLE_BITS 42
#define LAST ((uint64_t)40 << 40)

#define MAX_SIZE (MIDDLE - FIRST)

/* 0: not begun. */
static _Atomic uint64_t small_end, large_start;

/* By chance as the program's own addresses are, and the same each time where they are (a debugger). */
static uint64_t middle(void)
{
	uint64_t chance = ((uintptr_t)&small_end >> OS_PAGE_SHIFT) * 0x9e3779b97f4a7c15ull;

	return MIDDLE + ((chance >> (64 - MIDDLE_BITS)) & ~(LARGE - 1));
}

static uint64_t take_small(uint64_t size, uint64_t align, uint64_t skip)
{
	uint64_t end = os_racy_load(&small_end), at;

	do {
		at = ((end ? end : middle()) + skip + align - 1) & ~(align - 1);
		if (at + size > LAST)
			at = (middle() + align - 1) & ~(align - 1);
	} while (!atomic_compare_exchange_weak_explicit(
		&small_end, &end, at + size, memory_order_relaxed, memory_order_relaxed));
	return at;
}

static uint64_t take_large(uint64_t size, uint64_t align, uint64_t skip)
{
	uint64_t start = os_racy_load(&large_start), at;

	do {
		at = ((start ? start : middle()) - skip - size) & ~(align - 1);
		if (at < FIRST || at > LAST)
			at = (middle() - size) & ~(align - 1);
	} while (!atomic_compare_exchange_weak_explicit(
		&large_start, &start, at, memory_order_relaxed, memory_order_relaxed));
	return at;
}

static uint64_t take(uint64_t size, uint64_t align, uint64_t skip)
{
	return size < LARGE && align < LARGE ? take_small(size, align, skip)
					     : take_large(size, align, skip);
}

/* 0: there is no place for it. Past what is in the way in steps that double, so that nothing is too large for this. */
static long map_own(uint64_t size, uint64_t align, int prot, int flags, int fd, uint64_t offset)
{
	uint64_t skip, at;
	long ret;

	for (skip = 0; skip <= MAX_SIZE; skip = (skip ? skip : size) * 2) {
		at = take(size, align, skip);
		ret = os_sys6(SYS_mmap, at, size, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);
		if (ret == (long)at)
			return ret;
		/* Kernels before 4.17 take the address for a hint. */
		if (!os_sys_failed(ret))
			os_sys2(SYS_munmap, ret, size);
		else if (ret != -EEXIST)
			break;
	}
	return 0;
}

long os_place_map(size_t size, size_t align, int prot, int flags, int fd, uint64_t offset)
{
	bool may_be_huge = size >= LARGE && !(flags & MAP_ANONYMOUS);
	uint64_t own_align = may_be_huge && align < LARGE ? LARGE : align;
	long ret = 0;

	if (size && size <= MAX_SIZE && own_align <= MAX_SIZE - size)
		ret = map_own(size, own_align, prot, flags, fd, offset);
	return ret ? ret : map_elsewhere(size, align, prot, flags, fd, offset);
}

void os_place_left(uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;

	if (addr < FIRST || end > LAST)
		return;
	if (os_racy_load(&small_end) == end)
		atomic_compare_exchange_strong(&small_end, &end, addr);
	else if (os_racy_load(&large_start) == addr)
		atomic_compare_exchange_strong(&large_start, &addr, end);
}

#endif
