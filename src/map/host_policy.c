/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/host_policy.h"

#include <errno.h>
#include <string.h>

#include "os/numa.h"
#include "os/os.h"

static int view(struct host_file *f, uint64_t offset, uint64_t size, void **at)
{
	if (f->store_fd < 0)
		return -EIO;
	return os_map_file(f->store_fd, offset, size, 0, OS_MAP_HIDDEN, at);
}

long host_policy_bind(struct host_file *f, uint64_t offset, uint64_t size, uint64_t mode,
		      uint64_t mask, uint64_t maxnode, uint64_t flags)
{
	void *at;
	long ret = view(f, offset, size, &at);

	if (ret)
		return ret;
	ret = os_numa_bind((uintptr_t)at, size, mode, mask, maxnode, flags);
	if (!ret && !mode)
		ret = os_numa_reset(at, size);
	os_unmap(at, size);
	return ret;
}

long host_policy_get(struct host_file *f, uint64_t offset, uint64_t mode, uint64_t mask,
		     uint64_t maxnode, uint64_t flags)
{
	uint64_t page = offset & ~(uint64_t)(OS_PAGE_SIZE - 1);
	void *at;
	long ret = view(f, page, OS_PAGE_SIZE, &at);

	if (ret)
		return ret;
	ret = os_numa_get(mode, mask, maxnode, (uintptr_t)at, flags);
	os_unmap(at, OS_PAGE_SIZE);
	return ret;
}

static bool is_same(const struct os_numa_policy *a, const struct os_numa_policy *b)
{
	return a->mode == b->mode && !memcmp(a->nodes, b->nodes, sizeof(a->nodes));
}

/* The kernel looks for a policy at the mapping, where a new one has none: it is put there again, run by run. */
static long set_home(char *at, uint64_t size, uint64_t node, uint64_t flags, uint64_t *done)
{
	struct os_numa_policy policy, next;
	uint64_t run = OS_PAGE_SIZE;
	long ret = os_numa_policy_at(at, &policy);

	for (; !ret && run < size; run += OS_PAGE_SIZE) {
		ret = os_numa_policy_at(at + run, &next);
		if (ret || !is_same(&policy, &next))
			break;
	}
	if (!ret && policy.mode)
		ret = os_numa_set_policy(at, run, &policy);
	if (!ret)
		ret = os_numa_home((uintptr_t)at, run, node, flags);
	*done = run;
	return ret;
}

long host_policy_home(struct host_file *f, uint64_t offset, uint64_t size, uint64_t node,
		      uint64_t flags)
{
	uint64_t done, run;
	bool any = false;
	void *at;
	long ret = view(f, offset, size, &at);

	if (ret)
		return ret;
	for (done = 0; (!ret || ret == -ENOENT) && done < size; done += run) {
		ret = set_home((char *)at + done, size - done, node, flags, &run);
		any |= !ret;
	}
	os_unmap(at, size);
	return ret == -ENOENT && any ? 0 : ret;
}
