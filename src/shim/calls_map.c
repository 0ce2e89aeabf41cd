/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Calls on mappings. A guest_memfd's mapping is one of a descriptor that kvm/ names; the registry
 * (map/host_map.h) follows it. Memory of the program that a guest uses through userspace_addr may
 * go or change: every VM is told before and after, as by an MMU notifier.
 *
 * A process without any VM pays one load for all this.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "map/host_map.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/ours.h"
#include "shim/real.h"
#include "shim/remote.h"

#define PAGE_MASK (OS_PAGE_SIZE - 1)
#ifndef MAP_FAILED
#define MAP_FAILED ((void *)-1)
#endif
#define MADV_GUARD_INSTALL_NR 102
#define MADV_DONTNEED_LOCKED_NR 24
#define MADV_COLLAPSE_NR 25

/* From before a mapping changes until the registry knows: two threads must not do it crosswise.
 * Taken before every other lock. Taken only when a guest_memfd is mapped. */
static struct os_mutex map_lock = OS_MUTEX_INIT;

void calls_map_lock(void)
{
	os_mutex_lock(&map_lock);
}

void calls_map_unlock(void)
{
	os_mutex_unlock(&map_lock);
}

/* A guest_memfd has been mapped once. */
static _Atomic bool any_mapping;

static bool map_any(void)
{
	return atomic_load_explicit(&any_mapping, memory_order_relaxed) &&
	       host_map_any(kvm_host_map());
}

/* Is there anything that could be told? */
static inline bool anybody(void)
{
	if (__builtin_expect(!atomic_load_explicit(&handle_count, memory_order_relaxed), 1))
		return __builtin_expect(map_any(), 0);
	return true;
}

static uint64_t page_up(uint64_t size)
{
	return (size + PAGE_MASK) & ~PAGE_MASK;
}

/* The first piece of a guest_memfd's mapping in the range; the owner is counted. */
static bool find(uint64_t addr, uint64_t size, struct host_map_range *r)
{
	return map_any() && host_map_find(kvm_host_map(), addr, size, r);
}

static bool meets_gmem(uint64_t addr, uint64_t size)
{
	struct host_map_range r;

	if (!find(addr, size, &r))
		return false;
	kvm_object_put(r.owner);
	return true;
}

/* ---- the frame of a change --------------------------------------------------------------- */

struct change {
	uint64_t addr, size, cookie;
	bool locked;
};

static void change_begin(struct change *c, uint64_t addr, uint64_t size)
{
	shim_enter();
	c->addr = addr;
	c->size = page_up(size);
	c->locked = map_any();
	if (c->locked)
		calls_map_lock();
	c->cookie = c->size ? kvm_hva_change_begin(c->addr, c->size) : 0;
}

/* The mapping has changed. The registry is told after this: what it lets go of may be the last of a
 * VM, which cannot go while it is being told of a change. */
static void change_done(struct change *c)
{
	if (c->cookie)
		kvm_hva_change_end(c->addr, c->size, c->cookie);
	c->cookie = 0;
}

static long change_end(struct change *c, long ret)
{
	change_done(c);
	if (c->locked)
		calls_map_unlock();
	shim_leave();
	return ret;
}

/* ---- mmap, munmap, mremap ---------------------------------------------------------------- */

static long map_raw(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	return os_sys6(SYS_mmap, addr, size, prot, flags, fd, offset);
}

/* Tells the registry what stands at addr now. */
static long note_gmem(struct kvm_object *o, uint64_t addr, uint64_t size, uint64_t offset)
{
	int ret = host_map_add(kvm_host_map(), addr, size, kvm_gmem_file(o), o, offset);

	if (ret == 0)
		return (long)addr;
	os_sys2(SYS_munmap, addr, size);
	return ret;
}

static long map_ours(struct kvm_object *o, struct change *c, uint64_t addr, uint64_t size, int prot,
		     int flags, uint64_t offset)
{
	uint64_t backing_offset;
	int backing, ret;
	long at;

	if (!size || offset & PAGE_MASK)
		return -EINVAL;
	if (offset + page_up(size) < offset)
		return -EOVERFLOW;
	ret = kvm_mmap(o, size, prot, flags, offset, &backing, &backing_offset);
	if (ret)
		return ret;
	at = map_raw(addr, size, prot, flags, backing, backing_offset);
	change_done(c);
	if (os_sys_failed(at))
		return at;
	if (o->type == KVM_OBJECT_GMEM)
		return note_gmem(o, (uint64_t)at, page_up(size), offset);
	if (map_any())
		host_map_remove(kvm_host_map(), (uint64_t)at, page_up(size));
	return at;
}

