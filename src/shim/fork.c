/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/fork.h"

#include "kvm/account.h"
#include "map/pins.h"
#include "map/share.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/fdtable.h"
#include "shim/map_change.h"
#include "shim/observe.h"
#include "shim/shim.h"
#include "shim/signal.h"

static _Atomic long own_pid;

bool shim_is_vfork_child(void)
{
	return os_sys0(SYS_getpid) != atomic_load_explicit(&own_pid, memory_order_relaxed);
}

static void arm_one(int fd, struct handle *h)
{
	if (handle_try_get(h)) {
		handle_arm(h, fd);
		handle_put(h);
	}
}

void fork_before_vfork(void)
{
	if (!atomic_load(&handle_count) || shim_is_vfork_child())
		return;
	shim_enter();
	fdtable_for_each(0, ~0u, arm_one);
	shim_leave();
}

void fork_before(void)
{
	shim_enter();
	if (atomic_load(&handle_count))
		fdtable_for_each(0, ~0u, arm_one);
	calls_map_lock();
	account_before_fork();
	/* Also where there is nothing yet: another thread may be about to make, or to receive, the first file. Waits
	 * for conversions, so it is before the locks of a moment. */
	share_before_fork(kvm_host_map());
	pins_before_fork();
	kvm_before_fork();
	handle_lock_all();
	signal_lock();
}

void fork_in_parent(void)
{
	signal_unlock();
	handle_unlock_all();
	kvm_after_fork_in_parent();
	pins_after_fork_in_parent();
	share_after_fork_in_parent(kvm_host_map());
	account_after_fork_in_parent();
	calls_map_unlock();
	shim_leave();
}

void fork_in_child(void)
{
	long parent = atomic_load(&own_pid);

	os_after_fork();
	atomic_store(&own_pid, os_sys0(SYS_getpid));
	observe_after_fork(parent);
	signal_unlock();
	handle_inherit_all();
	kvm_after_fork_in_child();
	pins_after_fork_in_child();
	share_after_fork_in_child(kvm_host_map());
	account_after_fork_in_child();
	calls_map_unlock();
	shim_leave();
}

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);
extern void *__dso_handle __attribute__((visibility("hidden")));

/* The first to be registered is the last before the fork and the first after it. */
void fork_init(void)
{
	atomic_store(&own_pid, os_sys0(SYS_getpid));
	__register_atfork(fork_before, fork_in_parent, fork_in_child, &__dso_handle);
}
