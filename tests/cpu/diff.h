/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * diff: random streams of instructions, run on the soft CPU and on the host, with the same bytes at the same
 * addresses and the same registers and memory before. Everything after must be equal.
 *
 * An instruction is made from a template (templates_*.c): opcode, form, what operands it may have. A
 * stream has 1..8 of them and ends in HLT, which faults in user mode on both sides; so does everything else
 * that ends it, and vector, error code and CR2 are compared too.
 *
 *	DIFF_CODE	two pages of code
 *			two pages that are not there
 *	DIFF_DATA	two pages of data: R15 points to 0x800 in, RSP to 0x1800; R14 is an index below 256
 *	 + 0x2000	one page that cannot be written
 *	 + 0x3000	one page that is not there
 *
 * R14, R15 and RSP are never an explicit operand to be written.
 */
#ifndef GMEM_TESTS_CPU_DIFF_H
#define GMEM_TESTS_CPU_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"

#define DIFF_BASE 0x20000000ull
#define DIFF_CODE DIFF_BASE
#define DIFF_ENTRY (DIFF_BASE + DIFF_SIZE) /* the host's alone: has the address of the code */
#define DIFF_DATA (DIFF_BASE + 0x4000)
#define DIFF_DATA_SIZE 0x2000u
#define DIFF_SIZE 0x8000u

#define DIFF_FLAGS 0x200cd5u /* CF PF AF ZF SF DF OF ID */
#define DF_CF 0x001u
#define DF_PF 0x004u
#define DF_AF 0x010u
#define DF_ZF 0x040u
#define DF_SF 0x080u
#define DF_OF 0x800u

struct diff_state {
	union cpu_xmm xmm[16];
	uint64_t gpr[16];
	uint64_t rflags;
	uint64_t rip;
	uint32_t mxcsr;
	/* after the run */
	uint32_t vector, error;
	uint64_t cr2;
};

/* ---- templates --------------------------------------------------------------------------------- */

enum { MAP_1, MAP_0F, MAP_38, MAP_3A };

enum {
	/* operands */
	T_RM = 1u << 0,	    /* ModRM, reg is a register operand */
	T_DIGIT = 1u << 1,  /* ModRM, reg is .digit */
	T_O = 1u << 2,	    /* register in the opcode */
	T_MEM = 1u << 3,    /* r/m in memory only */
	T_REG = 1u << 4,    /* r/m a register only */
	T_BYTE = 1u << 5,   /* byte registers */
	T_D64 = 1u << 6,    /* 64-bit by default, no 32-bit form */
	T_W = 1u << 7,	    /* no 16-bit form: 32 or 64 by REX.W or VEX.W */
	T_NOSIZE = 1u << 8, /* operand size is fixed */
	T_IMM8 = 1u << 9,
	T_IMMZ = 1u << 10, /* 2 or 4 bytes by operand size */
	T_IMMV = 1u << 11, /* 2, 4 or 8 */
	T_LOCK = 1u << 12,
	T_VEX = 1u << 13, /* VEX.vvvv is an operand where .nds says so */
	T_NDS = 1u << 14,
	T_XREG = 1u << 15, /* ModRM.reg is an XMM register */
	T_XRM = 1u << 16,  /* ModRM.rm is an XMM register when it is none of memory */
	/* what must be prepared */
	T_DIVIDE = 1u << 17,   /* make a quotient likely to fit */
	T_STRING = 1u << 18,   /* rSI, rDI, rCX */
	T_BITS = 1u << 19,     /* the register operand is a bit number: keep memory near */
	T_ALIGN = 1u << 20,    /* memory operand at 16 bytes, mostly */
	T_REP = 1u << 21,      /* F2 or F3 or none in front */
	T_SHIFT = 1u << 22,    /* flags by count: AF, OF undefined, CF when count >= operand size */
	T_SKIP = 1u << 23,     /* a short branch over the next instruction */
	T_POINTERS = 1u << 24, /* rBX, rBP point to the data: elsewhere the host may have its own */
	T_PUSH_FLAGS = 1u << 27, /* flags for POPF lie on the stack */
	T_NEXT = 1u << 26,	 /* the register is the address of the next instruction */
	T_PUSH_NEXT = 1u << 28,	 /* the address of the next instruction does */
	T_IMM16 = 1u << 29,	 /* a small one, before any other */
	T_WIDE_REG = 1u << 30,	 /* r/m is a byte, reg is not */
	T_SHRD16 = 1u << 25,	 /* a count above 16 is undefined for 16 bits: no 16-bit form */
};

struct diff_template {
	const char *name;
	uint8_t map, opcode;
	uint8_t prefix; /* 0, 0x66, 0xf2, 0xf3: part of the opcode */
	uint8_t digit;
	uint32_t what;
	uint32_t undefined; /* flags */
};

extern const struct diff_template templates_int[], templates_sse[];
extern const unsigned int nr_templates_int, nr_templates_sse;

/* ---- streams --------------------------------------------------------------------------------------- */

struct diff_stream {
	uint8_t code[256];
	unsigned int nr;
	uint32_t undefined; /* flags after it */
	uint64_t random;
};

uint64_t diff_random(struct diff_stream *s);
static inline bool diff_chance(struct diff_stream *s, unsigned int percent)
{
	return diff_random(s) % 100 < percent;
}
/* Makes the stream (seed, number): code, and the state before it. */
void diff_make(struct diff_stream *s, uint64_t seed, uint64_t number, struct diff_state *before,
	       uint8_t *data);

/* ---- both sides --------------------------------------------------------------------------------------- */

void diff_native_init(void);
void diff_native_run(struct diff_state *st);
void diff_soft_init(void);
void diff_soft_run(struct diff_state *st);

#endif
