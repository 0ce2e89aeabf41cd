/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/mmu.h"

#include <errno.h>
#include <stddef.h>

#include "mmu/mmu_private.h"
#include "os/paths.h"

static void destroy_partial(struct mmu *mmu)
{
	if (mmu->attributes)
		attr_map_destroy(mmu->attributes);
	guest_kinds_destroy(mmu->guest_kinds);
	table_destroy(mmu);
	os_free(mmu, sizeof(*mmu));
}

int mmu_create(const struct mmu_config *config, struct mmu **out)
{
	struct mmu *mmu = os_alloc(sizeof(*mmu));
	int ret;

	os_assert(config->gpa_bits > OS_PAGE_SHIFT && config->gpa_bits <= 57);
	if (!mmu)
		return -ENOMEM;
	mmu->config = *config;
	mmu->max_level = os_path_off(OS_PATH_LEAVES) || obs_injects_pages() ? LEVEL_4K : LEVEL_1G;
	os_mutex_init(&mmu->lock);
	os_rwlock_init(&mmu->vcpus_lock);
	ret = attr_map_create(ATTR_PRIVATE, config->starts_private ? ATTR_PRIVATE : 0,
			      &mmu->attributes);
	if (!ret)
		ret = table_init(mmu);
	if (!ret)
		ret = guest_kinds_create(config->guest_says, &mmu->guest_kinds);
	if (ret) {
		destroy_partial(mmu);
		return ret;
	}
	*out = mmu;
	return 0;
}

void mmu_destroy(struct mmu *mmu)
{
	os_assert(!mmu->vcpus);
	memslot_table_destroy(mmu);
	os_assert(window_set_idle(&mmu->gfn_windows) && window_set_idle(&mmu->hva_windows));
	destroy_partial(mmu);
}

int mmu_mapped_level(struct mmu *mmu, uint64_t gpa)
{
	int level = -1;

	os_mutex_lock(&mmu->lock);
	if (!table_leaf(mmu, gpa >> OS_PAGE_SHIFT, &level))
		level = -1;
	os_mutex_unlock(&mmu->lock);
	return level;
}
