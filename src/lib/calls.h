/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* calls: what the exported functions of these names do (gmem.h); calls.c exports them, and tells who observes. */
#ifndef GMEM_LIB_CALLS_H
#define GMEM_LIB_CALLS_H

#include "gmem.h"

int lib_create(const struct gmem_create_args *args, struct gmem **out);
int lib_open(int fd, uint32_t flags, struct gmem **out);
int lib_descriptor(struct gmem *g, int *fd);
int lib_get_info(struct gmem *g, struct gmem_info *info);
void lib_put(struct gmem *g);
int lib_get_stats(struct gmem *g, struct gmem_stats *stats);
int lib_page(struct gmem *g, uint64_t offset, void **addr, uint64_t *size);
int lib_find_block(struct gmem *g, uint64_t offset, struct gmem_block *block);
int lib_fault_begin(struct gmem *g);
int lib_convert(struct gmem *g, struct gmem_convert_args *args);
int lib_attributes(struct gmem *g, uint64_t offset, uint32_t *attributes);
int lib_query(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_extent *extents,
	      uint32_t max, uint32_t *nr);
int lib_punch(struct gmem *g, uint64_t offset, uint64_t size);
int lib_allocate(struct gmem *g, uint64_t offset, uint64_t size);
int lib_poison(struct gmem *g, uint64_t offset, uint64_t size);
int lib_set_policy(struct gmem *g, uint64_t offset, uint64_t size, int mode,
		   const unsigned long *nodes, unsigned long max_node, uint32_t flags);
int lib_get_policy(struct gmem *g, uint64_t offset, int *mode, unsigned long *nodes,
		   unsigned long max_node, uint32_t flags);
int lib_move(struct gmem *g, uint64_t offset, uint64_t size,
	     int (*move)(void *arg, uint64_t offset, uint64_t size), void *arg);
int lib_populate(struct gmem *g, struct gmem_populate_args *args);
int lib_snapshot(struct gmem *g, struct gmem_snapshot_args *args);
int lib_snapshot_check(int fd, uint32_t flags, struct gmem_snapshot_info *info);
int lib_restore(struct gmem *g, const struct gmem_restore_args *args);
int lib_set_patience(uint32_t milliseconds);
int lib_map(struct gmem *g, const struct gmem_map_args *args, void **addr);
int lib_unmap(void *addr, uint64_t size);
int lib_remap(void *addr, uint64_t old_size, uint64_t size, int flags, void *to, void **out);
int lib_protect(void *addr, uint64_t size, int prot);
int lib_advise(void *addr, uint64_t size, int advice);
int lib_lock(void *addr, uint64_t size, int flags);
int lib_unlock(void *addr, uint64_t size);
int lib_pin(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_pinned **out);
void lib_pin_trim(struct gmem_pinned *p, uint64_t size);
void lib_unpin(struct gmem_pinned *p);
int lib_count_references(void);
int lib_bind(struct gmem *g, uint64_t offset, uint64_t size, void *owner,
	     struct gmem_binding **out);
void lib_unbind(struct gmem *g, struct gmem_binding *binding);
int lib_for_bindings(struct gmem *g, uint64_t offset, uint64_t size,
		     void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size), void *arg);
int lib_consumer_add(struct gmem *g, const struct gmem_consumer_callbacks *ops, void *data,
		     struct gmem_consumer **out);
int lib_consumer_add_several(const struct gmem_consumer_file *files, uint32_t nr,
			     const struct gmem_consumer_callbacks *ops, struct gmem_consumer **out);

#endif
