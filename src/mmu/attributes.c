/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a guest page is. A slot whose file converts in place: what the file says. Everywhere else the VM's own
 * attributes say it, by gfn, whether there is a slot or not; a VM whose files convert in place sets none, so
 * that a page without a slot, or of a slot whose file is released, is shared there.
 */
#include "mmu/mmu_private.h"
#include "obs/inject.h"
#include "obs/obs.h"

struct attr_map *mmu_attributes(struct mmu *mmu)
{
	return mmu->attributes;
}

bool mmu_is_private(struct mmu *mmu, const struct memslot *slot, uint64_t gfn)
{
	if (slot && memslot_in_place(slot))
		return gmem_file_is_private(slot->file, memslot_file_offset(slot, gfn));
	if (mmu->config.private_with_file && !(slot && slot->file))
		return false;
	return mmu->config.has_private && (attr_map_get(mmu->attributes, gfn) & ATTR_PRIVATE);
}

static int fail_on_purpose(uint64_t gfn, uint64_t nr, uint32_t attributes)
{
	struct inject_key key = {
		.point = INJECT_CONVERT,
		.kind = attributes & ATTR_PRIVATE ? INJECT_PRIVATE : INJECT_SHARED,
		.has_gpa = true,
		.gpa = gfn << OS_PAGE_SHIFT,
		.size = nr << OS_PAGE_SHIFT,
	};

	return obs_inject_error(&key);
}

int mmu_set_attributes(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint32_t attributes)
{
	uint64_t start;
	uint32_t now;
	int ret;

	if (attr_map_uniform(mmu->attributes, gfn, nr, &now) && now == attributes)
		return 0;
	start = obs_start();
	ret = obs_injects(INJECT_CONVERT) ? fail_on_purpose(gfn, nr, attributes) : 0;
	if (ret)
		return ret;
	ret = attr_map_reserve(mmu->attributes, gfn, nr);
	if (ret)
		return ret;
	mmu_invalidate_begin(mmu, gfn, gfn + nr);
	attr_map_set(mmu->attributes, gfn, nr, attributes);
	mmu_invalidate_end(mmu, gfn, gfn + nr);
	obs_span(OBS_VM_CONVERT, start, 0, gfn << OS_PAGE_SHIFT, nr << OS_PAGE_SHIFT, attributes);
	return 0;
}
