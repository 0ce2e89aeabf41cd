/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The dirty log. A leaf of a logged slot is 4 KiB, and writable only while its bit is set: the fault
 * that makes it writable sets the bit first, both under the mmu lock. Whoever clears a bit takes the
 * right to write away in the same critical section and shoots down before it tells the bit, so that
 * every write is in the log it hands out or faults into the next.
 */
#include "mmu/mmu_private.h"

/* Words handled under one hold of the mmu lock: a slot can have millions. */
#define WORDS_PER_HOLD 1024

static uint64_t nr_words(uint64_t nr_pages)
{
	return (nr_pages + 63) / 64;
}

_Atomic uint64_t *dirty_alloc(uint64_t nr_pages, bool set)
{
	_Atomic uint64_t *dirty = os_alloc(nr_words(nr_pages) * sizeof(*dirty));

	if (!dirty || !set)
		return dirty;
	for (uint64_t i = 0; i < nr_pages / 64; i++)
		os_racy_store(&dirty[i], UINT64_MAX);
	if (nr_pages % 64)
		os_racy_store(&dirty[nr_pages / 64], ((uint64_t)1 << nr_pages % 64) - 1);
	return dirty;
}

void dirty_free(_Atomic uint64_t *dirty, uint64_t nr_pages)
{
	if (dirty)
		os_free((void *)dirty, nr_words(nr_pages) * sizeof(*dirty));
}

void dirty_mark(struct memslot *slot, uint64_t gfn)
{
	uint64_t page = gfn - slot->gfn;

	if (slot->dirty)
		atomic_fetch_or_explicit(&slot->dirty[page / 64], (uint64_t)1 << page % 64,
					 memory_order_relaxed);
}

uint64_t memslot_dirty_words(const struct memslot *slot)
{
	return nr_words(slot->nr_pages);
}

static bool protect_word(struct mmu *mmu, struct memslot *slot, uint64_t word, uint64_t bits)
{
	bool hit = false;

	for (; bits; bits &= bits - 1) {
		uint64_t page = word * 64 + (uint64_t)__builtin_ctzll(bits);

		hit |= table_write_protect(mmu, slot->gfn + page);
	}
	return hit;
}

/* Clears in [first, last) the bits that are set in mask (NULL: all) and tells in out (if any) what was
 * set before. */
static void clear_words(struct mmu *mmu, struct memslot *slot, uint64_t first, uint64_t last,
			const uint64_t *mask, uint64_t *out)
{
	struct zap zap = { 0 };

	for (uint64_t hold = first; hold < last; hold += WORDS_PER_HOLD) {
		uint64_t end = last - hold < WORDS_PER_HOLD ? last : hold + WORDS_PER_HOLD;

		os_mutex_lock(&mmu->lock);
		for (uint64_t i = hold; i < end; i++) {
			uint64_t clear = mask ? mask[i - first] : UINT64_MAX;
			uint64_t old = atomic_fetch_and_explicit(&slot->dirty[i], ~clear,
								 memory_order_relaxed);

			zap.hit |= slot->as_id == 0 && protect_word(mmu, slot, i, old & clear);
			if (out)
				out[i - first] = old;
		}
		if (end == last)
			zap_seal(mmu, &zap);
		os_mutex_unlock(&mmu->lock);
	}
	zap_finish(mmu, &zap);
}

void memslot_dirty_get(struct mmu *mmu, struct memslot *slot, uint64_t *out, bool clear)
{
	os_assert(slot->dirty);
	if (clear) {
		clear_words(mmu, slot, 0, memslot_dirty_words(slot), NULL, out);
		return;
	}
	for (uint64_t i = 0; i < memslot_dirty_words(slot); i++)
		out[i] = os_racy_load(&slot->dirty[i]);
}

void memslot_dirty_clear(struct mmu *mmu, struct memslot *slot, uint64_t first, uint64_t nr,
			 const uint64_t *bits)
{
	os_assert(slot->dirty && first % 64 == 0 && first + nr <= slot->nr_pages);
	if (nr)
		clear_words(mmu, slot, first / 64, nr_words(first + nr), bits, NULL);
}
