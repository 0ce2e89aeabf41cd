/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * block: decoded code. A cache of basic blocks of one vCPU, keyed by linear address and mode; each keeps
 * the bytes it was decoded from and runs only while they equal those in guest memory.
 *
 *	table[hash] -> block -> insns[nr]	all from one arena, which is emptied when full
 *
 * Each instruction that has ended a block remembers the block it led to (insn.next), which is then looked at
 * before the table. It counts for no more than the table does: the block must be the one for state.rip, its
 * page be mapped for execution, its bytes be those in memory.
 *
 * A block ends at a branch (not at a conditional one forwards), at BLOCK_MAX_INSNS, and at the end of its
 * page: only an instruction that itself crosses makes a block of two pages, alone. So a fault on the second
 * page is always its own. Used inside the guest on the vCPU's thread only.
 */
#ifndef GMEM_CPU_SOFT_BLOCK_H
#define GMEM_CPU_SOFT_BLOCK_H

#include "cpu/soft/tlb.h"

struct block {
	uint64_t lin;
	uint16_t nr_bytes;
	uint16_t nr_first; /* bytes on the first page */
	uint8_t mode;
	uint8_t nr;
	const uint8_t *bytes;
	struct insn *insns;
};

struct soft_blocks;

int blocks_create(struct soft_blocks **out);
void blocks_destroy(struct soft_blocks *b);

/* The block at state.rip, true to guest memory; sets code_page. Leaves with what the fetch of its first
 * instruction raises. */
struct block *block_get(struct soft *c);

/* ---- the short way from block to block: 64-bit code ----------------------------------------------- */

static inline bool block_equal(const uint8_t *a, const uint8_t *b, unsigned int n)
{
	unsigned int off;

	/* ends overlap: no loop for what is short, no byte beyond */
	if (n >= 8) {
		for (off = 0; off + 8 < n; off += 8)
			if (host_load(a + off, 8) != host_load(b + off, 8))
				return false;
		return host_load(a + n - 8, 8) == host_load(b + n - 8, 8);
	}
	if (n >= 4)
		return host_load(a, 4) == host_load(b, 4) &&
		       host_load(a + n - 4, 4) == host_load(b + n - 4, 4);
	return a[0] == b[0] && a[n - 1] == b[n - 1] && a[n / 2] == b[n / 2];
}

/* block_get(), by what end has led to before; end: what ended the block before this one. */
struct block *block_get_after(struct soft *c, struct insn *end);

static inline struct block *block_after(struct soft *c, struct insn *end)
{
	struct block *b = end->next;
	uint64_t lin = c->state.rip;
	const struct tlb_entry *e = tlb_entry(c, ACCESS_EXEC, lin);

	if (unlikely(!b || b->lin != lin || e->tag != ((lin & PAGE_MASK_4K) | c->user_bit) ||
		     !block_equal(b->bytes, e->host + (lin & 0xfff), b->nr_bytes)))
		return block_get_after(c, end);
	c->code_page = e->host;
	return b;
}

#endif
