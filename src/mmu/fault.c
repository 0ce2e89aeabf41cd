/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest faults. One try runs in four steps:
 *
 *	read	 under the mmu lock: the sequences, then slot and attribute
 *	decide	 which memory the access is for, or which exit it is
 *	look up	 no mmu lock: the page of the file (its invalidate lock held shared until the end), or
 *		 a probe of the program's own memory
 *	install	 under the mmu lock: nothing that was read has changed and no bracket is running on it
 *
 * A lost race starts over. The order of the rules is the kernel's.
 *
 * In place. "read" asks the file's map without the file's lock, which cannot be taken under the mmu lock. So what
 * it says is only believed when it is asked again under the invalidate lock, held shared until the leaf is in
 * (hold_state): a conversion holds that lock from before its zap until after its map has changed, so it either
 * comes before, and the second look sees it, or it comes after, and its zap finds the leaf. This goes for
 * memory of the program, too, where that is what a shared page of the slot is; but touching it may block for
 * good (a userfaultfd of the program), so there the lock is taken after the probe.
 */
#include <errno.h>
#include <stddef.h>

#include "core/range.h"
#include "mmu/mmu_private.h"
#include "mmu/probe.h"
#include "obs/obs.h"

/* Results of one step beside those of enum mmu_fault_result. */
enum { STEP_RETRY = -1, STEP_NEXT = -2 };

struct fault {
	struct mmu *mmu;
	struct mmu_vcpu *v;
	uint64_t gfn;
	uint32_t access;
	bool prefault;
	struct mmu_fault_info *info;
	/* read */
	uint64_t gfn_sequence, hva_sequence;
	struct memslot *slot; /* valid under the mmu lock while the sequence stands */
	bool is_private;
	bool from_file;
	bool in_place;
	struct gmem_file *file; /* a reference, from_file or in_place */
	uint64_t file_offset;
	bool one_by_one; /* each page needs a fault of its own */
	/* looked up: the host address of the page */
	uint64_t host;
	int level;
	/* Only when faults are made on purpose. */
	struct mmu_access *access_to;
};

static int memory_fault(struct fault *f, int error)
{
	f->info->error = error;
	/* What the access was: only a VM with private memory has private ones. */
	f->info->is_private = f->is_private && f->mmu->config.has_private;
	return MMU_FAULT_MEMORY;
}

static int plain_error(struct fault *f, int error)
{
	f->info->error = error;
	return MMU_FAULT_ERROR;
}

/* ---- read and decide ------------------------------------------------------------------------ */

static bool is_denied_write(const struct fault *f)
{
	return (f->slot->flags & MEMSLOT_READONLY) && (f->access & MMU_WRITE);
}

static int decide_file(struct fault *f)
{
	struct memslot *slot = f->slot;

	if (!slot->file)
		return memory_fault(f, -EFAULT);
	if (is_denied_write(f))
		return MMU_FAULT_MMIO;
	f->from_file = true;
	return STEP_NEXT;
}

static int decide_hva(struct fault *f)
{
	struct memslot *slot = f->slot;

	if (is_denied_write(f))
		return MMU_FAULT_MMIO;
	f->host = slot->hva + ((f->gfn - slot->gfn) << OS_PAGE_SHIFT);
	/* An entry has no room for more: no such address is mapped but by asking for it. */
	if (f->host & ~ENTRY_ADDRESS)
		return plain_error(f, -EFAULT);
	f->level = f->mmu->max_level;
	return STEP_NEXT;
}

static int decide(struct fault *f)
{
	struct mmu *mmu = f->mmu;

	if (!f->slot)
		return f->is_private ? memory_fault(f, -EFAULT) : MMU_FAULT_MMIO;
	if (f->slot->invalid)
		return f->prefault && !mmu->config.retry_invalid_slot ? MMU_FAULT_AGAIN
								      : STEP_RETRY;
	if (window_is_open(&mmu->gfn_windows, f->gfn, f->gfn + 1))
		return STEP_RETRY;
	/* A file that converts in place asks nobody whether its VM has private memory. */
	if (f->is_private && !mmu->config.has_private)
		return memory_fault(f, -EFAULT);
	return memslot_uses_file(f->slot, f->is_private) ? decide_file(f) : decide_hva(f);
}

