/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/memslot.h"

#include <errno.h>
#include <stddef.h>

#include "core/range.h"
#include "mmu/mmu_private.h"
#include "obs/obs.h"

/* ---- the table ------------------------------------------------------------------------------ */

struct memslot *memslot_find(struct mmu *mmu, uint32_t as_id, uint32_t id)
{
	struct memslot **block;

	if (as_id >= MEMSLOT_NR_SPACES || id >= MEMSLOT_MAX_ID)
		return NULL;
	block = mmu->by_id[as_id][id / MEMSLOT_IDS_PER_BLOCK];
	return block ? block[id % MEMSLOT_IDS_PER_BLOCK] : NULL;
}

struct memslot *memslot_lookup(struct mmu *mmu, uint32_t as_id, uint64_t gfn)
{
	struct interval *node = interval_first(&mmu->by_gfn[as_id], gfn, gfn + 1);

	return node ? memslot_of_gfn_node(node) : NULL;
}

struct memslot *memslot_at(struct mmu *mmu, uint64_t gfn)
{
	return memslot_lookup(mmu, 0, gfn);
}

static bool is_this_slot(void *arg, struct interval *node)
{
	return memslot_of_gfn_node(node)->id == *(uint32_t *)arg;
}

bool memslot_overlaps(struct mmu *mmu, uint32_t as_id, uint32_t id, uint64_t gfn, uint64_t nr)
{
	return !interval_for_each(&mmu->by_gfn[as_id], gfn, gfn + nr, is_this_slot, &id);
}

uint64_t memslot_total_pages(struct mmu *mmu)
{
	return mmu->total_pages;
}

struct memslot *memslot_any(struct mmu *mmu)
{
	for (uint32_t as_id = 0; as_id < MEMSLOT_NR_SPACES; as_id++)
		if (mmu->by_gfn[as_id].root)
			return memslot_of_gfn_node(mmu->by_gfn[as_id].root);
	return NULL;
}

void memslot_for_each(struct mmu *mmu, void (*fn)(void *arg, struct memslot *slot), void *arg)
{
	for (uint32_t as_id = 0; as_id < MEMSLOT_NR_SPACES; as_id++)
		for (uint32_t id = 0; id < MEMSLOT_MAX_ID; id++) {
			struct memslot *slot = memslot_find(mmu, as_id, id);

			if (slot)
				fn(arg, slot);
			else if (!mmu->by_id[as_id][id / MEMSLOT_IDS_PER_BLOCK])
				id |= MEMSLOT_IDS_PER_BLOCK - 1;
		}
}

static int make_id_block(struct mmu *mmu, uint32_t as_id, uint32_t id)
{
	struct memslot ***block = &mmu->by_id[as_id][id / MEMSLOT_IDS_PER_BLOCK];

	if (!*block)
		*block = os_alloc(MEMSLOT_IDS_PER_BLOCK * sizeof(**block));
	return *block ? 0 : -ENOMEM;
}

void memslot_table_destroy(struct mmu *mmu)
{
	os_assert(!mmu->by_gfn[0].root && !mmu->by_gfn[1].root && !mmu->by_hva.root);
	os_assert(!mmu->total_pages);
	for (uint32_t as_id = 0; as_id < MEMSLOT_NR_SPACES; as_id++)
		for (uint32_t i = 0; i < MEMSLOT_NR_BLOCKS; i++)
			if (mmu->by_id[as_id][i])
				os_free(mmu->by_id[as_id][i],
					MEMSLOT_IDS_PER_BLOCK * sizeof(struct memslot *));
}

/* ---- ranges --------------------------------------------------------------------------------- */

static bool has_hva_memory(const struct memslot *slot)
{
	return slot->as_id == 0 && !slot->gmem_only;
}

static void update_hva_bounds(struct mmu *mmu)
{
	uint64_t min = UINT64_MAX, max = 0;

	interval_bounds(&mmu->by_hva, &min, &max);
	os_racy_store(&mmu->hva_min, min);
	os_racy_store(&mmu->hva_max, max);
}

/* Under slots and the mmu lock. */
static void index_slot(struct mmu *mmu, struct memslot *slot)
{
	mmu->slots_version++;
	slot->by_gfn.start = slot->gfn;
	slot->by_gfn.end = slot->gfn + slot->nr_pages;
	interval_insert(&mmu->by_gfn[slot->as_id], &slot->by_gfn);
	if (!has_hva_memory(slot))
		return;
	slot->by_hva.start = slot->hva;
	slot->by_hva.end = slot->hva + (slot->nr_pages << OS_PAGE_SHIFT);
	interval_insert(&mmu->by_hva, &slot->by_hva);
	update_hva_bounds(mmu);
}

