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
static struct {
	_Atomic uint64_t token;
	char rest[OS_PAGE_SIZE - sizeof(uint64_t)];
} page __attribute__((aligned(OS_PAGE_SIZE)));

static _Atomic bool is_wiped;

/* Before anything else, when a process has room for that. Where it is refused (a filter of system calls), most
 * programs never need to know who they are. */
__attribute__((constructor(101))) static void wipe_in_children(void)
{
	if (os_sys3(SYS_madvise, &page, sizeof(page), MADV_WIPEONFORK) == 0)
		atomic_store_explicit(&is_wiped, true, memory_order_relaxed);
}

/* Without it a child would take itself for its parent: better to stop than to lie. */
static void must_be_wiped(void)
{
	if (!atomic_load_explicit(&is_wiped, memory_order_relaxed))
		wipe_in_children();
	os_assert(atomic_load_explicit(&is_wiped, memory_order_relaxed));
}

uint64_t os_home_token(void)
{
	uint64_t token = atomic_load_explicit(&page.token, memory_order_relaxed), none = 0;

	if (token)
		return token;
	must_be_wiped();
	/* The time tells processes apart that had the same number one after the other. */
	token = (uint64_t)os_sys0(SYS_getpid) << 40 | (os_clock_ns() & 0xffffffffff) | 1;
	return atomic_compare_exchange_strong(&page.token, &none, token) ? token : none;
}

void os_after_fork(void)
{
	os_alloc_after_fork();
	os_spare_after_fork();
	os_thread_after_fork();
	os_log_after_fork();
}