long op_mmap(struct handle *h, uint64_t addr, uint64_t size, int prot, int flags, uint64_t offset)
{
	struct kvm_object *o = h->object;
	struct change c;

	if (o->type == KVM_OBJECT_GMEM)
		atomic_store_explicit(&any_mapping, true, memory_order_relaxed);
	change_begin(&c, addr, flags & MAP_FIXED ? size : 0);
	if (!c.locked && o->type == KVM_OBJECT_GMEM) {
		calls_map_lock();
		c.locked = true;
	}
	return change_end(&c, map_ours(o, &c, addr, size, prot, flags, offset));
}

/* Replaces what is there. */
static long map_over(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	struct change c;
	long ret;

	change_begin(&c, addr, size);
	ret = map_raw(addr, size, prot, flags, fd, offset);
	change_done(&c);
	if (!os_sys_failed(ret) && c.locked)
		host_map_remove(kvm_host_map(), addr, page_up(size));
	return change_end(&c, ret);
}

long calls_mmap(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	struct handle *h = flags & MAP_ANONYMOUS ? NULL : ours_begin(fd);

	if (h)
		return ours_end_raw(h, op_mmap(h, addr, size, prot, flags, offset));
	if ((flags & MAP_FIXED) && anybody())
		return map_over(addr, size, prot, flags, fd, offset);
	return map_raw(addr, size, prot, flags, fd, offset);
}

SHIM_EXPORT void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	return (void *)shim_return(
		calls_mmap((uintptr_t)addr, size, prot, flags, fd, (uint64_t)offset));
}

SHIM_EXPORT void *mmap64(void *addr, size_t size, int prot, int flags, int fd, off64_t offset)
{
	return mmap(addr, size, prot, flags, fd, offset);
}

long calls_munmap(uint64_t addr, uint64_t size)
{
	struct change c;
	long ret;

	if (!anybody())
		return os_sys2(SYS_munmap, addr, size);
	change_begin(&c, addr, size);
	ret = os_sys2(SYS_munmap, addr, size);
	change_done(&c);
	if (ret == 0 && c.locked)
		host_map_remove(kvm_host_map(), addr, page_up(size));
	return change_end(&c, ret);
}

SHIM_EXPORT int munmap(void *addr, size_t size)
{
	return (int)shim_return(calls_munmap((uintptr_t)addr, size));
}

static void remap_followed(uint64_t addr, uint64_t old_size, uint64_t size, int flags, uint64_t at)
{
	bool keep_old = !old_size || flags & MREMAP_DONTUNMAP;

	if (host_map_move(kvm_host_map(), addr, page_up(old_size), at, page_up(size), keep_old))
		os_log(OS_LOG_ERROR, "no memory to follow a guest_memfd mapping that moved");
}

/* One change over all that may be hit: they cannot be nested. */
static void remap_begin(struct change *c, uint64_t addr, uint64_t old_size, uint64_t size,
			int flags, uint64_t to)
{
	uint64_t first = addr, end = addr + page_up(old_size);

	if (flags & MREMAP_FIXED) {
		first = to < first ? to : first;
		end = to + page_up(size) > end ? to + page_up(size) : end;
	}
	change_begin(c, first, end > first ? end - first : 0);
}

long calls_mremap(uint64_t addr, uint64_t old_size, uint64_t size, int flags, uint64_t to)
{
	struct change c;
	long ret;

	if (!anybody())
		return os_sys5(SYS_mremap, addr, old_size, size, flags, to);
	remap_begin(&c, addr, old_size, size, flags, to);
	ret = os_sys5(SYS_mremap, addr, old_size, size, flags, to);
	change_done(&c);
	if (!os_sys_failed(ret) && c.locked)
		remap_followed(addr, old_size, size, flags, (uint64_t)ret);
	return change_end(&c, ret);
}

SHIM_EXPORT void *mremap(void *addr, size_t old_size, size_t size, int flags, ...)
{
	va_list args;
	void *to;

	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	return (void *)shim_return(
		calls_mremap((uintptr_t)addr, old_size, size, flags, (uintptr_t)to));
}

/* A file of ours cannot be mapped page by page in another order. */
long calls_remap_file_pages(uint64_t addr, uint64_t size, int prot, uint64_t pgoff, int flags)
{
	struct change c;

	if (!anybody())
		return os_sys5(SYS_remap_file_pages, addr, size, prot, pgoff, flags);
	change_begin(&c, addr, size);
	if (meets_gmem(addr, size))
		return change_end(&c, -EINVAL);
	return change_end(&c, os_sys5(SYS_remap_file_pages, addr, size, prot, pgoff, flags));
}