static void unindex_slot(struct mmu *mmu, struct memslot *slot)
{
	mmu->slots_version++;
	interval_remove(&mmu->by_gfn[slot->as_id], &slot->by_gfn);
	if (!has_hva_memory(slot))
		return;
	interval_remove(&mmu->by_hva, &slot->by_hva);
	update_hva_bounds(mmu);
}

bool memslot_hva_part(const struct memslot *slot, uint64_t hva, uint64_t hva_end, uint64_t *gfn,
		      uint64_t *gfn_end)
{
	uint64_t first, end;

	if (!range_pages_that_meet(slot->hva, slot->nr_pages, hva, hva_end, &first, &end))
		return false;
	*gfn = slot->gfn + first;
	*gfn_end = slot->gfn + end;
	return true;
}

bool memslot_uses_file(const struct memslot *slot, bool is_private)
{
	return is_private || slot->gmem_only;
}

static bool block_fits(const struct memslot *slot, uint64_t gfn, uint64_t host, bool from_file,
		       int level)
{
	uint64_t mask = level_pages(level) - 1, first = gfn & ~mask;
	uint64_t file_page = memslot_file_offset(slot, gfn) >> OS_PAGE_SHIFT;

	if (first < slot->gfn || first + mask >= slot->gfn + slot->nr_pages)
		return false;
	if (((host >> OS_PAGE_SHIFT) ^ gfn) & mask)
		return false;
	/* A block of the file must lie in one window of the store. */
	return !from_file || !((file_page ^ gfn) & mask);
}

/* File pages are asked one by one and not as blocks of the file: memory of the program is mapped in blocks, too,
 * and must not reach over a page that is private. */
bool mmu_range_is_uniform(struct mmu *mmu, const struct memslot *slot, uint64_t gfn, uint64_t nr)
{
	uint32_t value;

	if (memslot_in_place(slot))
		return attr_map_uniform(gmem_file_attributes(slot->file),
					memslot_file_offset(slot, gfn) >> OS_PAGE_SHIFT, nr,
					&value);
	return !mmu->config.has_private || attr_map_uniform(mmu->attributes, gfn, nr, &value);
}

int mmu_leaf_level(struct mmu *mmu, const struct memslot *slot, uint64_t gfn, uint64_t host,
		   bool from_file, int level)
{
	if (slot->flags & MEMSLOT_LOG_DIRTY)
		return LEVEL_4K;
	while (level > LEVEL_4K && !block_fits(slot, gfn, host, from_file, level))
		level--;
	while (level > LEVEL_4K && !mmu_range_is_uniform(mmu, slot, gfn & ~(level_pages(level) - 1),
							 level_pages(level)))
		level--;
	return level;
}

/* ---- create --------------------------------------------------------------------------------- */

static int bind_file(struct mmu *mmu, struct memslot *slot)
{
	int ret;

	if (!slot->file)
		return 0;
	ret = file_watch_get(mmu, slot->file, &slot->watch);
	if (ret)
		return ret;
	ret = gmem_file_bind(slot->file, slot->file_offset, slot->nr_pages << OS_PAGE_SHIFT, slot,
			     &slot->binding);
	if (ret)
		file_watch_put(mmu, slot->watch);
	return ret;
}

static struct memslot *slot_alloc(struct mmu *mmu, const struct memslot *what, bool dirty_all)
{
	struct memslot *slot = os_alloc(sizeof(*slot));

	if (!slot)
		return NULL;
	*slot = (struct memslot){
		.id = what->id,
		.as_id = what->as_id,
		.gfn = what->gfn,
		.nr_pages = what->nr_pages,
		.hva = what->hva,
		.flags = what->flags,
		.file = what->file,
		.file_offset = what->file_offset,
		.keeps = what->keeps,
		.mmu = mmu,
	};
	slot->gmem_only =
		what->gmem_only || (what->file && (gmem_file_flags(what->file) & GMEM_FILE_MMAP));
	if (what->flags & MEMSLOT_LOG_DIRTY) {
		slot->dirty = dirty_alloc(what->nr_pages, dirty_all);
		if (!slot->dirty) {
			os_free(slot, sizeof(*slot));
			return NULL;
		}
	}
	return slot;
}

