/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every encoding of SSE, SSE2, SSE3, SSSE3, SSE4.1 and SSE4.2 (and FXSAVE, XSAVE, CLFLUSH, PAUSE), as
 * Zydis knows them, found by trying: prefixes, opcode maps, opcodes, REX.W, each value of ModRM's
 * reg field, with a register and with [rsi] as the r/m operand.
 */
#ifndef GMEM_TESTS_CPU_SSE_ENCODINGS_H
#define GMEM_TESTS_CPU_SSE_ENCODINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

struct encoding {
	uint8_t prefix[2]; /* 66, F2, F3; 0: none */
	uint8_t map;	   /* 0F, 0F 38, 0F 3A: 0, 1, 2 */
	uint8_t opcode;
	uint8_t reg; /* of ModRM, 0..7 */
	bool wide, memory;
	ZydisMnemonic mnemonic;
	ZydisISASet isa_set;
	bool mmx; /* works on MMX registers */
};

/* Calls fn for each. */
void each_encoding(void (*fn)(const struct encoding *e, void *arg), void *arg);

/* What an encoding leaves open. */
struct choice {
	unsigned int rm;   /* 0..7, for a register */
	bool rex_r, rex_b; /* the registers' fourth bits */
	int8_t disp;	   /* to [rsi] */
	uint8_t tail[8];   /* immediate */
};

/* Returns the instruction's length, or 0 when it would use RSP or is none. */
unsigned int encode(const struct encoding *e, const struct choice *how, uint8_t bytes[16]);
/* The same, and 0 too when it would write RSI or RDI. */
unsigned int encode_keeping_pointers(const struct encoding *e, const struct choice *how,
				     uint8_t bytes[16]);

#endif
