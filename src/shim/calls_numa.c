/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * mbind, get_mempolicy, set_mempolicy_home_node where guest_memfds are mapped: the policy is the file's (map/host_policy.h). A
 * range is gone through in the order of addresses, what is no guest memory of it goes to the kernel, and the first error ends
 * the call; so the kernel has judged the arguments before anything is changed.
 */
#include <errno.h>
#include <linux/mempolicy.h>

#include "map/host_policy.h"
#include "obs/rules.h"
#include "os/fault.h"
#include "os/numa.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/map_change.h"
#include "shim/shim.h"
#include "shim/told.h"

struct numa_call {
	long nr;
	uint64_t how;
	long (*ours)(struct host_file *f, uint64_t offset, uint64_t size, const uint64_t *a);
	long (*kernel)(uint64_t addr, uint64_t size, const uint64_t *a);
	const uint64_t *a;	  /* what follows address and size */
	struct kvm_object *first; /* guest_memfd that is met; NULL: none yet */
};

static long bind_ours(struct host_file *f, uint64_t offset, uint64_t size, const uint64_t *a)
{
	return host_policy_bind(f, offset, size, a[0], a[1], a[2], a[3]);
}

static long bind_kernel(uint64_t addr, uint64_t size, const uint64_t *a)
{
	return os_numa_bind(addr, size, a[0], a[1], a[2], a[3]);
}

static long home_ours(struct host_file *f, uint64_t offset, uint64_t size, const uint64_t *a)
{
	return host_policy_home(f, offset, size, a[0], a[1]);
}

static long home_kernel(uint64_t addr, uint64_t size, const uint64_t *a)
{
	return os_numa_home(addr, size, a[0], a[1]);
}

static long each(struct numa_call *c, uint64_t addr, uint64_t end)
{
	struct host_map_range r;
	bool any = false;
	long ret = 0;

	while ((!ret || ret == -ENOENT) && addr < end) {
		uint64_t stop = end;
		bool found = host_map_find(kvm_host_map(), addr, end - addr, &r);
		bool is_gmem = found && r.addr <= addr;

		if (found) {
			host_map_clip(&r, addr, end);
			stop = is_gmem ? r.addr + r.size : r.addr;
		}
		ret = is_gmem ? c->ours(r.file, r.offset, r.size, c->a)
			      : c->kernel(addr, stop - addr, c->a);
		if (found && !c->first)
			c->first = r.owner;
		else if (found)
			kvm_object_put(r.owner);
		any |= !ret;
		addr = stop;
	}
	/* No policy here, but one there: the home node has been set. */
	return ret == -ENOENT && any ? 0 : ret;
}

/* What the kernel answered of the guest memory has a rule, too. */
static long told(const struct numa_call *c, uint64_t start, long ret, uint64_t addr, uint64_t size)
{
	if (!c->first)
		return ret;
	if (ret < 0)
		obs_refuse_as(RULE_WINDOW_POLICY, (int)ret);
	told_policy_call(c->first, c->nr, c->how, start, ret, addr, size);
	kvm_object_put(c->first);
	return ret;
}

static long run(struct numa_call *c, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + os_page_up(size), start = obs_start();
	long ret;

	/* The kernel refuses it, or there is nothing to do. */
	if (!change_map_any() || addr & (OS_PAGE_SIZE - 1) || end <= addr)
		return c->kernel(addr, size, c->a);
	shim_enter();
	ret = told(c, start, each(c, addr, end), addr, size);
	shim_leave();
	return ret;
}

long calls_mbind(uint64_t addr, uint64_t size, const uint64_t rest[4])
{
	uint64_t nodes = 0;
	struct numa_call c = {
		.nr = SYS_mbind, .ours = bind_ours, .kernel = bind_kernel, .a = rest
	};

	/* What cannot be read the kernel refuses. */
	if (rest[1] && rest[2])
		os_copy_in(&nodes, rest[1], sizeof(nodes));
	c.how = TOLD_BIND(rest[0], rest[3], nodes);

	return run(&c, addr, size);
}

long calls_set_mempolicy_home_node(uint64_t addr, uint64_t size, const uint64_t rest[2])
{
	struct numa_call c = { .nr = SYS_set_mempolicy_home_node,
			       .how = TOLD_HOME(rest[0], rest[1]),
			       .ours = home_ours,
			       .kernel = home_kernel,
			       .a = rest };

	return run(&c, addr, size);
}

/* On which node a page is, the mapping itself can say: a private page has none for the program. */
long calls_get_mempolicy(uint64_t mode, uint64_t mask, uint64_t maxnode, uint64_t addr,
			 uint64_t flags)
{
	struct numa_call c = { .nr = SYS_get_mempolicy, .how = flags };
	uint64_t start = obs_start();
	struct host_map_range r;
	long ret;

	if (!(flags & MPOL_F_ADDR) || flags & MPOL_F_NODE || !change_map_any())
		return os_numa_get(mode, mask, maxnode, addr, flags);
	shim_enter();
	if (host_map_find(kvm_host_map(), addr, 1, &r)) {
		ret = host_policy_get(r.file, r.offset + (addr - r.addr), mode, mask, maxnode,
				      flags);
		c.first = r.owner;
		told(&c, start, ret, addr, OS_PAGE_SIZE);
	} else {
		ret = os_numa_get(mode, mask, maxnode, addr, flags);
	}
	shim_leave();
	return ret;
}
