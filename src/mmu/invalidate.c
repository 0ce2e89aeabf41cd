/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The bracket: open a window so that no fault installs a leaf in the range, zap, shoot down; the caller
 * changes what it will; close the window.
 */
#include "core/range.h"
#include "mmu/mmu_private.h"
#include "obs/obs.h"

void mmu_invalidate_begin(struct mmu *mmu, uint64_t gfn, uint64_t gfn_end)
{
	struct zap zap = { 0 };

	os_assert(gfn < gfn_end);
	os_mutex_lock(&mmu->lock);
	window_open(&mmu->gfn_windows, gfn, gfn_end);
	zap.hit = table_zap(mmu, gfn, gfn_end, &zap.freed);
	zap_seal(mmu, &zap);
	os_mutex_unlock(&mmu->lock);
	zap_finish(mmu, &zap);
	if (zap.hit)
		obs_count(OBS_INVALIDATE, gfn, gfn_end - gfn, 0);
	else
		obs_add(OBS_INVALIDATE);
}

void mmu_invalidate_end(struct mmu *mmu, uint64_t gfn, uint64_t gfn_end)
{
	os_mutex_lock(&mmu->lock);
	window_close(&mmu->gfn_windows, gfn, gfn_end);
	os_mutex_unlock(&mmu->lock);
}

/* ---- by address of the program -------------------------------------------------------------- */

struct hva_zap {
	struct mmu *mmu;
	uint64_t hva, hva_end;
	struct zap zap;
};

static bool zap_slot_part(void *arg, struct interval *node)
{
	struct hva_zap *h = arg;
	struct memslot *slot = memslot_of_hva_node(node);
	uint64_t gfn, gfn_end;

	if (memslot_hva_part(slot, h->hva, h->hva_end, &gfn, &gfn_end)) {
		h->zap.hit |= table_zap(h->mmu, gfn, gfn_end, &h->zap.freed);
		obs_count(OBS_INVALIDATE, gfn, gfn_end - gfn, 0);
	}
	return true;
}

/* Most of what a program maps and unmaps is no guest's: said without a lock. A slot that is being
 * created beside us is as good as created afterwards: its leaves come later. */
static bool far_from_slots(struct mmu *mmu, uint64_t hva, uint64_t hva_end)
{
	return hva >= os_racy_load(&mmu->hva_max) || hva_end <= os_racy_load(&mmu->hva_min);
}

bool mmu_hva_invalidate_begin(struct mmu *mmu, uint64_t hva, uint64_t size)
{
	struct hva_zap h = { .mmu = mmu, .hva = hva, .hva_end = range_top(hva, size) };

	if (!size || far_from_slots(mmu, hva, h.hva_end))
		return false;
	os_mutex_lock(&mmu->lock);
	if (!interval_first(&mmu->by_hva, hva, h.hva_end)) {
		os_mutex_unlock(&mmu->lock);
		return false;
	}
	window_open(&mmu->hva_windows, hva, h.hva_end);
	interval_for_each(&mmu->by_hva, hva, h.hva_end, zap_slot_part, &h);
	zap_seal(mmu, &h.zap);
	os_mutex_unlock(&mmu->lock);
	zap_finish(mmu, &h.zap);
	return true;
}

void mmu_hva_invalidate_end(struct mmu *mmu, uint64_t hva, uint64_t size)
{
	uint64_t hva_end = range_top(hva, size);

	os_mutex_lock(&mmu->lock);
	window_close(&mmu->hva_windows, hva, hva_end);
	os_mutex_unlock(&mmu->lock);
}
