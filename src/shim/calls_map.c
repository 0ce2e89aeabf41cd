/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Calls on mappings: mmap, munmap, mremap, mprotect. Where guest_memfds are mapped map/ makes the system
 * call (host_map.h), since what is hidden must stay so through all of them. Memory of the program that a
 * guest uses through userspace_addr may go or change: every VM is told before and after.
 *
 * A process without any VM pays one load for all this.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "kvm/account.h"
#include "obs/rules.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/map_change.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/told.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* ---- mmap -------------------------------------------------------------------------------- */

/* What is there goes, if flags say so. */
static long map_other(const struct change *c, uint64_t addr, uint64_t size, int prot, int flags,
		      int fd, uint64_t offset)
{
	if (c->meets && is_page_range(addr, size))
		return host_map_replace(kvm_host_map(), addr, os_page_up(size), prot, flags, fd,
					offset);
	return os_sys6(SYS_mmap, addr, size, prot, flags, fd, offset);
}

static long map_ours(struct kvm_object *o, const struct change *c, uint64_t addr, uint64_t size,
		     int prot, int flags, uint64_t offset)
{
	uint64_t backing_offset, at;
	int backing, ret;

	if (!size || offset & (OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_MMAP_LENGTH);
	if (os_page_up(size) < size)
		return obs_refuse(RULE_MMAP_TOO_LONG);
	if (offset + os_page_up(size) < offset)
		return obs_refuse(RULE_MMAP_OVERFLOW);
	ret = kvm_mmap(o, os_page_up(size), prot, flags, offset, &backing, &backing_offset);
	if (ret)
		return ret;
	if (backing >= 0)
		return map_other(c, addr, size, prot, flags, backing, backing_offset);
	ret = host_map_mmap(kvm_host_map(), kvm_gmem_host_file(o), o, addr, os_page_up(size), prot,
			    flags, offset, &at);
	return ret ? ret : (long)at;
}

long op_mmap(struct handle *h, uint64_t addr, uint64_t size, int prot, int flags, uint64_t offset)
{
	struct kvm_object *o = h->object;
	uint64_t gone = flags & MAP_FIXED ? size : 0;
	uint64_t start = obs_start();
	struct change c;
	long ret;
	int err;

	if (o->type == KVM_OBJECT_GMEM) {
		atomic_store_explicit(&change_any_mapping, true, memory_order_relaxed);
		err = change_begin_locked(&c, addr, gone);
	} else {
		err = change_begin(&c, addr, gone, true);
	}
	ret = err ? err : map_ours(o, &c, addr, size, prot, flags, offset);
	told_file_call(o, SYS_mmap, TOLD_MAP(prot, flags), start, ret, offset, size);
	return change_end(&c, ret);
}

static long map_over(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	struct change c;
	int err = change_begin(&c, addr, size, true);

	long ret = err ? err : map_other(&c, addr, size, prot, flags, fd, offset);

	if (obs_watched() && c.cookie && !os_sys_failed(ret))
		observe_discard(OBS_DISCARD_MMAP, addr, size);
	return change_end(&c, ret);
}

long calls_mmap(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	struct handle *h = NULL;

	if (!(flags & MAP_ANONYMOUS)) {
		h = ours_begin(fd);
		if (!h && calls_adopt_late(fd))
			h = ours_begin(fd);
	}
	if (h)
		return ours_end_raw(h, op_mmap(h, addr, size, prot, flags, offset));
	if ((flags & MAP_FIXED) && change_anybody())
		return map_over(addr, size, prot, flags, fd, offset);
	return os_sys6(SYS_mmap, addr, size, prot, flags, fd, offset);
}

/* It may be ours, or over what a guest uses. */
static __attribute__((noinline)) void *mmap_noted(uint64_t addr, uint64_t size, int prot, int flags,
						  int fd, uint64_t offset, uint64_t caller)
{
	if (obs_on())
		observe_note(caller);
	return (void *)shim_return(calls_mmap(addr, size, prot, flags, fd, offset));
}

static inline __attribute__((always_inline)) void *map_from(uint64_t caller, void *addr,
							    size_t size, int prot, int flags,
							    int fd, uint64_t offset)
{
	if (!(flags & MAP_ANONYMOUS) || ((flags & MAP_FIXED) && change_anybody()))
		return mmap_noted((uintptr_t)addr, size, prot, flags, fd, offset, caller);
	return (void *)shim_return(
		os_sys6(SYS_mmap, (uintptr_t)addr, size, prot, flags, fd, offset));
}

SHIM_EXPORT void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	return map_from((uintptr_t)__builtin_return_address(0), addr, size, prot, flags, fd,
			(uint64_t)offset);
}

SHIM_EXPORT void *mmap64(void *addr, size_t size, int prot, int flags, int fd, off64_t offset)
{
	return map_from((uintptr_t)__builtin_return_address(0), addr, size, prot, flags, fd,
			(uint64_t)offset);
}

/* ---- munmap, mremap ---------------------------------------------------------------------- */

static __attribute__((noinline)) long munmap_told(uint64_t addr, uint64_t size)
{
	uint64_t start = obs_start();
	struct change c;
	long ret;

	if (obs_on())
		account_before_unmap(addr, size);
	ret = change_begin(&c, addr, size, true);
	if (ret == 0 && c.meets && is_page_range(addr, size))
		ret = host_map_munmap(kvm_host_map(), addr, os_page_up(size));
	else if (ret == 0)
		ret = os_sys2(SYS_munmap, addr, size);
	if (obs_watched() && c.cookie && !ret)
		observe_discard(OBS_DISCARD_MUNMAP, addr, size);
	told_map_call(&c, SYS_munmap, 0, start, ret, addr, size);
	return change_end(&c, ret);
}

