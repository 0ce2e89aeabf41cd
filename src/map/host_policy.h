/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * host_policy: from which nodes of memory the pages of a guest_memfd come. The policy belongs to the file, page by page, and
 * not to a mapping: all mappings of all processes have it, and it stays when they go. The kernel keeps it with the store,
 * where it is what its allocations go by, the guest's too; a window cannot be asked, since what is mapped there may be the empty
 * file over a private page. So each call is made on a mapping of the store for its own time, which nobody touches.
 *
 * With huge pages of the pool it is the mapping that has the policy: the hidden view, at home. Each has the last that was set for any
 * page of it.
 *
 * Nothing is moved: pages of a guest_memfd cannot be. Any thread, no locks.
 */
#ifndef GMEM_MAP_HOST_POLICY_H
#define GMEM_MAP_HOST_POLICY_H

#include "map/host_file.h"

/* mbind(2) on pages of the file; the mask is at the program's address. -EIO: the home is gone. */
long host_policy_bind(struct host_file *f, uint64_t offset, uint64_t size, uint64_t mode,
		      uint64_t mask, uint64_t maxnode, uint64_t flags);
/* get_mempolicy(2) with MPOL_F_ADDR alone. */
long host_policy_get(struct host_file *f, uint64_t offset, uint64_t mode, uint64_t mask,
		     uint64_t maxnode, uint64_t flags);
/* set_mempolicy_home_node(2): of the policies there are in the range; -ENOENT: none. */
long host_policy_home(struct host_file *f, uint64_t offset, uint64_t size, uint64_t node,
		      uint64_t flags);

#endif
