/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The inside of struct mmu, for the files of mmu/ only. Every field says what protects it.
 */
#ifndef GMEM_MMU_MMU_PRIVATE_H
#define GMEM_MMU_MMU_PRIVATE_H

#include <stddef.h>

#include "mmu/interval.h"
#include "mmu/memslot.h"
#include "mmu/mmu.h"
#include "mmu/table.h"
#include "mmu/window.h"
#include "obs/inject.h"
#include "os/os.h"

#define MEMSLOT_MAX_ID 32764
#define MEMSLOT_IDS_PER_BLOCK 512
#define MEMSLOT_NR_BLOCKS (MEMSLOT_MAX_ID / MEMSLOT_IDS_PER_BLOCK + 1)

struct file_watch;

/* A fault on a page that can have no larger leaf maps what it can of this many around it. */
#define RUN_PAGES ((uint64_t)16)

struct mmu {
	/* Constant, and read by vCPUs inside: what changes below lies in other cache lines. */
	struct mmu_config config;
	struct attr_map *attributes; /* lock-free reads; writers hold slots */
	int root_level;
	int max_level; /* of leaves; 4 KiB: also no runs */
	table_entry *root;

	_Alignas(64) struct os_mutex lock; /* "the mmu lock" */

	/* The mmu lock; vCPUs inside read tables without it. */
	struct table_pool pool;
	struct table_list replaced; /* unlinked by a larger leaf, freed by the next shootdown */
	struct window_set gfn_windows;
	struct window_set hva_windows;

	/* Raised under the mmu lock after a zap; see shootdown.c. */
	_Alignas(64) _Atomic uint64_t flush_wanted;
	_Atomic uint64_t flush_done;

	struct os_rwlock vcpus_lock; /* the list; a shootdown holds it for reading while it waits */
	struct mmu_vcpu *vcpus;

	/* Changed under slots and the mmu lock, read under either. */
	struct memslot **by_id[MEMSLOT_NR_SPACES][MEMSLOT_NR_BLOCKS];
	struct interval_tree by_gfn[MEMSLOT_NR_SPACES];
	struct interval_tree by_hva; /* address space 0, memory that guests reach by hva */
	uint64_t slots_version;	     /* counts the changes of by_gfn */
	uint64_t total_pages;
	_Atomic uint64_t hva_min, hva_max; /* around by_hva, for a look without the lock */

	struct interval_tree watches; /* slots; by the file's address */

	/* Made when a rule of obs/inject.h or the configuration wants it; the mmu lock. */
	struct guest_kinds *guest_kinds;

	uint64_t check_pages; /* mmu_check() only */
};

struct mmu_vcpu {
	/* Where the vCPU and a shootdown meet. */
	struct mmu_vcpu_head head;
	_Atomic uint64_t flushed;  /* every translation cached is younger than this generation */
	_Atomic uint32_t waiters;  /* shootdowns asleep on progress */
	_Atomic uint32_t progress; /* moves when waiters may go on */
	struct mmu_vcpu *next;

	/* The vCPU's thread. */
	_Alignas(64) struct mmu *mmu;
	uint64_t flushing; /* generation that the running flush reaches */
	uint64_t last_gpa; /* of a fault that went well, when a rule of obs/inject.h wants it */
	/* The slot of the last fault; there while slots_version is the mmu's. */
	struct memslot *slot;
	uint64_t slots_version;
};

/* A zap in progress: what it unlinked, and which flush makes that free. */
struct zap {
	struct table_list freed;
	bool hit;
	uint64_t generation;
};

/* Under the mmu lock, after the last change of entries: raises the flush generation if anything that
 * a vCPU may hold is gone. */
void zap_seal(struct mmu *mmu, struct zap *zap);
/* Without locks of the mmu: waits until no vCPU uses what was zapped, then frees the tables. */
void zap_finish(struct mmu *mmu, struct zap *zap);

