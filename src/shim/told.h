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

/* gmem: the guest_memfd; others are left out. how: mode; of mmap prot and flags (TOLD_MAP), of write what was
 * written. r: -errno or not. */
void told_file_call(struct kvm_object *o, long nr, uint64_t how, uint64_t start, long r,
		    uint64_t offset, uint64_t size);
#define TOLD_MAP(prot, flags) ((uint64_t)((uint32_t)(prot)&0xff) | (uint64_t)(uint32_t)(flags) << 8)

/* One that meets a mapping of a guest_memfd; how: prot, flags or advice. Before change_end(). */
void told_map_call(const struct change *c, long nr, uint64_t how, uint64_t start, long r,
		   uint64_t addr, uint64_t size);

/* The same of one that has no change: gmem is the first that is met. how: TOLD_BIND, TOLD_HOME or flags. */
void told_policy_call(struct kvm_object *gmem, long nr, uint64_t how, uint64_t start, long r,
		      uint64_t addr, uint64_t size);

/* Mode with its flags, flags, and the lowest nodes: the highest bit says that there are others. */
#define TOLD_NODES 23
#define TOLD_BIND(mode, flags, nodes)                                    \
	((uint64_t)(uint16_t)(mode) | (uint64_t)(uint8_t)(flags) << 16 | \
	 ((nodes) & ((1ull << TOLD_NODES) - 1)) << 24 |                  \
	 (uint64_t) !!((nodes) >> TOLD_NODES) << 47)
#define TOLD_HOME(node, flags) ((uint64_t)(uint16_t)(node) | (uint64_t)(uint8_t)(flags) << 16)

#endif
