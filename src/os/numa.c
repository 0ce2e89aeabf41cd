/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/numa.h"

#include <errno.h>
#include <linux/mempolicy.h>

#include "os/os.h"
#include "os/sys.h"

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif

/* The kernel takes one bit less than it is told. */
#define MAX_NODE (OS_NUMA_MASK_WORDS * 64 + 1)

long os_numa_bind(uint64_t addr, uint64_t size, uint64_t mode, uint64_t mask, uint64_t maxnode,
		  uint64_t flags)
{
	return os_sys6(SYS_mbind, addr, size, mode, mask, maxnode, flags);
}

long os_numa_get(uint64_t mode, uint64_t mask, uint64_t maxnode, uint64_t addr, uint64_t flags)
{
	return os_sys5(SYS_get_mempolicy, mode, mask, maxnode, addr, flags);
}

long os_numa_home(uint64_t addr, uint64_t size, uint64_t node, uint64_t flags)
{
	return os_sys4(SYS_set_mempolicy_home_node, addr, size, node, flags);
}

long os_numa_policy_at(const void *addr, struct os_numa_policy *out)
{
	*out = (struct os_numa_policy){ 0 };
	return os_sys5(SYS_get_mempolicy, &out->mode, out->nodes, MAX_NODE, addr, MPOL_F_ADDR);
}

long os_numa_set_policy(const void *addr, uint64_t size, const struct os_numa_policy *policy)
{
	return os_sys6(SYS_mbind, addr, size, policy->mode, policy->nodes, MAX_NODE, 0);
}

long os_numa_reset(const void *addr, uint64_t size)
{
	const struct os_numa_policy other = { .mode = MPOL_LOCAL }, none = { .mode = MPOL_DEFAULT };
	long ret = os_numa_set_policy(addr, size, &other);

	return ret ? ret : os_numa_set_policy(addr, size, &none);
}
