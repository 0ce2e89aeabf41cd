/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * told: system calls on guest_memfds, and on memory where one is mapped, as events: what was asked, what it was
 * answered. What of it changed a file is told by core/ beside.
 *
 *	uint64_t start = obs_start();
 *	long r = ...;
 *	told_file_call(gmem, SYS_fallocate, mode, start, r, offset, size);
 *
 * Any thread, any lock held.
 */
#ifndef GMEM_SHIM_TOLD_H
#define GMEM_SHIM_TOLD_H

#include <sys/syscall.h>

#include "obs/obs.h"
#include "shim/map_change.h"

struct kvm_object;

/* gmem: the guest_memfd; others are left out. how: mode, or of mmap prot and flags (TOLD_MAP). r: -errno or not. */
void told_file_call(struct kvm_object *o, long nr, uint64_t how, uint64_t start, long r,
		    uint64_t offset, uint64_t size);
#define TOLD_MAP(prot, flags) ((uint64_t)((uint32_t)(prot)&0xff) | (uint64_t)(uint32_t)(flags) << 8)

/* One that meets a mapping of a guest_memfd; how: prot, flags or advice. Before change_end(). */
void told_map_call(const struct change *c, long nr, uint64_t how, uint64_t start, long r,
		   uint64_t addr, uint64_t size);

#endif
