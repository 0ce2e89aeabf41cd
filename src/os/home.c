/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which process this is. A page that the kernel wipes in every child tells processes apart without a
 * system call, however the child was made; a child that shares our memory (vfork) is still us.
 */
#include <linux/mman.h>

#include "os/internal.h"
#include "os/os.h"
#include "os/process.h"
#include "os/sys.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Alone on a page that reads zero in every child. */
static _Atomic(_Atomic uint64_t *) token_page;

/* Without it a child would take itself for its parent: better to stop than to lie. */
static _Atomic uint64_t *token_make(void)
{
	_Atomic uint64_t *old = NULL;
	void *map;

	os_assert(os_map_anon(OS_PAGE_SIZE, OS_MAP_READ | OS_MAP_WRITE, &map) == 0);
	os_assert(os_sys3(SYS_madvise, map, OS_PAGE_SIZE, MADV_WIPEONFORK) == 0);
	if (atomic_compare_exchange_strong(&token_page, &old, map))
		return map;
	os_unmap(map, OS_PAGE_SIZE);
	return old;
}

uint64_t os_home_token(void)
{
	_Atomic uint64_t *page = atomic_load_explicit(&token_page, memory_order_acquire);
	uint64_t token, none = 0;

	if (!page)
		page = token_make();
	token = atomic_load_explicit(page, memory_order_relaxed);
	if (token)
		return token;
	/* The time tells processes apart that had the same number one after the other. */
	token = (uint64_t)os_sys0(SYS_getpid) << 40 | (os_clock_ns() & 0xffffffffff) | 1;
	return atomic_compare_exchange_strong(page, &none, token) ? token : none;
}

void os_after_fork(void)
{
	os_alloc_after_fork();
	os_spare_after_fork();
}
