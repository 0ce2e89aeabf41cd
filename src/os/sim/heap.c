/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory: each fibre has a part of its own and takes from it in order, so that an address depends on nothing
 * but what this fibre did. What is freed is not handed out again in the same schedule, and is known as freed.
 */
#include <string.h>
#include <sys/mman.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/sim/sim_private.h"

#define PART_SIZE ((uintptr_t)1 << SIM_HEAP_SHIFT)
#define POISON 0xdb
#define POISON_MAX 4096

uint8_t *sim_shadow;

static uintptr_t used[32]; /* bytes of each part */
static uint64_t live;

void sim_memory_init(void)
{
	void *heap = mmap((void *)SIM_HEAP_BASE, SIM_HEAP_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	void *shadow = mmap(NULL, (SIM_HEAP_SIZE + SIM_ANON_SIZE) >> 3, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *anon = mmap((void *)SIM_ANON_BASE, SIM_ANON_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	void *file = mmap((void *)SIM_FILE_BASE, SIM_FILE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (heap != (void *)SIM_HEAP_BASE || shadow == MAP_FAILED ||
	    anon != (void *)SIM_ANON_BASE || file != (void *)SIM_FILE_BASE)
		sim_fail("no address space");
	sim_shadow = shadow;
	sim_race_init();
}

void sim_heap_reset(void)
{
	unsigned int i;

	for (i = 0; i < 32; i++) {
		memset(sim_shadow + ((i * PART_SIZE) >> 3), 0, used[i] >> 3);
		used[i] = 0;
	}
	live = 0;
}

static size_t room_of(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

void *os_alloc(size_t size)
{
	unsigned int part = sim.self ? sim.self->index : SIM_NOBODY;
	uintptr_t at = part * PART_SIZE + used[part];
	size_t room = room_of(size);

	if (os_fail(OS_FAIL_ALLOC))
		return NULL;
	/* 16 bytes between two that are nobody's. */
	if (used[part] + room + 64 > PART_SIZE)
		return NULL;
	used[part] += room + 64;
	memset(sim_shadow + (at >> 3), SIM_LIVE, (size + 7) >> 3);
	live += size;
	return memset((void *)(SIM_HEAP_BASE + at), 0, size);
}

void os_free(void *ptr, size_t size)
{
	uintptr_t at = (uintptr_t)ptr - SIM_HEAP_BASE;

	if (!ptr)
		return;
	if (at >= SIM_HEAP_SIZE || sim_shadow[at >> 3] < SIM_LIVE)
		sim_heap_bad(ptr, (uint32_t)size, __builtin_return_address(0));
	memset(sim_shadow + (at >> 3), SIM_FREED, (size + 7) >> 3);
	memset(ptr, POISON, size < POISON_MAX ? size : POISON_MAX);
	live -= size;
}

uint64_t os_alloc_live(void)
{
	return live;
}

void sim_touch_slow(uint8_t *shadow, const volatile void *addr, uint32_t size, const void *pc)
{
	if (*shadow < SIM_LIVE && (uintptr_t)addr - SIM_HEAP_BASE < SIM_HEAP_SIZE)
		sim_heap_bad(addr, size, pc);
	if (!sim.quiet && *shadow >= SIM_WRITTEN && *shadow != SIM_WRITTEN + sim.self->index)
		sim_stores_drain_fibre(&sim.fibres[*shadow - SIM_WRITTEN]);
}

_Noreturn void sim_heap_bad(const volatile void *addr, uint32_t size, const void *pc)
{
	uintptr_t at = (uintptr_t)addr - SIM_HEAP_BASE;
	bool freed = at < SIM_HEAP_SIZE && sim_shadow[at >> 3] == SIM_FREED;

	sim_fail("%s: %u bytes at %p by %s {%p}",
		 freed ? "use of freed memory" : "use of memory that nobody has", size,
		 (const void *)(uintptr_t)addr, sim.self ? sim.self->name : "nobody", pc);
}

void os_alloc_after_fork(void)
{
}
