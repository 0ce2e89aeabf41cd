/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * map_change: the frame of everything a program does to a range of its address space.
 *
 *	struct change c;
 *	long ret = change_begin(&c, addr, size, true);
 *	if (!ret)
 *		ret = c.meets ? host_map_munmap(...) : os_sys2(SYS_munmap, ...);
 *	return change_end(&c, ret);
 *
 * Between the two no other thread changes a mapping (as long as any guest_memfd is mapped), and every VM
 * knows that the range changes, as by an MMU notifier. They do not nest.
 */
#ifndef GMEM_SHIM_MAP_CHANGE_H
#define GMEM_SHIM_MAP_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "map/host_map.h"
#include "os/os.h"
#include "shim/handle.h"

#define CHANGE_OWNERS 4

struct change {
	uint64_t addr, size, cookie;
	bool locked;
	bool meets; /* guest_memfds are mapped in the range */
	/* They stay until the end: the last mapping of a VM's last file cannot go while the VM is
	 * being told of a change. */
	struct kvm_object **owners;
	unsigned int nr_owners, max_owners;
	struct kvm_object *few[CHANGE_OWNERS];
};

/* tell: the VMs too. size is rounded up to pages. -ENOMEM: change_end() all the same. */
int change_begin(struct change *c, uint64_t addr, uint64_t size, bool tell);
/* For one that will map a guest_memfd: no mapping of one need be there yet. */
int change_begin_locked(struct change *c, uint64_t addr, uint64_t size);
long change_end(struct change *c, long ret);

/* Set, for good, before the first guest_memfd is mapped. */
extern _Atomic bool change_any_mapping;

/* Is a guest_memfd mapped? One load for a process that has never mapped one. */
static inline bool change_map_any(void)
{
	return atomic_load_explicit(&change_any_mapping, memory_order_relaxed) &&
	       host_map_any(kvm_host_map());
}

/* Is there anything that could be told? */
static inline bool change_anybody(void)
{
	if (__builtin_expect(!atomic_load_explicit(&handle_count, memory_order_relaxed), 1))
		return __builtin_expect(change_map_any(), 0);
	return true;
}

/* As madvise(2) and munmap(2) want it. */
static inline bool is_page_range(uint64_t addr, uint64_t size)
{
	return !(addr & (OS_PAGE_SIZE - 1)) && os_page_up(size) >= size &&
	       addr + os_page_up(size) >= addr;
}

#endif
