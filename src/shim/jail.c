/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/jail.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "kvm/account.h"
#include "map/host_file.h"
#include "map/host_map.h"
#include "map/share.h"
#include "os/os.h"
#include "os/spare.h"
#include "shim/handle.h"
#include "shim/shim.h"

/* The guest_memfds that may still be made; the other memfds of the pool are for anything. */
#define NR_NAMED 64

static _Atomic bool had_object;

/* One filter at a time, to know whether the first was refused. */
static struct os_mutex filter_lock = OS_MUTEX_INIT;

void jail_note_object(void)
{
	atomic_store_explicit(&had_object, true, memory_order_relaxed);
}

static bool name_of(unsigned int i, char name[OS_SPARE_NAME_MAX])
{
	_Static_assert(HOST_FILE_NAME_MAX <= OS_SPARE_NAME_MAX, "a handle's name fits");
	return !host_file_next_name(i, name);
}

static int get_guard_ready(void)
{
	return host_map_get_ready(kvm_host_map());
}

/* What is missing behind the filter is missing for good: what fails is tried once more. */
static int try_twice(int (*make)(void))
{
	int err = make();

	return err ? make() : 0;
}

static void prepare(void)
{
	int no_share = try_twice(share_start);
	unsigned int nr;
	int err;

	if (no_share)
		os_log(OS_LOG_WARN,
		       "no share before the filter of system calls (%d): other "
		       "processes will find no guest_memfd made from here on",
		       -no_share);
	try_twice(handle_start_watcher);
	account_get_ready();
	err = try_twice(get_guard_ready);
	if (err)
		os_log(OS_LOG_WARN, "the guard of private pages is not complete (%d)", -err);
	nr = os_jail_prepare(name_of, no_share ? 0 : NR_NAMED);
	os_log(OS_LOG_DEBUG, "%u memfds made before a filter of system calls", nr);
}

/* In strict mode no argument follows; one without a program only asks what the kernel knows. */
static bool installs_filter(long nr, const uint64_t a[5])
{
	if (nr == SYS_prctl)
		return a[0] == PR_SET_SECCOMP &&
		       (a[1] == SECCOMP_MODE_STRICT || (a[1] == SECCOMP_MODE_FILTER && a[2]));
	if (a[0] == SECCOMP_SET_MODE_STRICT)
		return !a[1] && !a[2];
	return a[0] == SECCOMP_SET_MODE_FILTER && a[2];
}

static long call(long nr, const uint64_t a[5])
{
	return os_sys5(nr, a[0], a[1], a[2], a[3], a[4]);
}

/* A value above 0 of TSYNC says that another thread stood in the way: then nothing was installed, but to
 * stay in the jail does no harm. */
/* One for all threads of the process. */
static bool is_for_all(long nr, const uint64_t a[5])
{
	return nr == SYS_seccomp && a[0] == SECCOMP_SET_MODE_FILTER &&
	       a[1] & SECCOMP_FILTER_FLAG_TSYNC;
}

static long install(long nr, const uint64_t a[5])
{
	bool inside = os_jailed(), for_all = is_for_all(nr, a);
	long ret;

	if (!inside) {
		prepare();
		os_jail_enter();
	}
	if (for_all)
		account_set_blind(true);
	ret = call(nr, a);
	if (ret < 0 && !inside)
		os_jail_leave();
	if (ret < 0 && for_all && !inside)
		account_set_blind(false);
	return ret;
}

long jail_call(long nr, const uint64_t args[5])
{
	long ret;

	if (!atomic_load_explicit(&had_object, memory_order_relaxed) ||
	    !installs_filter(nr, args) || shim_is_vfork_child())
		return call(nr, args);
	shim_enter();
	os_mutex_lock(&filter_lock);
	ret = install(nr, args);
	os_mutex_unlock(&filter_lock);
	shim_leave();
	return ret;
}

SHIM_EXPORT int prctl(int option, ...)
{
	uint64_t a[5] = { (uint64_t)option };
	va_list args;

	va_start(args, option);
	for (int i = 1; i < 5; i++)
		a[i] = va_arg(args, uint64_t);
	va_end(args);
	return (int)shim_return(jail_call(SYS_prctl, a));
}
