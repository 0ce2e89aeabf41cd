/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Asserts what must hold of the tables while nothing runs: their form, that every page of the pool is
 * accounted for, and that every leaf says what slots, files and attributes say.
 */
#include "mmu/mmu_private.h"

struct walk {
	struct mmu *mmu;
	uint64_t nr_tables;
};

static uint64_t expected_host(struct memslot *slot, uint64_t gfn, bool from_file)
{
	uint64_t delta = (gfn - slot->gfn) << OS_PAGE_SHIFT;
	void *addr;

	if (!from_file)
		return slot->hva + delta;
	os_assert(slot->file);
	os_assert(!store_address(gmem_file_store(slot->file), slot->file_offset + delta, &addr));
	return (uint64_t)(uintptr_t)addr;
}

static void check_leaf(struct walk *w, uint64_t entry, uint64_t gfn, int level)
{
	struct memslot *slot = memslot_at(w->mmu, gfn);
	bool is_private, from_file;
	uint64_t host;

	os_assert(slot && !slot->invalid && slot->as_id == 0);
	os_assert((entry & ENTRY_U) && (entry & ENTRY_A) && !(entry & ENTRY_NX));
	os_assert(!(entry & ENTRY_W) == !(entry & ENTRY_D));
	is_private = mmu_is_private(w->mmu, slot, gfn);
	os_assert(!is_private || w->mmu->config.has_private);
	from_file = memslot_uses_file(slot, is_private);
	host = expected_host(slot, gfn, from_file);
	os_assert((entry & ENTRY_ADDRESS) == host);
	os_assert(level <= mmu_leaf_level(w->mmu, slot, gfn, host, from_file, LEVEL_1G));
	os_assert(!((entry & ENTRY_W) && (slot->flags & MEMSLOT_READONLY)));
	if (slot->dirty && (entry & ENTRY_W)) {
		uint64_t page = gfn - slot->gfn;

		os_assert(os_racy_load(&slot->dirty[page / 64]) & ((uint64_t)1 << page % 64));
	}
}

static void check_table(struct walk *w, table_entry *table, uint64_t gfn, int level)
{
	w->nr_tables++;
	for (uint32_t i = 0; i < TABLE_ENTRIES; i++, gfn += level_pages(level)) {
		uint64_t entry = os_racy_load(&table[i]);

		if (!(entry & ENTRY_P)) {
			os_assert(!entry);
			continue;
		}
		if (level > LEVEL_1G)
			os_assert(!(entry & ENTRY_PS));
		if (entry_is_leaf(entry, level))
			check_leaf(w, entry, gfn, level);
		else
			check_table(w, entry_pointer(entry), gfn, level - 1);
	}
}

static uint64_t count_list(table_entry *page)
{
	uint64_t nr = 0;

	for (; page; page = (table_entry *)(uintptr_t)os_racy_load(page))
		nr++;
	return nr;
}

static void check_slot(void *arg, struct memslot *slot)
{
	struct mmu *mmu = arg;

	os_assert(slot->mmu == mmu && !slot->invalid && slot->nr_pages);
	os_assert(memslot_lookup(mmu, slot->as_id, slot->gfn) == slot);
	os_assert(!memslot_overlaps(mmu, slot->as_id, slot->id, slot->gfn, slot->nr_pages));
	os_assert(!(slot->flags & MEMSLOT_LOG_DIRTY) == !slot->dirty);
	os_assert(!slot->file == !slot->binding);
	mmu->check_pages += slot->nr_pages;
}

void mmu_check(struct mmu *mmu)
{
	struct walk w = { .mmu = mmu };

	os_mutex_lock(&mmu->lock);
	interval_check(&mmu->by_gfn[0]);
	interval_check(&mmu->by_gfn[1]);
	interval_check(&mmu->by_hva);
	mmu->check_pages = 0;
	memslot_for_each(mmu, check_slot, mmu);
	os_assert(mmu->check_pages == mmu->total_pages);
	check_table(&w, mmu->root, 0, mmu->root_level);
	os_assert(count_list(mmu->pool.free) == mmu->pool.nr_free);
	os_assert(w.nr_tables + count_list(mmu->replaced.first) + mmu->pool.nr_free ==
		  mmu->pool.nr_pages);
	os_assert(window_set_idle(&mmu->gfn_windows) && window_set_idle(&mmu->hva_windows));
	os_mutex_unlock(&mmu->lock);
}
