/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/memlock.h"

#include <stdatomic.h>

#include "obs/obs.h"
#include "os/os.h"
#include "os/process.h"

#define NOBODY 0
#define STARTING 1 /* neither is a token */

static _Atomic uint64_t owner = NOBODY;
static _Atomic int64_t charged; /* pages, of owner */

/* A child starts with nothing charged, however it was made. */
static _Atomic int64_t *charges(void)
{
	uint64_t self = os_home_token(), found;

	while ((found = atomic_load(&owner)) != self) {
		if (found == STARTING || !atomic_compare_exchange_weak(&owner, &found, STARTING)) {
			os_relax();
			continue;
		}
		atomic_store(&charged, 0);
		atomic_store(&owner, self);
	}
	return &charged;
}

/* Counted first, so that no two find room in the same pages. */
int memlock_charge(uint64_t nr_pages)
{
	uint64_t limit = os_memlock_limit() >> OS_PAGE_SHIFT;
	int64_t now = atomic_fetch_add(charges(), (int64_t)nr_pages) + (int64_t)nr_pages;

	if (now <= 0 || (uint64_t)now <= limit)
		return 0;
	memlock_return(nr_pages);
	return obs_refuse(RULE_MEMFD_MEMLOCK);
}

void memlock_return(uint64_t nr_pages)
{
	atomic_fetch_sub(charges(), (int64_t)nr_pages);
}
