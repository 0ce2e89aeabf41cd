/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/host_policy.h"

#include <errno.h>
#include <string.h>

#include "core/range.h"
#include "os/numa.h"
#include "os/os.h"

struct wish {
	uint64_t mode, mask, maxnode, flags; /* as of mbind() */
};

static long bind_pages(void *at, uint64_t size, const struct wish *w)
{
	long ret = os_numa_bind((uintptr_t)at, size, w->mode, w->mask, w->maxnode, w->flags);

	return !ret && !w->mode ? os_numa_reset(at, size) : ret;
}

/* ---- small pages, on a mapping for the call ------------------------------------------------------- */

static int view(struct host_file *f, uint64_t offset, uint64_t size, void **at)
{
	if (f->store_fd < 0)
		return -EIO;
	return os_map_file(f->store_fd, offset, size, 0, OS_MAP_HIDDEN, at);
}

static long bind_small(struct host_file *f, uint64_t offset, uint64_t size, const struct wish *w)
{
	void *at;
	long ret = view(f, offset, size, &at);

	if (ret)
		return ret;
	ret = bind_pages(at, size, w);
	os_unmap(at, size);
	return ret;
}

static long get_small(struct host_file *f, uint64_t page, const struct wish *w)
{
	void *at;
	long ret = view(f, page, OS_PAGE_SIZE, &at);

	if (ret)
		return ret;
	ret = os_numa_get(w->mode, w->mask, w->maxnode, (uintptr_t)at, w->flags);
	os_unmap(at, OS_PAGE_SIZE);
	return ret;
}

/* ---- huge pages of the pool, in the hidden view --------------------------------------------------- */

static bool is_huge_all(const struct host_file *f)
{
	return f->flags & GMEM_FILE_HUGETLB && !gmem_flags_mixed(f->flags);
}

/* NULL: there are none, or the home has them. */
static struct store *huge_of(struct host_file *f)
{
	if (!f->file)
		return NULL;
	return is_huge_all(f) ? gmem_file_store(f->file) : store_huge(gmem_file_store(f->file));
}

/* Whole pages, a window at a time. */
static long bind_huge(struct host_file *f, struct store *s, uint64_t offset, uint64_t size,
		      const struct wish *w)
{
	int level = f->flags & GMEM_FILE_HUGETLB_1G ? LEVEL_1G : LEVEL_2M;
	uint64_t page = level_pages(level) << OS_PAGE_SHIFT, step;
	uint64_t end = (min_u64(offset + size, s->size) + page - 1) & ~(page - 1);
	long ret = 0;

	for (offset &= ~(page - 1); !ret && offset < end; offset += step) {
		void *at;

		step = min_u64(end - offset, STORE_WINDOW_SIZE - offset % STORE_WINDOW_SIZE);
		ret = store_address(s, offset, &at);
		if (!ret)
			ret = bind_pages(at, step, w);
	}
	return ret;
}

/* ---- both ------------------------------------------------------------------------------------------ */

long host_policy_bind(struct host_file *f, uint64_t offset, uint64_t size, uint64_t mode,
		      uint64_t mask, uint64_t maxnode, uint64_t flags)
{
	const struct wish w = { mode, mask, maxnode, flags };
	struct store *huge = huge_of(f);
	long ret = 0;

	if (!is_huge_all(f))
		ret = bind_small(f, offset, size, &w);
	else if (!huge)
		return -EIO;
	return ret || !huge ? ret : bind_huge(f, huge, offset, size, &w);
}

/* What is set for huge pages and small ones is set for both. */
long host_policy_get(struct host_file *f, uint64_t offset, uint64_t mode, uint64_t mask,
		     uint64_t maxnode, uint64_t flags)
{
	const struct wish w = { mode, mask, maxnode, flags };
	void *at;
	long ret;

	offset &= ~(uint64_t)(OS_PAGE_SIZE - 1);
	if (!is_huge_all(f))
		return get_small(f, offset, &w);
	if (!f->file)
		return -EIO;
	ret = store_address(gmem_file_store(f->file), offset, &at);
	return ret ? ret : os_numa_get(mode, mask, maxnode, (uintptr_t)at, flags);
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
