/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From which nodes of memory the pages of a guest memory come. */
#include <errno.h>
#include <linux/mempolicy.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "map/host_policy.h"
#include "obs/obs.h"

static int judge(long ret)
{
	return ret ? obs_refuse_as(RULE_LIB_POLICY, (int)ret) : 0;
}

/* Where the pages of a store without a descriptor come from only the store knows. */
static int check_store(const struct gmem *g)
{
	return lib_home_file(g) && g->file->store_fd < 0 ? obs_refuse(RULE_LIB_POLICY_STORE) : 0;
}

int lib_set_policy(struct gmem *g, uint64_t offset, uint64_t size, int mode,
		   const unsigned long *nodes, unsigned long max_node, uint32_t flags)
{
	long ret;
	int err;

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	if (flags)
		return obs_refuse(RULE_LIB_POLICY_FLAGS);
	err = lib_check_inside(g, offset, size);
	if (!err)
		err = check_store(g);
	if (err)
		return err;
	lib_enter();
	ret = host_policy_bind(g->file, offset, size, (unsigned int)mode, (uintptr_t)nodes,
			       max_node, 0);
	lib_leave();
	return judge(ret);
}

int lib_get_policy(struct gmem *g, uint64_t offset, int *mode, unsigned long *nodes,
		   unsigned long max_node, uint32_t flags)
{
	long ret;
	int err;

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	if (flags)
		return obs_refuse(RULE_LIB_POLICY_FLAGS);
	if (offset >= g->file->size)
		return obs_refuse(RULE_LIB_OFFSET_PAST_END);
	err = check_store(g);
	if (err)
		return err;
	lib_enter();
	ret = host_policy_get(g->file, offset, (uintptr_t)mode, (uintptr_t)nodes, max_node,
			      MPOL_F_ADDR);
	lib_leave();
	return judge(ret);
}
