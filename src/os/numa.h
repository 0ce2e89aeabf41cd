/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* numa: from which nodes of memory the pages of a mapping come. Addresses of masks are the program's. */
#ifndef GMEM_OS_NUMA_H
#define GMEM_OS_NUMA_H

#include <stdint.h>

#define OS_NUMA_MASK_WORDS 16 /* 1024 nodes, the most that a kernel can have */

struct os_numa_policy {
	int mode; /* with its flags */
	uint64_t nodes[OS_NUMA_MASK_WORDS];
};

/* mbind(2), get_mempolicy(2), set_mempolicy_home_node(2). */
long os_numa_bind(uint64_t addr, uint64_t size, uint64_t mode, uint64_t mask, uint64_t maxnode,
		  uint64_t flags);
long os_numa_get(uint64_t mode, uint64_t mask, uint64_t maxnode, uint64_t addr, uint64_t flags);
long os_numa_home(uint64_t addr, uint64_t size, uint64_t node, uint64_t flags);

/* What holds for the page at addr. */
long os_numa_policy_at(const void *addr, struct os_numa_policy *out);
long os_numa_set_policy(const void *addr, uint64_t size, const struct os_numa_policy *policy);
/* No policy any more, also where the mapping itself has had none: os_numa_bind() does nothing there. */
long os_numa_reset(const void *addr, uint64_t size);

#endif
