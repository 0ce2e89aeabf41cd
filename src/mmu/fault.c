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
 */
#include <errno.h>
#include <stddef.h>

#include "mmu/mmu_private.h"
#include "mmu/probe.h"
#include "obs/obs.h"

/* Results of one step beside those of enum mmu_fault_result. */
enum { STEP_RETRY = -1, STEP_NEXT = -2 };

struct fault {
	struct mmu *mmu;
	uint64_t gfn;
	uint32_t access;
	bool prefault;
	struct mmu_fault_info *info;
	/* read */
	uint64_t gfn_sequence, hva_sequence;
	struct memslot *slot; /* valid under the mmu lock while the sequence stands */
	bool is_private;
	bool from_file;
	struct gmem_file *file; /* a reference */
	uint64_t file_offset;
	/* looked up: the host address of the page */
	uint64_t host;
	int level;
};

static int memory_fault(struct fault *f, int error)
{
	f->info->error = error;
	f->info->is_private = f->is_private;
	return MMU_FAULT_MEMORY;
}

static int plain_error(struct fault *f, int error)
{
	f->info->error = error;
	return MMU_FAULT_ERROR;
}

/* ---- read and decide ------------------------------------------------------------------------ */

static int decide_file(struct fault *f)
{
	struct memslot *slot = f->slot;

	if (!slot->file)
		return memory_fault(f, -EFAULT);
	f->from_file = true;
	f->file = slot->file;
	f->file_offset = slot->file_offset + ((f->gfn - slot->gfn) << OS_PAGE_SHIFT);
	gmem_file_get(f->file);
	return STEP_NEXT;
}

static int decide_hva(struct fault *f)
{
	struct memslot *slot = f->slot;

	if ((slot->flags & MEMSLOT_READONLY) && (f->access & MMU_WRITE))
		return MMU_FAULT_MMIO;
	f->host = slot->hva + ((f->gfn - slot->gfn) << OS_PAGE_SHIFT);
	/* An entry has no room for more: no such address is mapped but by asking for it. */
	if (f->host & ~ENTRY_ADDRESS)
		return plain_error(f, -EFAULT);
	f->level = LEVEL_1G;
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
	return memslot_uses_file(f->slot, f->is_private) ? decide_file(f) : decide_hva(f);
}

static int read_and_decide(struct fault *f)
{
	struct mmu *mmu = f->mmu;
	int step;

	os_mutex_lock(&mmu->lock);
	f->gfn_sequence = mmu->gfn_windows.sequence;
	f->hva_sequence = mmu->hva_windows.sequence;
	f->is_private = mmu_gfn_is_private(mmu, f->gfn);
	f->slot = memslot_at(mmu, f->gfn);
	step = decide(f);
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

/* A block may reach into a bracket that does not meet the page itself. */
static bool block_is_free(struct fault *f, int level)
{
	uint64_t nr = level_pages(level), first = f->gfn & ~(nr - 1);
	uint64_t host = f->host & ~((nr << OS_PAGE_SHIFT) - 1);

	if (window_is_open(&f->mmu->gfn_windows, first, first + nr))
		return false;
	return f->from_file ||
	       !window_is_open(&f->mmu->hva_windows, host, host + (nr << OS_PAGE_SHIFT));
}

static int leaf_level(struct fault *f)
{
	int level = mmu_leaf_level(f->mmu, f->slot, f->gfn, f->host, f->from_file, f->level);

	while (level > LEVEL_4K && !block_is_free(f, level))
		level--;
	return level;
}

static int install_locked(struct fault *f)
{
	/* Memory of the program may be readable only: it is writable once a write has been tried. */
	bool writable = f->from_file || (f->access & MMU_WRITE);
	int level;
	uint64_t block;

	if (lost_race(f))
		return STEP_RETRY;
	level = leaf_level(f);
	block = f->host & ~((level_pages(level) << OS_PAGE_SHIFT) - 1);
	if (table_map(f->mmu, f->gfn, level, block, writable))
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

static int map_file_page(struct fault *f)
{
	void *page;
	int ret = gmem_file_page(f->file, f->file_offset, &page, &f->level);

	if (ret)
		return memory_fault(f, ret);
	f->host = (uint64_t)(uintptr_t)page;
	/* The touch allocates the page; when there is no memory for it, that is told now. */
	if (probe_page(f->host, false))
		return memory_fault(f, -ENOMEM);
	return install(f);
}

static int fault_in_file(struct fault *f)
{
	int step;

	gmem_file_fault_begin(f->file);
	step = map_file_page(f);
	gmem_file_fault_end(f->file);
	gmem_file_put(f->file);
	return step;
}

static int fault_in_hva(struct fault *f)
{
	if (probe_page(f->host, f->access & MMU_WRITE))
		return plain_error(f, -EFAULT);
	return install(f);
}

static int try_once(struct fault *f)
{
	int step = read_and_decide(f);

	if (step != STEP_NEXT)
		return step;
	return f->from_file ? fault_in_file(f) : fault_in_hva(f);
}

/* Brackets are short; one that is not (a large munmap of the program) should get the processor. */
static void back_off(uint32_t turn)
{
	if (turn < 100)
		os_relax();
	else
		os_yield();
}

enum mmu_fault_result mmu_fault(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, bool prefault,
				struct mmu_fault_info *info)
{
	int step;

	os_assert(!os_racy_load(&v->head.inside));
	*info = (struct mmu_fault_info){ .gpa = gpa & ~(uint64_t)(OS_PAGE_SIZE - 1),
					 .size = OS_PAGE_SIZE };
	if (gpa >> v->mmu->config.gpa_bits)
		return MMU_FAULT_MMIO;
	for (uint32_t turn = 0;; turn++) {
		struct fault f = {
			.mmu = v->mmu,
			.gfn = gpa >> OS_PAGE_SHIFT,
			.access = access,
			.prefault = prefault,
			.info = info,
		};

		step = try_once(&f);
		if (step != STEP_RETRY)
			break;
		if (os_signal_pending()) {
			step = plain_error(&f, -EINTR);
			break;
		}
		back_off(turn);
	}
	obs_count(OBS_GUEST_FAULT, gpa, access, (uint64_t)step);
	return (enum mmu_fault_result)step;
}