static void keep_file(struct fault *f)
{
	f->in_place = memslot_in_place(f->slot);
	if (!f->from_file && !f->in_place)
		return;
	f->file = f->slot->file;
	f->file_offset = memslot_file_offset(f->slot, f->gfn);
	gmem_file_get(f->file);
}

/* The next fault mostly has the slot of the last. */
static struct memslot *find_slot(struct fault *f)
{
	struct mmu_vcpu *v = f->v;

	if (v->slots_version == f->mmu->slots_version && v->slot &&
	    f->gfn - v->slot->gfn < v->slot->nr_pages)
		return v->slot;
	v->slot = memslot_at(f->mmu, f->gfn);
	v->slots_version = f->mmu->slots_version;
	return v->slot;
}

/* Constant for an mmu. */
static bool may_end_on_purpose(const struct mmu *mmu)
{
	return obs_injects_pages() || mmu->guest_kinds;
}

static void note_access(struct fault *f)
{
	const struct memslot *slot = f->slot;
	struct inject_key key = {
		.kind = f->is_private ? INJECT_PRIVATE : INJECT_SHARED,
		.has_slot = true,
		.slot = slot->id,
		.has_gpa = true,
		.gpa = f->gfn << OS_PAGE_SHIFT,
		.size = OS_PAGE_SIZE,
	};

	if (slot->file) {
		key.file = gmem_file_number(slot->file);
		key.has_offset = true;
		key.offset = memslot_file_offset(slot, f->gfn);
	}
	*f->access_to = (struct mmu_access){
		.key = key,
		.guest_kind = mmu_guest_kind(f->mmu, f->gfn),
		.prefault = f->prefault,
		.from_file = f->from_file,
	};
}

static int read_and_decide(struct fault *f)
{
	struct mmu *mmu = f->mmu;
	int step;

	os_mutex_lock(&mmu->lock);
	f->gfn_sequence = window_sequence(&mmu->gfn_windows);
	f->hva_sequence = window_sequence(&mmu->hva_windows);
	f->slot = find_slot(f);
	f->is_private = mmu_is_private(mmu, f->slot, f->gfn);
	step = decide(f);
	if (step == STEP_NEXT)
		keep_file(f);
	if (step == STEP_NEXT && may_end_on_purpose(mmu))
		note_access(f);
	os_mutex_unlock(&mmu->lock);
	return step;
}

/* ---- install -------------------------------------------------------------------------------- */

static bool lost_race(struct fault *f)
{
	struct mmu *mmu = f->mmu;

	if (window_is_open(&mmu->gfn_windows, f->gfn, f->gfn + 1) ||
	    window_closed_since(&mmu->gfn_windows, f->gfn_sequence, f->gfn, f->gfn + 1))
		return true;
	if (f->from_file)
		return false;
	return window_is_open(&mmu->hva_windows, f->host, f->host + OS_PAGE_SIZE) ||
	       window_closed_since(&mmu->hva_windows, f->hva_sequence, f->host,
				   f->host + OS_PAGE_SIZE);
}

/* What is mapped beside the page may reach into a bracket that does not meet the page itself, or what the guest takes
 * for another kind. */
static bool range_is_free(struct fault *f, uint64_t gfn, uint64_t host, uint64_t size)
{
	return !window_is_open(&f->mmu->gfn_windows, gfn, gfn + (size >> OS_PAGE_SHIFT)) &&
	       !mmu_guest_has_said(f->mmu, gfn, size >> OS_PAGE_SHIFT) &&
	       (f->from_file || !window_is_open(&f->mmu->hva_windows, host, host + size));
}

static bool block_is_free(struct fault *f, int level)
{
	uint64_t nr = level_pages(level), size = nr << OS_PAGE_SHIFT;

	return range_is_free(f, f->gfn & ~(nr - 1), f->host & ~(size - 1), size);
}

static int leaf_level(struct fault *f)
{
	int level = mmu_leaf_level(f->mmu, f->slot, f->gfn, f->host, f->from_file, f->level);

	while (level > LEVEL_4K && !block_is_free(f, level))
		level--;
	return level;
}