SHIM_EXPORT int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	return (int)shim_return(calls_remap_file_pages((uintptr_t)addr, size, prot, pgoff, flags));
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
	struct change c;

	if (!anybody())
		return protect_raw(addr, size, prot, pkey);
	change_begin(&c, addr, size);
	if ((prot & PROT_EXEC) && meets_gmem(addr, page_up(size)))
		return change_end(&c, -EACCES);
	return change_end(&c, protect_raw(addr, size, prot, pkey));
}

SHIM_EXPORT int mprotect(void *addr, size_t size, int prot)
{
	return (int)shim_return(calls_mprotect((uintptr_t)addr, size, prot, -1));
}

SHIM_EXPORT int pkey_mprotect(void *addr, size_t size, int prot, int pkey)
{
	return (int)shim_return(calls_mprotect((uintptr_t)addr, size, prot, pkey));
}

/* ---- advice ------------------------------------------------------------------------------ */

static bool changes_pages(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == MADV_FREE ||
	       advice == MADV_DONTNEED_LOCKED_NR || advice == MADV_COLLAPSE_NR ||
	       advice == MADV_PAGEOUT || advice == MADV_GUARD_INSTALL_NR;
}

static bool refused_for_gmem(int advice)
{
	return advice == MADV_FREE || advice == MADV_WIPEONFORK || advice == MADV_COLLAPSE_NR;
}

/* MADV_REMOVE is a punch: where there is guest memory it goes the way of all punches. */
static long remove_pages(uint64_t addr, uint64_t end)
{
	struct host_map_range r;
	long ret = 0, holes = 0;

	while (ret == 0 && addr < end) {
		uint64_t stop = end;
		bool found = find(addr, end - addr, &r);

		if (found && r.addr > addr)
			stop = r.addr;
		else if (found && r.addr + r.size < end)
			stop = r.addr + r.size;
		if (found && r.addr <= addr)
			ret = remote_punch(r.owner, (int64_t)(r.offset + addr - r.addr),
					   (int64_t)(stop - addr));
		else
			ret = os_sys3(SYS_madvise, addr, stop - addr, MADV_REMOVE);
		if (found)
			kvm_object_put(r.owner);
		/* What is not mapped is told at the end; the rest is done. */
		if (ret == -ENOMEM && !(found && r.addr <= addr)) {
			holes = ret;
			ret = 0;
		}
		addr = stop;
	}
	return ret ? ret : holes;
}

static bool is_range(uint64_t addr, uint64_t size)
{
	return !(addr & PAGE_MASK) && page_up(size) >= size && addr + page_up(size) >= addr;
}

static long advise_ours(uint64_t addr, uint64_t size, int advice)
{
	if (refused_for_gmem(advice))
		return -EINVAL;
	if (advice == MADV_REMOVE)
		return is_range(addr, size) ? remove_pages(addr, addr + page_up(size)) : -EINVAL;
	return os_sys3(SYS_madvise, addr, size, advice);
}

long calls_madvise(uint64_t addr, uint64_t size, int advice)
{
	struct change c;
	long ret;

	if (!anybody())
		return os_sys3(SYS_madvise, addr, size, advice);
	/* A punch tells the vCPUs by itself, and takes locks that a change of the mapping holds. */
	change_begin(&c, addr, changes_pages(advice) && advice != MADV_REMOVE ? size : 0);
	if (size && meets_gmem(addr, page_up(size)))
		ret = advise_ours(addr, size, advice);
	else
		ret = os_sys3(SYS_madvise, addr, size, advice);
	return change_end(&c, ret);
}

SHIM_EXPORT int madvise(void *addr, size_t size, int advice)
{
	return (int)shim_return(calls_madvise((uintptr_t)addr, size, advice));
}

/* ---- msync, userfaultfd ------------------------------------------------------------------ */

/* Answered here for a guest_memfd, which has nothing to be written to. */
long calls_msync(uint64_t addr, uint64_t size, int flags, bool *answered)
{
	*answered = false;
	if (!(flags & MS_SYNC) || !map_any())
		return 0;
	shim_enter();
	*answered = meets_gmem(addr, size);
	shim_leave();
	return *answered ? -EINVAL : 0;
}

SHIM_EXPORT int msync(void *addr, size_t size, int flags)
{
	bool answered;
	long ret = calls_msync((uintptr_t)addr, size, flags, &answered);

	return answered ? (int)shim_return(ret) : real()->msync(addr, size, flags);
}

bool calls_may_register(uint64_t uffdio_register)
{
	struct uffdio_register reg;
	bool may = true;

	if (!map_any())
		return true;
	shim_enter();
	if (os_copy_in(&reg, uffdio_register, sizeof(reg)) == 0)
		may = !meets_gmem(reg.range.start, reg.range.len);
	shim_leave();
	return may;
}