static void slot_free(struct memslot *slot)
{
	dirty_free(slot->dirty, slot->nr_pages);
	os_free(slot, sizeof(*slot));
}

int memslot_create(struct mmu *mmu, const struct memslot *what, bool dirty_all)
{
	struct memslot *slot;
	int ret;

	os_assert(what->as_id < MEMSLOT_NR_SPACES && what->id < MEMSLOT_MAX_ID && what->nr_pages);
	os_assert(!memslot_find(mmu, what->as_id, what->id));
	os_assert(!memslot_overlaps(mmu, what->as_id, what->id, what->gfn, what->nr_pages));
	ret = make_id_block(mmu, what->as_id, what->id);
	if (ret)
		return ret;
	slot = slot_alloc(mmu, what, dirty_all);
	if (!slot)
		return -ENOMEM;
	ret = bind_file(mmu, slot);
	if (ret) {
		slot_free(slot);
		return ret;
	}
	os_mutex_lock(&mmu->lock);
	mmu->by_id[slot->as_id][slot->id / MEMSLOT_IDS_PER_BLOCK]
		  [slot->id % MEMSLOT_IDS_PER_BLOCK] = slot;
	index_slot(mmu, slot);
	mmu->total_pages += slot->nr_pages;
	os_mutex_unlock(&mmu->lock);
	return 0;
}

/* ---- change --------------------------------------------------------------------------------- */

/* From here to change_end() faults wait for the slot's fate, and no vCPU has a translation. vCPUs see
 * address space 0 only. */
static void change_begin(struct mmu *mmu, struct memslot *slot)
{
	os_mutex_lock(&mmu->lock);
	slot->invalid = true;
	os_mutex_unlock(&mmu->lock);
	if (slot->as_id == 0)
		mmu_invalidate_begin(mmu, slot->gfn, slot->gfn + slot->nr_pages);
}

/* gfn is where the slot was at change_begin(). */
static void change_end(struct mmu *mmu, uint32_t as_id, uint64_t gfn, uint64_t nr_pages)
{
	if (as_id == 0)
		mmu_invalidate_end(mmu, gfn, gfn + nr_pages);
}

static void unbind_file(struct mmu *mmu, struct memslot *slot)
{
	if (slot->file)
		gmem_file_unbind(slot->file, slot->binding);
	if (slot->watch)
		file_watch_put(mmu, slot->watch);
}

void memslot_delete(struct mmu *mmu, struct memslot *slot)
{
	change_begin(mmu, slot);
	os_mutex_lock(&mmu->lock);
	unindex_slot(mmu, slot);
	mmu->by_id[slot->as_id][slot->id / MEMSLOT_IDS_PER_BLOCK]
		  [slot->id % MEMSLOT_IDS_PER_BLOCK] = NULL;
	mmu->total_pages -= slot->nr_pages;
	os_mutex_unlock(&mmu->lock);
	change_end(mmu, slot->as_id, slot->gfn, slot->nr_pages);
	unbind_file(mmu, slot);
	slot_free(slot);
}

int memslot_move(struct mmu *mmu, struct memslot *slot, uint64_t gfn, uint32_t flags,
		 bool dirty_all)
{
	_Atomic uint64_t *dirty = flags & MEMSLOT_LOG_DIRTY ? slot->dirty : NULL, *unused = NULL;
	uint64_t old_gfn = slot->gfn;

	os_assert(!memslot_overlaps(mmu, slot->as_id, slot->id, gfn, slot->nr_pages));
	if ((flags & MEMSLOT_LOG_DIRTY) && !dirty) {
		dirty = dirty_alloc(slot->nr_pages, dirty_all);
		if (!dirty)
			return -ENOMEM;
	}
	change_begin(mmu, slot);
	os_mutex_lock(&mmu->lock);
	unindex_slot(mmu, slot);
	slot->gfn = gfn;
	slot->flags = flags;
	if (slot->dirty != dirty)
		unused = slot->dirty;
	slot->dirty = dirty;
	index_slot(mmu, slot);
	slot->invalid = false;
	os_mutex_unlock(&mmu->lock);
	change_end(mmu, slot->as_id, old_gfn, slot->nr_pages);
	dirty_free(unused, slot->nr_pages);
	return 0;
}

int memslot_set_flags(struct mmu *mmu, struct memslot *slot, uint32_t flags, bool dirty_all)
{
	return memslot_move(mmu, slot, slot->gfn, flags, dirty_all);
}
