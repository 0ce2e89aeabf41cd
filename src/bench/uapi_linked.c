/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * kvm/ called directly. What the preloaded library does around it and that a request cannot do without is here
 * too: a table of descriptors, signals held, mappings known to map/ and to the VMs. What it does for programs
 * that share, copy and close numbers behind its back (an inode compared at each call, handles that are memfds)
 * is not.
 */
#include "bench/uapi.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "kvm/kvm.h"
#include "map/host_map.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/signal.h"
#include "os/sys.h"

/* Far from the system's own numbers. */
#define FIRST_FD (1 << 20)
#define NR_FDS 32768

#define RESERVED ((struct kvm_object *)1)
static struct kvm_object *_Atomic table[NR_FDS];
static _Atomic unsigned int
	next_free; /* about where to look for one; none below is free for sure */
static struct os_mutex map_lock = OS_MUTEX_INIT;

static _Atomic(struct kvm_object *) *place_of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + NR_FDS ? &table[fd - FIRST_FD] : NULL;
}

/* ---- descriptors for kvm/ ------------------------------------------------------------------ */

static int linked_reserve(bool cloexec, const char *name, int *fd)
{
	unsigned int start = atomic_load(&next_free);

	for (unsigned int n = 0; n < NR_FDS; n++) {
		unsigned int i = (start + n) % NR_FDS;
		struct kvm_object *none = NULL;

		if (!atomic_compare_exchange_strong(&table[i], &none, RESERVED))
			continue;
		atomic_store(&next_free, i + 1);
		*fd = FIRST_FD + (int)i;
		return 0;
	}
	return -EMFILE;
}

static void linked_commit(int fd, struct kvm_object *o)
{
	atomic_store(place_of(fd), o);
}

static void linked_cancel(int fd)
{
	atomic_store(place_of(fd), NULL);
}

static int linked_lookup(int fd, struct kvm_object **o)
{
	_Atomic(struct kvm_object *) *place = place_of(fd);

	*o = place ? atomic_load(place) : NULL;
	if (!place)
		return os_sys2(SYS_fcntl, fd, 1 /* F_GETFD */) < 0 ? -EBADF : 0;
	if (!*o || *o == RESERVED)
		return -EBADF;
	kvm_object_get(*o);
	return 0;
}

static const struct kvm_fd_ops fd_ops = {
	.reserve = linked_reserve,
	.commit = linked_commit,
	.cancel = linked_cancel,
	.lookup = linked_lookup,
};

/* The object with one more count; -EBADF: not ours, or closed. */
static int begin(int fd, struct kvm_object **o)
{
	int err;

	os_signals_begin();
	err = linked_lookup(fd, o);
	if (!err && !*o)
		err = -EBADF;
	if (err)
		os_signals_end();
	return err;
}

static long end(struct kvm_object *o, long ret)
{
	kvm_object_put(o);
	os_signals_end();
	return ret;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int open_begun(void)
{
	struct kvm_object *o;
	int fd, err = linked_reserve(true, NULL, &fd);

	if (err)
		return err;
	err = kvm_open(&o);
	if (err) {
		linked_cancel(fd);
		return err;
	}
	linked_commit(fd, o);
	return fd;
}

static int linked_open(void)
{
	static _Atomic bool ready;
	int ret;

	if (!atomic_exchange(&ready, true)) {
		kvm_set_fd_ops(&fd_ops);
		ret = os_fault_init();
		if (ret)
			return ret;
	}
	os_signals_begin();
	ret = open_begun();
	os_signals_end();
	return ret;
}

static long linked_ioctl(int fd, unsigned int cmd, uint64_t arg)
{
	struct kvm_object *o;
	int err = begin(fd, &o);

	return err ? err : end(o, kvm_ioctl(o, cmd, arg));
}

static int map_object(struct kvm_object *o, uint64_t offset, uint64_t size, int flags, uint64_t *at)
{
	const int prot = PROT_READ | PROT_WRITE;
	uint64_t backing_offset;
	long ret;
	int fd;

	ret = kvm_mmap(o, size, prot, flags, offset, &fd, &backing_offset);
	if (ret)
		return (int)ret;
	if (fd < 0)
		return host_map_mmap(kvm_host_map(), kvm_gmem_host_file(o), o, *at, size, prot,
				     flags, offset, at);
	ret = os_sys6(SYS_mmap, *at, size, prot, flags, fd, backing_offset);
	*at = (uint64_t)ret;
	return os_sys_failed(ret) ? (int)ret : 0;
}

static int map_nobodys(uint64_t size, void **out)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	long ret = os_sys6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	*out = (void *)ret;
	return os_sys_failed(ret) ? (int)ret : 0;
}

