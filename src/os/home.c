/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which process this is. A page that the kernel wipes in every child tells home from child without
 * a system call, however the child was made; a child that shares our memory (vfork) is home.
 */
#include <linux/mman.h>

#include "os/internal.h"
#include "os/os.h"
#include "os/sys.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define HOME_MAGIC 0x656d6f686d656d67ull

static _Atomic(_Atomic uint64_t *) home_page; /* the magic, at home only */

static _Atomic uint64_t *home_make(void)
{
	_Atomic uint64_t *old = NULL;
	_Atomic uint64_t *page;
	void *map;

	if (os_map_anon(OS_PAGE_SIZE, OS_MAP_READ | OS_MAP_WRITE, &map))
		return NULL;
	if (os_sys3(SYS_madvise, map, OS_PAGE_SIZE, MADV_WIPEONFORK)) {
		os_unmap(map, OS_PAGE_SIZE);
		return NULL;
	}
	page = map;
	atomic_store(page, HOME_MAGIC);
	if (atomic_compare_exchange_strong(&home_page, &old, page))
		return page;
	os_unmap(map, OS_PAGE_SIZE);
	return old;
}

static _Atomic uint64_t *home_get(void)
{
	_Atomic uint64_t *page = atomic_load_explicit(&home_page, memory_order_acquire);

	if (!page)
		page = home_make();
	/* Without it a child would take itself for home: better to stop than to lie. */
	os_assert(page);
	return page;
}

/* Early, so that a child which uses gmem first does not become home by accident. */
__attribute__((constructor)) static void home_early(void)
{
	home_get();
}

bool os_at_home(void)
{
	return atomic_load_explicit(home_get(), memory_order_relaxed) == HOME_MAGIC;
}

void os_after_fork(void)
{
	os_alloc_after_fork();
}

void os_become_home(void)
{
	os_after_fork();
	atomic_store(home_get(), HOME_MAGIC);
}
