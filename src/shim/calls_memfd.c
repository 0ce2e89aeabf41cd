/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Files with guests' memory that are made by system calls: memfd_create() with a flag of its own, and
 * memfd_restricted(), in profiles of the generations before guest_memfd. Everything else goes on untouched.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/calls.h"
#include "shim/fdtable.h"
#include "shim/observe.h"
#include "shim/shim.h"

static long plain(uint64_t name, unsigned int flags)
{
	long fd = os_sys2(SYS_memfd_create, name, flags);

	if (fd >= 0)
		fdtable_fresh((int)fd);
	return fd;
}

long calls_memfd_create(uint64_t name, unsigned int flags)
{
	bool is_plain;
	long ret;

	if (!kvm_memfd_is_asked(flags))
		return plain(name, flags);
	shim_enter();
	ret = kvm_memfd_create(name, &flags, &is_plain);
	shim_leave();
	return is_plain ? plain(name, flags) : ret;
}

SHIM_EXPORT int memfd_create(const char *name, unsigned int flags)
{
	observe_call();
	return (int)shim_return(calls_memfd_create((uintptr_t)name, flags));
}

/* ---- memfd_restricted, by the number that the environment gives it ------------------------------------ */

static long restricted_nr = -1;

void calls_set_restricted(const char *number)
{
	if (number && *number)
		restricted_nr = strtol(number, NULL, 0);
}

bool calls_is_restricted(long nr)
{
	return nr >= 0 && nr == restricted_nr && kvm_memfd_has_restricted();
}

long calls_memfd_restricted(unsigned int flags)
{
	long ret;

	shim_enter();
	ret = kvm_memfd_restricted(flags);
	shim_leave();
	return ret;
}