static int linked_map(int fd, uint64_t offset, uint64_t size, void **out)
{
	struct kvm_object *o;
	uint64_t at = 0;
	int err;

	size = os_page_up(size);
	if (fd < 0)
		return map_nobodys(size, out);
	err = begin(fd, &o);
	if (err)
		return err;
	os_mutex_lock(&map_lock);
	err = map_object(o, offset, size, MAP_SHARED, &at);
	os_mutex_unlock(&map_lock);
	*out = (void *)(uintptr_t)at;
	return (int)end(o, err);
}

/* A change of the program's mappings: whose they were is kept until the VMs have been told. */
static int unmap_begun(uint64_t addr, uint64_t size)
{
	struct host_map_range r;
	bool meets = host_map_find(kvm_host_map(), addr, size, &r);
	uint64_t cookie = kvm_hva_change_begin(addr, size);
	long ret = meets ? host_map_munmap(kvm_host_map(), addr, size)
			 : os_sys2(SYS_munmap, addr, size);

	if (cookie)
		kvm_hva_change_end(addr, size, cookie);
	if (meets)
		kvm_object_put(r.owner);
	return (int)ret;
}

static int linked_unmap(void *addr, uint64_t size)
{
	int ret;

	os_signals_begin();
	os_mutex_lock(&map_lock);
	ret = unmap_begun((uintptr_t)addr, os_page_up(size));
	os_mutex_unlock(&map_lock);
	os_signals_end();
	return ret;
}

/* Nothing there any more. An owner goes when no change is under way: piece by piece. */
static long clear_begun(uint64_t addr, uint64_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	struct host_map_range r;
	uint64_t cookie;
	long ret = 0;

	while (!os_sys_failed(ret) && host_map_find(kvm_host_map(), addr, size, &r)) {
		host_map_clip(&r, addr, addr + size);
		cookie = kvm_hva_change_begin(r.addr, r.size);
		ret = host_map_replace(kvm_host_map(), r.addr, r.size, PROT_NONE, flags, -1, 0);
		if (cookie)
			kvm_hva_change_end(r.addr, r.size, cookie);
		kvm_object_put(r.owner);
	}
	return ret;
}

static int map_begun(uint64_t at, struct kvm_object *o, uint64_t offset, uint64_t size, int prot)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	uint64_t cookie, backing_offset;
	int fd;
	long ret = o ? kvm_mmap(o, size, prot, MAP_SHARED, offset, &fd, &backing_offset) : 0;

	if (!ret)
		ret = clear_begun(at, size);
	if (os_sys_failed(ret))
		return (int)ret;
	cookie = kvm_hva_change_begin(at, size);
	ret = o ? map_object(o, offset, size, MAP_SHARED | MAP_FIXED, &at)
		: os_sys6(SYS_mmap, at, size, prot, flags, -1, 0);
	if (cookie)
		kvm_hva_change_end(at, size, cookie);
	return os_sys_failed(ret) ? (int)ret : 0;
}

static int linked_map_at(void *addr, int fd, uint64_t offset, uint64_t size)
{
	int prot = fd == UAPI_NOTHING ? PROT_NONE : PROT_READ | PROT_WRITE;
	struct kvm_object *o = NULL;
	int err = fd < 0 ? 0 : begin(fd, &o);

	if (err)
		return err;
	if (!o)
		os_signals_begin();
	os_mutex_lock(&map_lock);
	err = map_begun((uintptr_t)addr, o, offset, os_page_up(size), prot);
	os_mutex_unlock(&map_lock);
	if (o)
		kvm_object_put(o);
	os_signals_end();
	return err;
}

