/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/real.h"

#include <dlfcn.h>

struct shim_real real_functions;
bool real_found;

void real_find(void)
{
#define SHIM_REAL_FIND(result, name, args) *(void **)&real_functions.name = dlsym(RTLD_NEXT, #name);
	SHIM_REAL_LIST(SHIM_REAL_FIND)
#undef SHIM_REAL_FIND
	__atomic_store_n(&real_found, true, __ATOMIC_RELEASE);
}