long calls_munmap(uint64_t addr, uint64_t size)
{
	return change_anybody() ? munmap_told(addr, size) : os_sys2(SYS_munmap, addr, size);
}

static __attribute__((noinline)) int munmap_noted(uint64_t addr, uint64_t size, uint64_t caller)
{
	if (obs_on())
		observe_note(caller);
	return (int)shim_return(munmap_told(addr, size));
}

SHIM_EXPORT int munmap(void *addr, size_t size)
{
	if (change_anybody())
		return munmap_noted((uintptr_t)addr, size, (uintptr_t)__builtin_return_address(0));
	return (int)shim_return(os_sys2(SYS_munmap, (uintptr_t)addr, size));
}

/* One change over all that may be hit: they cannot be nested. An old size of 0 asks for a second
 * mapping of what is there. */
static int remap_begin(struct change *c, uint64_t addr, uint64_t old_size, uint64_t size, int flags,
		       uint64_t to)
{
	uint64_t first = addr, end = addr + os_page_up(old_size ? old_size : 1);

	if (flags & MREMAP_FIXED) {
		first = to < first ? to : first;
		end = to + os_page_up(size) > end ? to + os_page_up(size) : end;
	}
	return change_begin(c, first, end > first ? end - first : 0, true);
}

long calls_mremap(uint64_t addr, uint64_t old_size, uint64_t size, int flags, uint64_t to)
{
	uint64_t start = obs_start();
	struct change c;
	long ret;

	if (!change_anybody())
		return os_sys5(SYS_mremap, addr, old_size, size, flags, to);
	ret = remap_begin(&c, addr, old_size, size, flags, to);
	if (ret == 0 && c.meets && is_page_range(addr, old_size) && os_page_up(size) >= size)
		ret = host_map_mremap(kvm_host_map(), addr, os_page_up(old_size), os_page_up(size),
				      flags, to);
	else if (ret == 0)
		ret = os_sys5(SYS_mremap, addr, old_size, size, flags, to);
	told_map_call(&c, SYS_mremap, (uint32_t)flags, start, ret, addr, size);
	return change_end(&c, ret);
}

SHIM_EXPORT void *mremap(void *addr, size_t old_size, size_t size, int flags, ...)
{
	va_list args;
	void *to;

	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	observe_call();
	return (void *)shim_return(
		calls_mremap((uintptr_t)addr, old_size, size, flags, (uintptr_t)to));
}

/* A file of ours cannot be mapped page by page in another order. */
long calls_remap_file_pages(uint64_t addr, uint64_t size, int prot, uint64_t pgoff, int flags)
{
	struct change c;
	long ret;

	if (!change_anybody())
		return os_sys5(SYS_remap_file_pages, addr, size, prot, pgoff, flags);
	ret = change_begin(&c, addr, size, true);
	if (ret == 0)
		ret = c.meets ? obs_refuse(RULE_WINDOW_FIXED)
			      : os_sys5(SYS_remap_file_pages, addr, size, prot, pgoff, flags);
	return change_end(&c, ret);
}

SHIM_EXPORT int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	return (int)shim_return(calls_remap_file_pages((uintptr_t)addr, size, prot, pgoff, flags));
}

/* Nothing could be hidden or shown in it any more. */
long calls_mseal(uint64_t addr, uint64_t size, unsigned long flags)
{
	struct change c;
	long ret = change_begin(&c, addr, size, false);

	if (ret == 0)
		ret = c.meets ? obs_refuse(RULE_WINDOW_FIXED)
			      : os_sys3(SYS_mseal, addr, size, flags);
	return change_end(&c, ret);
}

/* ---- protection -------------------------------------------------------------------------- */

static long protect_raw(uint64_t addr, uint64_t size, int prot, int pkey)
{
	if (pkey < 0)
		return os_sys3(SYS_mprotect, addr, size, prot);
	return os_sys4(SYS_pkey_mprotect, addr, size, prot, pkey);
}

/* pkey -1: mprotect. */
long calls_mprotect(uint64_t addr, uint64_t size, int prot, int pkey)
{
	uint64_t start = obs_start();
	struct change c;
	long ret;

	if (!change_anybody())
		return protect_raw(addr, size, prot, pkey);
	ret = change_begin(&c, addr, size, true);
	if (ret == 0 && c.meets && (prot & PROT_EXEC))
		ret = obs_refuse(RULE_WINDOW_EXEC);
	else if (ret == 0 && c.meets && is_page_range(addr, size))
		ret = host_map_mprotect(kvm_host_map(), addr, os_page_up(size), prot, pkey);
	else if (ret == 0)
		ret = protect_raw(addr, size, prot, pkey);
	told_map_call(&c, pkey < 0 ? SYS_mprotect : SYS_pkey_mprotect, (uint32_t)prot, start, ret,
		      addr, size);
	return change_end(&c, ret);
}

SHIM_EXPORT int mprotect(void *addr, size_t size, int prot)
{
	observe_call();
	return (int)shim_return(calls_mprotect((uintptr_t)addr, size, prot, -1));
}

SHIM_EXPORT int pkey_mprotect(void *addr, size_t size, int prot, int pkey)
{
	observe_call();
	return (int)shim_return(calls_mprotect((uintptr_t)addr, size, prot, pkey));
}