static int linked_fallocate(int fd, int mode, int64_t offset, int64_t size)
{
	struct kvm_object *o;
	int err = begin(fd, &o);

	if (err)
		return err;
	err = o->type == KVM_OBJECT_GMEM ? kvm_gmem_fallocate(o, mode, offset, size) : -ENODEV;
	return (int)end(o, err);
}

static long advise_begun(uint64_t addr, uint64_t size, int advice)
{
	struct host_map_range r;
	long ret;

	if (!host_map_find(kvm_host_map(), addr, size, &r))
		return os_sys3(SYS_madvise, addr, size, advice);
	ret = host_map_madvise(kvm_host_map(), addr, size, advice);
	kvm_object_put(r.owner);
	return ret;
}

static int linked_madvise(void *addr, uint64_t size, int advice)
{
	uint64_t cookie;
	long ret;

	os_signals_begin();
	os_mutex_lock(&map_lock);
	cookie = kvm_hva_change_begin((uintptr_t)addr, os_page_up(size));
	ret = advise_begun((uintptr_t)addr, size, advice);
	if (cookie)
		kvm_hva_change_end((uintptr_t)addr, os_page_up(size), cookie);
	os_mutex_unlock(&map_lock);
	os_signals_end();
	return (int)ret;
}

/* A window that moves has the owner it had; owners at the new place go as clear_begun() says. */
static long move_begun(uint64_t addr, uint64_t size, uint64_t to)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	struct host_map_range r;
	uint64_t first = addr < to ? addr : to, all = (addr < to ? to - addr : addr - to) + size;
	uint64_t cookie;
	bool meets;
	long ret = all < 2 * size ? 0 : clear_begun(to, size); /* onto itself: refused below */

	if (os_sys_failed(ret))
		return ret;
	meets = host_map_find(kvm_host_map(), addr, size, &r);
	cookie = kvm_hva_change_begin(first, all);
	ret = meets ? host_map_mremap(kvm_host_map(), addr, size, size, flags, to)
		    : os_sys5(SYS_mremap, addr, size, size, flags, to);
	if (cookie)
		kvm_hva_change_end(first, all, cookie);
	if (meets)
		kvm_object_put(r.owner);
	return os_sys_failed(ret) ? ret : 0;
}

static int linked_move(void *addr, uint64_t size, void *to)
{
	long ret;

	os_signals_begin();
	os_mutex_lock(&map_lock);
	ret = move_begun((uintptr_t)addr, os_page_up(size), (uintptr_t)to);
	os_mutex_unlock(&map_lock);
	os_signals_end();
	return (int)ret;
}

/* One more number, and one more count for it. */
static int linked_dup(int fd)
{
	struct kvm_object *o;
	int copy, err = begin(fd, &o);

	if (err)
		return err;
	err = linked_reserve(true, NULL, &copy);
	if (!err) {
		kvm_object_get(o);
		linked_commit(copy, o);
	}
	return (int)end(o, err ? err : copy);
}

static int linked_close(int fd)
{
	_Atomic(struct kvm_object *) *place = place_of(fd);
	struct kvm_object *o;

	if (!place)
		return -EBADF;
	os_signals_begin();
	o = atomic_exchange(place, NULL);
	if (o && o != RESERVED)
		kvm_object_put(o);
	os_signals_end();
	return o ? 0 : -EBADF;
}

const struct uapi uapi_linked = {
	.name = "linked",
	.open = linked_open,
	.ioctl = linked_ioctl,
	.map = linked_map,
	.unmap = linked_unmap,
	.map_at = linked_map_at,
	.fallocate = linked_fallocate,
	.madvise = linked_madvise,
	.move = linked_move,
	.dup = linked_dup,
	.close = linked_close,
};