/* Maps what may be mapped as gfn is, as if it were one leaf, of the aligned run around it. What comes from a file
 * stays in 2 MiB of it: that much is the page that gmem_file_page() has looked at. */
static void map_run(struct fault *f, bool writable)
{
	uint64_t before = f->gfn - f->slot->gfn;
	uint64_t after = f->slot->nr_pages - 1 - before;
	uint64_t host, size;

	range_keep_to_block(f->gfn, RUN_PAGES, &before, &after);
	if (f->from_file)
		range_keep_to_block(f->file_offset >> OS_PAGE_SHIFT, level_pages(LEVEL_2M), &before,
				    &after);
	host = f->host - (before << OS_PAGE_SHIFT);
	size = (before + 1 + after) << OS_PAGE_SHIFT;
	if ((host + size - 1) & ~ENTRY_ADDRESS & ~(uint64_t)(OS_PAGE_SIZE - 1))
		return;
	if (range_is_free(f, f->gfn - before, host, size) &&
	    mmu_range_is_uniform(f->mmu, f->slot, f->gfn - before, before + 1 + after))
		table_map_run(f->mmu, f->gfn - before, before + 1 + after, host, writable);
}

/* What a fault maps beside its page must not need a look of its own. */
static bool may_run(struct fault *f)
{
	return f->mmu->max_level > LEVEL_4K && !f->prefault && !f->one_by_one &&
	       !(f->slot->flags & MEMSLOT_LOG_DIRTY);
}

static int map_leaves(struct fault *f, int level)
{
	/* Memory of the program may be readable only: it is writable once a write has been tried. */
	bool watched = f->slot->flags & (MEMSLOT_READONLY | MEMSLOT_LOG_DIRTY);
	bool writable = (f->from_file && !watched) || (f->access & MMU_WRITE);
	uint64_t block = f->host & ~((level_pages(level) << OS_PAGE_SHIFT) - 1);
	int ret = table_map(f->mmu, f->gfn, level, block, writable);

	if (ret > 0 && level == LEVEL_4K && may_run(f))
		map_run(f, writable);
	return ret < 0 ? ret : 0;
}

static int install_locked(struct fault *f)
{
	int level;

	if (lost_race(f))
		return STEP_RETRY;
	level = leaf_level(f);
	if (map_leaves(f, level))
		return plain_error(f, -ENOMEM);
	if (f->access & MMU_WRITE)
		dirty_mark(f->slot, f->gfn);
	/* A prefault has backed this page and no more. */
	if (f->prefault)
		level = LEVEL_4K;
	f->info->mapped_end = ((f->gfn | (level_pages(level) - 1)) + 1) << OS_PAGE_SHIFT;
	return MMU_FAULT_OK;
}

static int install(struct fault *f)
{
	int step;

	os_mutex_lock(&f->mmu->lock);
	step = install_locked(f);
	os_mutex_unlock(&f->mmu->lock);
	return step;
}

/* ---- look up -------------------------------------------------------------------------------- */

static bool window_has_closed(struct fault *f)
{
	struct window_set *set = &f->mmu->gfn_windows;
	bool closed;

	if (window_sequence(set) == f->gfn_sequence)
		return false;
	os_mutex_lock(&f->mmu->lock);
	closed = window_meets_closed(set, f->gfn_sequence, f->gfn, f->gfn + 1);
	os_mutex_unlock(&f->mmu->lock);
	return closed;
}

/*
 * By gfn the windows would tell later; but not before the page has been given memory, and who has made it shared, or
 * deleted its slot, and punched it would never free that. A punch that is over was before us, and so was the window
 * of what it followed.
 */
static bool is_still_so(struct fault *f)
{
	if (f->in_place && gmem_file_is_private(f->file, f->file_offset) != f->is_private)
		return false;
	return !window_has_closed(f);
}

/* From here to let_state() the file does not change. False: it has changed since "read", and is not held. */
static bool hold_state(struct fault *f)
{
	gmem_file_fault_begin(f->file);
	if (is_still_so(f))
		return true;
	gmem_file_fault_end(f->file);
	return false;
}

static void let_state(struct fault *f)
{
	gmem_file_fault_end(f->file);
}

