/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The nested page tables: guest frame number -> host page, in the form x86 hardware walks.
 *
 *	63   62..52  51 ......... 12  11..8  7   6  5  4..3  2  1  0
 *	NX   0       host address     0      PS  D  A  0     U  W  P
 *
 * Level 0 entries map 4 KiB, level 1 and 2 entries map 2 MiB and 1 GiB (PS) or point to a table, higher
 * ones point to tables. There are four levels, five when guest addresses are wider than 48 bits.
 * Addresses of tables and leaves are addresses of this process.
 *
 * Changes are made under the mmu lock. vCPUs inside the guest read without a lock: an entry is one
 * atomic word, and a table page that was unlinked keeps its contents until a shootdown has shown that
 * nobody can be reading it. A zap hands such pages out in a list; see shootdown.h.
 */
#ifndef GMEM_MMU_TABLE_H
#define GMEM_MMU_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ENTRY_P ((uint64_t)1 << 0)
#define ENTRY_W ((uint64_t)1 << 1)
#define ENTRY_U ((uint64_t)1 << 2)
#define ENTRY_A ((uint64_t)1 << 5)
#define ENTRY_D ((uint64_t)1 << 6)
#define ENTRY_PS ((uint64_t)1 << 7)
#define ENTRY_NX ((uint64_t)1 << 63)
#define ENTRY_ADDRESS ((((uint64_t)1 << 52) - 1) & ~(uint64_t)0xfff)

#define TABLE_ENTRIES 512
#define TABLE_MAX_LEVELS 5

struct mmu;
typedef _Atomic uint64_t table_entry;

/* Where table pages come from: mappings of many pages, kept until the mmu goes. */
struct table_chunk;
struct table_pool {
	struct table_chunk *chunks;
	table_entry *free;	    /* linked through the first entry */
	uint64_t nr_pages, nr_free; /* handed out so far; of these, in the list */
	uint64_t nr_untouched;	    /* at the end of the newest chunk, not yet handed out */
};

/* Pages that are unlinked but may still be read, linked through their first entry: a page address
 * has bit 0 clear and reads as "not present". */
struct table_list {
	table_entry *first;
};

/* The entry number of gfn in a table of this level. */
static inline uint32_t table_index(uint64_t gfn, int level)
{
	return (uint32_t)(gfn >> (9 * level)) & (TABLE_ENTRIES - 1);
}

static inline bool entry_is_leaf(uint64_t entry, int level)
{
	return level == 0 || (entry & ENTRY_PS);
}

static inline void *entry_pointer(uint64_t entry)
{
	return (void *)(uintptr_t)(entry & ENTRY_ADDRESS);
}

/* -ENOMEM. */
int table_init(struct mmu *mmu);
void table_destroy(struct mmu *mmu);

/* Installs a leaf; host is the address of the first page of the level's block around gfn. A leaf that
 * is there already only gains rights; a table of smaller leaves that the block replaces goes to
 * mmu->replaced. 1: there was none; 0; -ENOMEM. */
int table_map(struct mmu *mmu, uint64_t gfn, int level, uint64_t host, bool writable);
/* The same for nr leaves of 4 KiB from gfn on, in a table that is there. */
void table_map_run(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint64_t host, bool writable);
/* Drops every leaf that meets [gfn, gfn_end), large ones as a whole, and the tables left empty.
 * True when there was any. */
bool table_zap(struct mmu *mmu, uint64_t gfn, uint64_t gfn_end, struct table_list *freed);
/* Takes the right to write from the leaf of gfn; true when it had it. */
bool table_write_protect(struct mmu *mmu, uint64_t gfn);
/* The leaf of gfn and its level; 0 when there is none. */
uint64_t table_leaf(struct mmu *mmu, uint64_t gfn, int *level);
/* Nobody reads these any more. */
void table_free_list(struct mmu *mmu, struct table_list *list);
void table_list_join(struct table_list *list, struct table_list *more);

#endif
