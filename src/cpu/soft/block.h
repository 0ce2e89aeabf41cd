/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * block: decoded code. A cache of basic blocks of one vCPU, keyed by linear address and mode; each keeps
 * the bytes it was decoded from and runs only while they equal those in guest memory.
 *
 *	table[hash] -> block -> insns[nr]	all from one arena, which is emptied when full
 *
 * A block ends at a branch (not at a conditional one forwards), at BLOCK_MAX_INSNS, and at the end of its
 * page: only an instruction that itself crosses makes a block of two pages, alone. So a fault on the second
 * page is always its own. Used inside the guest on the vCPU's thread only.
 */
#ifndef GMEM_CPU_SOFT_BLOCK_H
#define GMEM_CPU_SOFT_BLOCK_H

#include "cpu/soft/soft.h"

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
const struct block *block_get(struct soft *c);

#endif
