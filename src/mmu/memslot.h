/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * memslot: a range of guest frame numbers and what is behind it: memory of the program (hva), a range
 * of a guest_memfd, or both. The table of a VM's slots: never overlapping in gfn within an address
 * space. Address space 0 is what vCPUs see; 1 (SMM) is kept for its rules only.
 *
 * Changes are made under the VM's slots lock; faults read the table under the mmu lock. 32764 slots are
 * added in well under a second.
 *
 * kvm/ checks arguments in the kernel's order and calls these; the rules of overlap are asked first
 * with memslot_overlaps().
 */
#ifndef GMEM_MMU_MEMSLOT_H
#define GMEM_MMU_MEMSLOT_H

#include "mmu/interval.h"
#include "mmu/mmu.h"

#define MEMSLOT_LOG_DIRTY 1u
#define MEMSLOT_READONLY 2u
#define MEMSLOT_GUEST_MEMFD 4u
#define MEMSLOT_NR_SPACES 2

struct file_watch;

struct memslot {
	uint32_t id;	/* 0..32763 */
	uint32_t as_id; /* address space */
	uint64_t gfn;
	uint64_t nr_pages;
	uint64_t hva;
	uint32_t flags;
	bool gmem_only;		/* every guest access comes from the file; so with GMEM_FILE_MMAP */
	struct gmem_file *file; /* NULL: none, or its last descriptor is gone */
	uint64_t file_offset;
	struct gmem_binding *binding;
	void *keeps; /* what of the layer above keeps the file, if that has to; the caller's from memslot_delete() on */
	_Atomic uint64_t *dirty; /* one bit a page, or NULL */
	/* private to mmu/ from here */
	bool invalid; /* on its way out: faults retry */
	struct mmu *mmu;
	struct interval by_gfn, by_hva;
	struct file_watch *watch; /* the consumer shared by all slots of the file */
};

/* By id and address space; NULL when absent. Slots lock. */
struct memslot *memslot_find(struct mmu *mmu, uint32_t as_id, uint32_t id);
/* The slot of a gfn; NULL. Slots lock. */
struct memslot *memslot_lookup(struct mmu *mmu, uint32_t as_id, uint64_t gfn);
/* True when [gfn, gfn + nr) meets a slot other than id in that space. */
bool memslot_overlaps(struct mmu *mmu, uint32_t as_id, uint32_t id, uint64_t gfn, uint64_t nr);
uint64_t memslot_total_pages(struct mmu *mmu);
/* Some slot, NULL when there is none: to delete them all. Slots lock. */
struct memslot *memslot_any(struct mmu *mmu);
/* Calls fn for every slot. Slots lock. */
void memslot_for_each(struct mmu *mmu, void (*fn)(void *arg, struct memslot *slot), void *arg);

/*
 * Adds a slot made from *what (id, as_id, gfn, nr_pages, hva, flags, file, file_offset). With a file: binds
 * (-EEXIST when a page of the range is bound already), registers as consumer. Allocates the dirty bitmap
 * for LOG_DIRTY; dirty_all sets every bit (KVM_DIRTY_LOG_INITIALLY_SET). -ENOMEM. A failure changed nothing.
 */
int memslot_create(struct mmu *mmu, const struct memslot *what, bool dirty_all);
/* Synchronous: when they return, no vCPU can use the old translation. Deleting unbinds. */
void memslot_delete(struct mmu *mmu, struct memslot *slot);
/* New place and new flags (LOG_DIRTY may change on the way). -ENOMEM with nothing changed. */
int memslot_move(struct mmu *mmu, struct memslot *slot, uint64_t gfn, uint32_t flags,
		 bool dirty_all);
int memslot_set_flags(struct mmu *mmu, struct memslot *slot, uint32_t flags, bool dirty_all);

/* Dirty log. Slots lock. The bitmap has memslot_dirty_words() words of 64 pages. */
uint64_t memslot_dirty_words(const struct memslot *slot);
/* Copies the bitmap to out (memslot_dirty_words() words). clear: every bit set is cleared and the page
 * write-protected again, for all vCPUs, before the copy is returned. */
void memslot_dirty_get(struct mmu *mmu, struct memslot *slot, uint64_t *out, bool clear);
/* Clears the bits of [first, first + nr) that are set in bits (bit 0 = page first; first % 64 == 0). */
void memslot_dirty_clear(struct mmu *mmu, struct memslot *slot, uint64_t first, uint64_t nr,
			 const uint64_t *bits);

#endif
