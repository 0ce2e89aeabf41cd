/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest accesses that end on purpose (obs/inject.h), as a real machine could have ended them.
 *
 * A guest under SNP or TDX says with each access whether it takes the page for private. Ours cannot, so for pages that
 * it has asked to be converted without its program being told (INJECT_IMPLICIT, or mmu_config.guest_says) we keep in
 * mind what it takes them for; a touch of such a page that is something else ends in a memory fault, until the program has converted it. The
 * list is short and searched from its end: what was said last counts.
 */
#include <errno.h>

#include "core/range.h"
#include "mmu/mmu_private.h"

#define MAX_RANGES 1024u

struct guest_kinds {
	uint32_t nr;
	struct range {
		uint64_t gfn, end;
		enum inject_kind kind;
	} ranges[MAX_RANGES];
};

int guest_kinds_create(bool wanted, struct guest_kinds **out)
{
	*out = NULL;
	if (!wanted && !obs_injects(INJECT_HYPERCALL))
		return 0;
	*out = os_alloc(sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void guest_kinds_destroy(struct guest_kinds *kinds)
{
	if (kinds)
		os_free(kinds, sizeof(*kinds));
}

enum inject_kind mmu_guest_kind(struct mmu *mmu, uint64_t gfn)
{
	const struct guest_kinds *k = mmu->guest_kinds;

	for (uint32_t i = k ? k->nr : 0; i-- > 0;) {
		if (gfn >= k->ranges[i].gfn && gfn < k->ranges[i].end)
			return k->ranges[i].kind;
	}
	return INJECT_ANY_KIND;
}

bool mmu_guest_has_said(const struct mmu *mmu, uint64_t gfn, uint64_t nr)
{
	const struct guest_kinds *k = mmu->guest_kinds;

	for (uint32_t i = 0; k && i < k->nr; i++) {
		if (ranges_meet(k->ranges[i].gfn, k->ranges[i].end, gfn, gfn + nr))
			return true;
	}
	return false;
}

/* What lies in the range is said anew. */
static void forget_inside(struct guest_kinds *k, uint64_t gfn, uint64_t end)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < k->nr; i++) {
		if (k->ranges[i].gfn < gfn || k->ranges[i].end > end)
			k->ranges[nr++] = k->ranges[i];
	}
	k->nr = nr;
}

static bool keep(struct guest_kinds *k, uint64_t gfn, uint64_t end, enum inject_kind kind)
{
	forget_inside(k, gfn, end);
	if (k->nr == MAX_RANGES)
		return false;
	if (kind != INJECT_ANY_KIND || k->nr)
		k->ranges[k->nr++] = (struct range){ gfn, end, kind };
	return true;
}

bool mmu_set_guest_kind(struct mmu *mmu, uint64_t gfn, uint64_t nr, enum inject_kind kind)
{
	bool kept;

	if (!mmu->guest_kinds)
		return false;
	os_mutex_lock(&mmu->lock);
	kept = keep(mmu->guest_kinds, gfn, gfn + nr, kind);
	os_mutex_unlock(&mmu->lock);
	/* Who has such a page touches it anew. */
	if (kept && kind != INJECT_ANY_KIND) {
		mmu_invalidate_begin(mmu, gfn, gfn + nr);
		mmu_invalidate_end(mmu, gfn, gfn + nr);
	}
	return kept;
}

/* ---- one access -------------------------------------------------------------------------------- */

static bool is_other_kind(struct mmu *mmu, struct mmu_access *a, struct mmu_fault_info *info)
{
	enum inject_kind is = a->key.kind;
	struct inject what;

	if (a->guest_kind != INJECT_ANY_KIND) {
		info->is_private = a->guest_kind == INJECT_PRIVATE;
		return a->guest_kind != is;
	}
	a->key.point = INJECT_GUEST;
	info->is_private = is == INJECT_SHARED;
	return mmu->config.has_private && obs_injects(INJECT_GUEST) && obs_inject(&a->key, &what);
}

static int fail(struct mmu_access *a)
{
	int err = 0;

	a->key.point = INJECT_FAULT;
	if (obs_injects(INJECT_FAULT))
		err = obs_inject_error(&a->key);
	a->key.point = INJECT_POISON;
	if (!err && a->from_file && obs_injects(INJECT_POISON) && obs_inject_poison(&a->key, true))
		err = -EHWPOISON;
	return err;
}

/* What comes of memory of the program has no exit that tells of the page. */
bool mmu_end_on_purpose(struct mmu *mmu, struct mmu_access *a, struct mmu_fault_info *info,
			enum mmu_fault_result *how)
{
	*how = MMU_FAULT_MEMORY;
	info->error = -EFAULT;
	if (!a->prefault && is_other_kind(mmu, a, info))
		return true;
	*how = a->from_file ? MMU_FAULT_MEMORY : MMU_FAULT_ERROR;
	info->is_private = a->key.kind == INJECT_PRIVATE;
	info->error = fail(a);
	return info->error;
}

bool mmu_last_fault(struct mmu_vcpu *v, struct mmu_fault_info *info)
{
	struct mmu *mmu = v->mmu;
	uint64_t gfn = v->last_gpa >> OS_PAGE_SHIFT;
	struct memslot *slot;
	bool has_file;

	os_mutex_lock(&mmu->lock);
	slot = v->last_gpa ? memslot_at(mmu, gfn) : NULL;
	has_file = slot && slot->file;
	*info = (struct mmu_fault_info){ .gpa = v->last_gpa, .size = OS_PAGE_SIZE };
	info->is_private = has_file && mmu->config.has_private && mmu_is_private(mmu, slot, gfn);
	os_mutex_unlock(&mmu->lock);
	return has_file;
}
