/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "fail_alloc.h"

#include <stdatomic.h>
#include <stddef.h>

void *__real_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size);

static _Atomic long allowed = ALLOW_ALL;

void allow_allocs(long nr)
{
	atomic_store(&allowed, nr);
}

void *__wrap_os_alloc(size_t size)
{
	if (atomic_load(&allowed) != ALLOW_ALL && atomic_fetch_sub(&allowed, 1) <= 0) {
		atomic_store(&allowed, 0);
		return NULL;
	}
	return __real_os_alloc(size);
}
