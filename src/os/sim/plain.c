/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Plain accesses of code that was compiled with -fsanitize=thread. Between two points a fibre is alone, so only
 * two kinds matter: memory of os_alloc(), which must not have been freed, and guest memory, which the scheduler
 * is asked about like an atomic.
 */
#include "os/sim/sim_private.h"

#define HERE __builtin_return_address(0)

static inline void plain(const void *addr, uint32_t size, bool writes, const void *pc)
{
	uint64_t value;

	if (sim.nr_stores && !writes && !sim.in_check && sim.self->nr_stores &&
	    sim_stores_forward(addr, size, &value))
		sim_stores_drain();
	if ((uintptr_t)addr - SIM_FILE_BASE >= SIM_FILE_SIZE) {
		if ((uintptr_t)addr - SIM_HEAP_BASE >= SIM_HEAP_SIZE + SIM_ANON_SIZE)
			return;
		sim_touch(addr, size, writes, pc);
		sim_race_plain(addr, size, writes, pc);
		return;
	}
	sim_step(writes ? SIM_GUEST_STORE : SIM_GUEST_LOAD, addr, size, pc);
	if (writes)
		sim_stores_drain();
}

#define SIM_PLAIN(name, size)                   \
	void __tsan_read##name(void *addr);     \
	void __tsan_read##name(void *addr)      \
	{                                       \
		plain(addr, size, false, HERE); \
	}                                       \
	void __tsan_write##name(void *addr);    \
	void __tsan_write##name(void *addr)     \
	{                                       \
		plain(addr, size, true, HERE);  \
	}

#define SIM_PLAIN_SET(size)                                 \
	SIM_PLAIN(size, size)                               \
	void __tsan_unaligned_read##size(void *addr);       \
	void __tsan_unaligned_read##size(void *addr)        \
	{                                                   \
		plain(addr, size, false, HERE);             \
	}                                                   \
	void __tsan_unaligned_write##size(void *addr);      \
	void __tsan_unaligned_write##size(void *addr)       \
	{                                                   \
		plain(addr, size, true, HERE);              \
	}                                                   \
	void __tsan_read_write##size(void *addr);           \
	void __tsan_read_write##size(void *addr)            \
	{                                                   \
		plain(addr, size, true, HERE);              \
	}                                                   \
	void __tsan_unaligned_read_write##size(void *addr); \
	void __tsan_unaligned_read_write##size(void *addr)  \
	{                                                   \
		plain(addr, size, true, HERE);              \
	}                                                   \
	void __tsan_volatile_read##size(void *addr);        \
	void __tsan_volatile_read##size(void *addr)         \
	{                                                   \
		plain(addr, size, false, HERE);             \
	}                                                   \
	void __tsan_volatile_write##size(void *addr);       \
	void __tsan_volatile_write##size(void *addr)        \
	{                                                   \
		plain(addr, size, true, HERE);              \
	}

SIM_PLAIN_SET(1)
SIM_PLAIN_SET(2)
SIM_PLAIN_SET(4)
SIM_PLAIN_SET(8)
SIM_PLAIN_SET(16)

void __tsan_read_range(void *addr, size_t size);
void __tsan_write_range(void *addr, size_t size);

void __tsan_read_range(void *addr, size_t size)
{
	if (size)
		plain(addr, (uint32_t)size, false, HERE);
}

void __tsan_write_range(void *addr, size_t size)
{
	if (size)
		plain(addr, (uint32_t)size, true, HERE);
}

/* What newer compilers call for copies. */
void *__tsan_memcpy(void *dst, const void *src, size_t size);
void *__tsan_memmove(void *dst, const void *src, size_t size);
void *__tsan_memset(void *dst, int c, size_t size);

void *__tsan_memcpy(void *dst, const void *src, size_t size)
{
	__tsan_read_range((void *)(uintptr_t)src, size);
	__tsan_write_range(dst, size);
	return __builtin_memcpy(dst, src, size);
}

void *__tsan_memmove(void *dst, const void *src, size_t size)
{
	__tsan_read_range((void *)(uintptr_t)src, size);
	__tsan_write_range(dst, size);
	return __builtin_memmove(dst, src, size);
}

void *__tsan_memset(void *dst, int c, size_t size)
{
	__tsan_write_range(dst, size);
	return __builtin_memset(dst, c, size);
}