static int map_file_page(struct fault *f)
{
	void *page;
	int ret = gmem_file_page(f->file, f->file_offset, &page, &f->level);

	if (ret)
		return memory_fault(f, ret);
	f->level = f->level < f->mmu->max_level ? f->level : f->mmu->max_level;
	f->one_by_one = !gmem_file_neighbours_ready(f->file, f->file_offset);
	f->host = (uint64_t)(uintptr_t)page;
	/* The touch allocates the page; when there is no memory for it, that is told now. */
	if (probe_page(f->host, false))
		return memory_fault(f, -ENOMEM);
	if (f->is_private && gmem_file_prepares(f->file)) {
		ret = gmem_file_prepare(f->file, f->file_offset);
		if (ret)
			return memory_fault(f, ret);
	}
	return install(f);
}

static int fault_in_file(struct fault *f)
{
	int step;

	if (!hold_state(f))
		return STEP_RETRY;
	step = map_file_page(f);
	let_state(f);
	return step;
}

static int fault_in_hva(struct fault *f)
{
	int step;

	if (probe_page(f->host, f->access & MMU_WRITE))
		return plain_error(f, -EFAULT);
	if (!f->in_place)
		return install(f);
	if (!hold_state(f))
		return STEP_RETRY;
	step = install(f);
	let_state(f);
	return step;
}

static int go_on(struct fault *f)
{
	enum mmu_fault_result how;

	if (may_end_on_purpose(f->mmu) && mmu_end_on_purpose(f->mmu, f->access_to, f->info, &how))
		return how;
	return f->from_file ? fault_in_file(f) : fault_in_hva(f);
}

static int try_once(struct fault *f)
{
	int step = read_and_decide(f);

	if (step != STEP_NEXT)
		return step;
	step = go_on(f);
	if (f->file)
		gmem_file_put(f->file);
	return step;
}

/* Brackets are short; one that is not (a large munmap of the program) should get the processor. */
static void back_off(uint32_t turn)
{
	if (turn < 100)
		os_relax();
	else
		os_yield();
}

static enum obs_detail detail_of(int step, bool is_private, uint32_t access)
{
	bool is_write = access & MMU_WRITE;

	switch (step) {
	case MMU_FAULT_OK:
		if (is_private)
			return is_write ? OBS_FAULT_PRIVATE_WRITE : OBS_FAULT_PRIVATE_READ;
		return is_write ? OBS_FAULT_SHARED_WRITE : OBS_FAULT_SHARED_READ;
	case MMU_FAULT_MMIO:
		return OBS_FAULT_MMIO;
	case MMU_FAULT_MEMORY:
		return OBS_FAULT_TOLD;
	default:
		return OBS_FAULT_ERROR;
	}
}

enum mmu_fault_result mmu_fault(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, bool prefault,
				struct mmu_fault_info *info)
{
	uint64_t start = obs_start();
	struct mmu_access access_to;
	bool is_private = false;
	int step;

	os_assert(!os_racy_load(&v->head.inside));
	*info = (struct mmu_fault_info){ .gpa = gpa & ~(uint64_t)(OS_PAGE_SIZE - 1),
					 .size = OS_PAGE_SIZE };
	if (gpa >> v->mmu->config.gpa_bits)
		return MMU_FAULT_MMIO;
	for (uint32_t turn = 0;; turn++) {
		struct fault f = {
			.mmu = v->mmu,
			.v = v,
			.gfn = gpa >> OS_PAGE_SHIFT,
			.access = access,
			.prefault = prefault,
			.info = info,
			.access_to = &access_to,
		};

		step = try_once(&f);
		is_private = f.is_private;
		if (step != STEP_RETRY)
			break;
		if (os_signal_pending()) {
			step = plain_error(&f, -EINTR);
			break;
		}
		back_off(turn);
	}
	if (step == MMU_FAULT_OK && obs_injects(INJECT_RUN))
		v->last_gpa = info->gpa;
	obs_span(OBS_GUEST_FAULT, start, info->error, gpa, access, (uint64_t)step);
	if (start)
		obs_detail(detail_of(step, is_private, access), start, info->error);
	return (enum mmu_fault_result)step;
}