static inline struct memslot *memslot_of_hva_node(struct interval *node)
{
	return (struct memslot *)(void *)((char *)node - offsetof(struct memslot, by_hva));
}

static inline struct memslot *memslot_of_gfn_node(struct interval *node)
{
	return (struct memslot *)(void *)((char *)node - offsetof(struct memslot, by_gfn));
}

/* No slot is left: frees the table's own memory. */
void memslot_table_destroy(struct mmu *mmu);
/* The slot vCPUs see at gfn. The mmu lock. */
struct memslot *memslot_at(struct mmu *mmu, uint64_t gfn);
/* The part of a slot's guest range that lies in [hva, hva_end); false when none. */
bool memslot_hva_part(const struct memslot *slot, uint64_t hva, uint64_t hva_end, uint64_t *gfn,
		      uint64_t *gfn_end);
/* Does the slot's file say what its pages are? Under what keeps the file at the slot: the mmu lock. */
static inline bool memslot_in_place(const struct memslot *slot)
{
	return slot->file && (gmem_file_flags(slot->file) & GMEM_FILE_IN_PLACE);
}

static inline uint64_t memslot_file_offset(const struct memslot *slot, uint64_t gfn)
{
	return slot->file_offset + ((gfn - slot->gfn) << OS_PAGE_SHIFT);
}

/* The largest level, at most level, of a leaf around gfn: inside the slot, gfn and host (and file page)
 * congruent, attributes uniform, 4 KiB with a dirty log. host is the address of the page of gfn. The mmu lock,
 * and the invalidate lock of a file that converts in place. */
int mmu_leaf_level(struct mmu *mmu, const struct memslot *slot, uint64_t gfn, uint64_t host,
		   bool from_file, int level);
/* All of [gfn, gfn + nr), which lies in the slot, is private, or all is shared. Locks as above. */
bool mmu_range_is_uniform(struct mmu *mmu, const struct memslot *slot, uint64_t gfn, uint64_t nr);
/* Does the guest's access to gfn of this slot come from the file? */
bool memslot_uses_file(const struct memslot *slot, bool is_private);
/* What is at gfn, where the slot (NULL: none) lies. The mmu lock; in place the answer stands while the file's
 * invalidate lock is held. */
bool mmu_is_private(struct mmu *mmu, const struct memslot *slot, uint64_t gfn);

/* dirty.c: the bitmap of a slot; all ones when set. NULL: no memory. */
_Atomic uint64_t *dirty_alloc(uint64_t nr_pages, bool set);
void dirty_free(_Atomic uint64_t *dirty, uint64_t nr_pages);
/* The mmu lock. */
void dirty_mark(struct memslot *slot, uint64_t gfn);

/* inject.c: an access that finds nothing wrong with the page, when there are rules for such. */
struct mmu_access {
	struct inject_key key;
	enum inject_kind guest_kind; /* what the guest takes the page for: mmu_guest_kind() */
	bool prefault, from_file;
};
/* Is it to end all the same? Then how, and info has the error and what the exit tells. No lock. */
bool mmu_end_on_purpose(struct mmu *mmu, struct mmu_access *a, struct mmu_fault_info *info,
			enum mmu_fault_result *how);
int guest_kinds_create(bool wanted, struct guest_kinds **out);
void guest_kinds_destroy(struct guest_kinds *kinds);
/* What the guest has said that the page is, where nobody was told. The mmu lock. */
enum inject_kind mmu_guest_kind(struct mmu *mmu, uint64_t gfn);
/* Has it said anything of a part of the range? Such pages are mapped one by one. The mmu lock. */
bool mmu_guest_has_said(const struct mmu *mmu, uint64_t gfn, uint64_t nr);

/* Slots lock. One consumer per file that any slot has. -ENOMEM. */
int file_watch_get(struct mmu *mmu, struct gmem_file *file, struct file_watch **out);
void file_watch_put(struct mmu *mmu, struct file_watch *watch);

#endif
