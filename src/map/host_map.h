/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * host_map: the program's own mappings of guest_memfds, and the guard that makes what the host may not
 * touch SIGBUS.
 *
 * A mapping of a file whose pages the host may touch is a mapping of the store: a shared and present page
 * costs no call to us, past the end the kernel itself gives SIGBUS/BUS_ADRERR. A mapping of a file without
 * INIT_SHARED maps an empty file: SIGBUS everywhere and EFAULT from system calls, by the same means.
 *
 * The registry knows every such range of this process: a mapping pins its file (the last close of a
 * guest_memfd is the last descriptor and the last mapping), and mmap, munmap, mremap and madvise of the
 * program are looked up here. Its own lock, taken before every other lock; the shim calls it.
 */
#ifndef GMEM_MAP_HOST_MAP_H
#define GMEM_MAP_HOST_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem_file.h"

struct host_map;

/* put is called, without locks, each time a mapping that pinned owner goes away; get when one is made.
 * owner is whatever the upper layer counts (its guest_memfd object). */
struct host_map_ops {
	void (*get)(void *owner);
	void (*put)(void *owner);
};
int host_map_create(const struct host_map_ops *ops, struct host_map **out);
void host_map_destroy(struct host_map *m);

/* Which descriptor a mapping of f is made of (store or the empty file). No reference is passed. */
int host_map_backing(struct host_map *m, struct gmem_file *f, int *fd);

/* The program's mapping [addr, addr + size) is of f from offset on / is gone / moved. Ranges that were
 * in the registry before and are covered are dropped first. -ENOMEM. */
int host_map_add(struct host_map *m, uint64_t addr, uint64_t size, struct gmem_file *f, void *owner,
		 uint64_t offset);
void host_map_remove(struct host_map *m, uint64_t addr, uint64_t size);
int host_map_move(struct host_map *m, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
		  uint64_t new_size, bool keep_old);

struct host_map_range {
	uint64_t addr, size; /* of the whole mapping piece */
	struct gmem_file *file;
	void *owner;
	uint64_t offset; /* in the file, of addr */
};
/* The first piece that meets [addr, addr + size); false when none does. The owner is pinned (ops->get):
 * the caller puts it. */
bool host_map_find(struct host_map *m, uint64_t addr, uint64_t size, struct host_map_range *out);
/* Cheap test without the lock: false when no mapping exists at all. */
bool host_map_any(struct host_map *m);
/* In a forked child: the registry is kept (the mappings were inherited), the locks are made anew. */
void host_map_after_fork(struct host_map *m);

#endif
