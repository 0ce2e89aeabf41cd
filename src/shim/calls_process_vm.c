/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * process_vm_readv and process_vm_writev on the process itself: the kernel takes hold of up to 16 of the remote
 * pages and then copies, which may wait. What it holds must not become private meanwhile. Another process's
 * memory is that process's, whose windows are not known here.
 */
#include <limits.h>
#include <sys/uio.h>

#include "map/pins.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/map_change.h"
#include "shim/ours.h"
#include "shim/real.h"

struct held {
	struct held *next;
	struct pin *pin;
};

struct remote {
	struct iovec *copy; /* the kernel is to take the same that we have looked at */
	uint64_t nr;
	struct held *held;
};

static int hold(struct remote *r, const struct host_map_range *range)
{
	struct held *h;

	if (!host_file_converts(range->file))
		return 0;
	h = os_alloc(sizeof(*h));
	if (!h)
		return -ENOMEM;
	if (pin_intend(range->file, range->offset, range->size, &h->pin)) {
		os_free(h, sizeof(*h));
		return -ENOMEM;
	}
	h->next = r->held;
	r->held = h;
	return 0;
}

static int hold_windows(struct remote *r, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	struct host_map_range range;
	int err = 0;

	while (!err && addr < end && host_map_find(kvm_host_map(), addr, end - addr, &range)) {
		host_map_clip(&range, addr, end);
		err = hold(r, &range);
		kvm_object_put(range.owner);
		addr = range.addr + range.size;
	}
	return err;
}

static void let_go(struct remote *r)
{
	while (r->held) {
		struct held *h = r->held;

		r->held = h->next;
		pin_drop(h->pin);
		os_free(h, sizeof(*h));
	}
	if (r->copy)
		os_free(r->copy, r->nr * sizeof(*r->copy));
	r->copy = NULL;
}

static int look(struct remote *r, uint64_t iov)
{
	int err = 0;

	r->copy = os_alloc(r->nr * sizeof(*r->copy));
	if (!r->copy)
		return -ENOMEM;
	if (os_copy_in(r->copy, iov, r->nr * sizeof(*r->copy)))
		return -EFAULT;
	for (uint64_t i = 0; i < r->nr && !err; i++) {
		uint64_t addr = (uintptr_t)r->copy[i].iov_base, size = r->copy[i].iov_len;

		/* What wraps or is too long the kernel refuses. */
		if (size <= SSIZE_MAX && addr + size >= addr)
			err = hold_windows(r, addr, size);
	}
	return err;
}

long calls_process_vm(long nr, const uint64_t a[6])
{
	struct remote r = { .nr = a[4] };
	long ret = 0;

	if (!change_map_any() || !r.nr || r.nr > IOV_MAX || a[5] || shim_is_vfork_child() ||
	    !shim_is_own_thread((long)a[0]))
		return os_sys6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	shim_enter();
	ret = look(&r, a[3]);
	if (ret)
		let_go(&r);
	shim_leave();
	if (ret)
		return ret;
	ret = os_sys6(nr, a[0], a[1], a[2], r.copy, r.nr, 0);
	shim_enter();
	let_go(&r);
	shim_leave();
	return ret;
}

SHIM_EXPORT ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long nr_local,
				     const struct iovec *remote, unsigned long nr_remote,
				     unsigned long flags)
{
	const uint64_t a[6] = { (uint64_t)pid,	   (uintptr_t)local, nr_local,
				(uintptr_t)remote, nr_remote,	     flags };

	return shim_return(calls_process_vm(SYS_process_vm_readv, a));
}

SHIM_EXPORT ssize_t process_vm_writev(pid_t pid, const struct iovec *local, unsigned long nr_local,
				      const struct iovec *remote, unsigned long nr_remote,
				      unsigned long flags)
{
	const uint64_t a[6] = { (uint64_t)pid,	   (uintptr_t)local, nr_local,
				(uintptr_t)remote, nr_remote,	     flags };

	return shim_return(calls_process_vm(SYS_process_vm_writev, a));
}
