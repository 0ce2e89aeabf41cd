/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Per-VM attributes: what each guest page is, by gfn, whether there is a slot or not.
 */
#include "mmu/mmu_private.h"
#include "obs/obs.h"

struct attr_map *mmu_attributes(struct mmu *mmu)
{
	return mmu->attributes;
}

bool mmu_gfn_is_private(struct mmu *mmu, uint64_t gfn)
{
	return mmu->config.has_private && (attr_map_get(mmu->attributes, gfn) & ATTR_PRIVATE);
}

int mmu_set_attributes(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint32_t attributes)
{
	uint32_t now;
	int ret;

	if (attr_map_uniform(mmu->attributes, gfn, nr, &now) && now == attributes)
		return 0;
	ret = attr_map_reserve(mmu->attributes, gfn, nr);
	if (ret)
		return ret;
	mmu_invalidate_begin(mmu, gfn, gfn + nr);
	attr_map_set(mmu->attributes, gfn, nr, attributes);
	mmu_invalidate_end(mmu, gfn, gfn + nr);
	obs_count(OBS_CONVERT, gfn << OS_PAGE_SHIFT, nr << OS_PAGE_SHIFT, attributes);
	return 0;
}
