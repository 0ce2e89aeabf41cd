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

#define BLOCK_STEP 16u

struct block {
	uint64_t lin;
	uint16_t nr_bytes;
	uint16_t nr_first; /* bytes on the first page */
	uint16_t
		nr_compared; /* nr_bytes rounded up; 0: so many are not on the page, see block_get_after() */
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

/* block_get(), by what end has led to before; end: what ended the block before this one. */
struct block *block_get_after(struct soft *c, struct insn *end);

/* The host address of code at rip when that is known: the running block's page, or a cached one. */
static inline const uint8_t *block_code(struct soft *c, uint64_t rip)
{
	const struct tlb_entry *e;

	if (likely((rip ^ c->code_lin) <= ~PAGE_MASK_4K))
		return c->code_page + (rip & 0xfff);
	e = tlb_entry(c, ACCESS_EXEC, rip);
	if (unlikely(e->tag != ((rip & PAGE_MASK_4K) | c->user_bit)))
		return NULL;
	c->code_lin = rip & PAGE_MASK_4K;
	c->code_page = e->host;
	return e->host + (rip & 0xfff);
}

/* In steps of BLOCK_STEP bytes, up to 15 more than the block has: those behind it may differ in vain. */
static inline bool block_matches(const struct block *b, const uint8_t *code)
{
	const uint8_t *bytes = b->bytes, *end = bytes + b->nr_compared;

	do {
		if (unlikely((host_load(bytes, 8) ^ host_load(code, 8)) |
			     (host_load(bytes + 8, 8) ^ host_load(code + 8, 8))))
			return false;
		bytes += BLOCK_STEP;
		code += BLOCK_STEP;
	} while (bytes != end);
	return true;
}

/* The block at rip; c->block_rip says it already, c->state.rip needs not. */
static inline struct block *block_after(struct soft *c, struct insn *end, uint64_t rip)
{
	struct block *b = end->next;
	const uint8_t *code;

	if (likely(b && b->lin == rip)) {
		code = block_code(c, rip);
		if (likely(code && block_matches(b, code)))
			return b;
	}
	c->state.rip = rip;
	return block_get_after(c, end);
}

#endif
