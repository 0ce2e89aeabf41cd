/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/probe.h"

#include <errno.h>

#include "os/fault.h"

/* The page is the guest's: whoever writes it at the same time is no business of the sanitizers, and
 * neither is what the address looks like to them. */
#define PROBE __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

PROBE static void touch_read(uint64_t address)
{
	(void)*(volatile uint8_t *)(uintptr_t)address;
}

PROBE static void touch_write(uint64_t address)
{
	__atomic_fetch_or((uint8_t *)(uintptr_t)address, 0, __ATOMIC_RELAXED);
}

int probe_page(uint64_t address, bool write)
{
	struct os_catch c;

	if (os_catch(&c))
		return -EFAULT;
	if (write)
		touch_write(address);
	else
		touch_read(address);
	os_catch_end(&c);
	return 0;
}
