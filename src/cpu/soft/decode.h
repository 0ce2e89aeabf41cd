/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * decode: one instruction's bytes -> struct insn, with Zydis. Private to src/cpu/soft.
 *
 * decode_insn() fills every field of struct insn from the operands, then asks the soft_select_*()
 * functions, in the order of soft.h, who implements it. A selecting function sets i->exec (and aux, and
 * INSN_ENDS_BLOCK where needed), may correct any field, and returns true. It must refuse (return
 * false) what it does not do exactly: the guest then gets #UD, and the log names it once.
 *
 * Registers go by position. Visible operand 0 (Intel order: the destination) fills dst, operand 1 src,
 * operand 2 src2. An operand that is no register leaves its place REG_NONE; the one in memory sets
 * INSN_MEM and seg, base, index, scale, disp, msize; immediates go to imm, then imm2, in order.
 *
 *				dst   src   src2  imm    INSN_MEM  size msize  d->mem_op
 *	add eax, ebx		0     3     -     -      -         4    0      -1
 *	add eax, [rbx]		0     -     -     -      yes       4    4      1
 *	add [rbx], ax		-     0     -     -      yes       2    2      0
 *	add byte [rbx], -1	-     -     -     -1     yes       1    1      0
 *	mov ah, bl		16    3     -     -      -         1    0      -1
 *	movzx eax, byte [rbx]	0     -     -     -      yes       4    1      1
 *	movzx eax, bl		0     3     -     -      -         4    0      -1  (op[1].size is 8)
 *	shl eax, cl		0     1     -     -      -         4    0      -1
 *	shl eax, 1		0     -     -     1      -         4    0      -1
 *	shld eax, ebx, 3	0     3     -     3      -         4    0      -1
 *	imul eax, [rbx], 100	0     -     -     100    yes       4    4      1
 *	mul ebx			3     -     -     -      -         4    0      -1  (hidden: not shown)
 *	andn eax, ebx, [rcx]	0     3     -     -      yes       4    4      2
 *	bextr eax, [rbx], ecx	0     -     1     -      yes       4    4      1
 *	cmpxchg16b [rbx]	-     -     -     -      yes       16   16     0
 *	lea eax, [rbx+4]	0     -     -     -      yes       4    0      1
 *	push rax		0     -     -     -      -         8    0      -1
 *	push -1 (64-bit)	-     -     -     -1     -         8    0      -1
 *	call rel, jcc rel	-     -     -     disp   -         8    0      -1  (2, 4 elsewhere)
 *	call [rbx]		-     -     -     -      yes       8    8      0
 *	jmp far [rbx]		-     -     -     -      yes       4    6      0   (size: the offset's)
 *	jmp 0x10:0x1000		-     -     -     0x1000 -         4    0      -1  imm2 0x10
 *	enter 16, 1		-     -     -     16     -         8    0      -1  imm2 1
 *	mov ds, ax		3     0     -     -      -         4    0      -1  (dst: CPU_DS)
 *	mov eax, ds		0     3     -     -      -         4    0      -1
 *	mov cr4, rax		4     0     -     -      -         8    0      -1
 *	mov rax, dr7		0     7     -     -      -         8    0      -1
 *	in al, dx		0     2     -     -      -         1    0      -1
 *	in eax, 0x80		0     -     -     0x80   -         4    0      -1
 *	out dx, ax		2     0     -     -      -         2    0      -1
 *	lgdt [rbx]		-     -     -     -      yes       8    10     0   (size: operand width)
 *	fxsave [rbx]		-     -     -     -      yes       4    0      0   (msize > 255: 0)
 *	movsb			-     -     -     -      -         1    1      -1  seg: of rSI's side
 *	addps xmm1, [rbx]	1     -     -     -      yes       16   16     1
 *	addsd xmm1, [rbx]	1     -     -     -      yes       16   8      1
 *	addsd xmm1, xmm2	1     2     -     -      -         16   0      -1
 *	movd xmm1, eax		1     0     -     -      -         16   0      -1  (op[1].size is 32)
 *	cvttsd2si rax, xmm1	0     1     -     -      -         8    0      -1
 *	movq [rbx], xmm1	-     1     -     -      yes       8    8      0
 *	pshufd xmm1, xmm2, 0x1b	1     2     -     0x1b   -         16   0      -1
 *	pinsrw xmm1, eax, 3	1     0     -     3      -         16   0      -1
 *	insertps xmm1, [rbx], 1	1     -     -     1      yes       16   4      1
 *	pextrb [rbx], xmm1, 3	-     1     -     3      yes       1    1      0
 *	blendvps xmm1, xmm2	1     2     0     -      -         16   0      -1  (src2: xmm0)
 *
 * Register numbers: general 0..15; AH, CH, DH, BH 16..19; XMM 0..15, MMX 0..7; segment CPU_ES..; control and
 * debug their number. size: bytes of operand 0 when it is a general or XMM register or plain memory
 * of 1, 2, 4, 8 or 16 bytes, else the operand width (2, 4, 8); OUT: of the data. imm is sign-extended to 64
 * bits as the instruction does to its operand; a shift count, port, selector or shuffle is not.
 *
 * The decoder has refused with #UD: LOCK where it is not allowed, instructions not of the mode, and
 * longer ones than 15 bytes (those: #GP).
 */
#ifndef GMEM_CPU_SOFT_DECODE_H
#define GMEM_CPU_SOFT_DECODE_H

#include <Zydis/Zydis.h>

#include "cpu/soft/soft.h"

struct soft_decoded {
	const ZydisDecodedInstruction *in;
	const ZydisDecodedOperand *op; /* in->operand_count of them; visible ones first */
	const uint8_t *bytes;	       /* the instruction */
	int mem_op;		       /* which visible operand is in memory; -1 none */
	unsigned int nr;	       /* visible operands */
	uint8_t mode;		       /* code size: 2, 4, 8 */
};

static inline bool decoded_is_reg(const struct soft_decoded *d, unsigned int n)
{
	return n < d->nr && d->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

static inline bool decoded_is_mem(const struct soft_decoded *d, unsigned int n)
{
	return d->mem_op == (int)n;
}

static inline bool decoded_is_imm(const struct soft_decoded *d, unsigned int n)
{
	return n < d->nr && d->op[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/* Class of a register operand: ZYDIS_REGCLASS_XMM, _MMX, _GPR32, ... */
static inline ZydisRegisterClass decoded_class(const struct soft_decoded *d, unsigned int n)
{
	return decoded_is_reg(d, n) ? ZydisRegisterGetClass(d->op[n].reg.value)
				    : ZYDIS_REGCLASS_INVALID;
}

enum decode_result {
	DECODE_OK,
	DECODE_MORE,	 /* the bytes end within the instruction */
	DECODE_TOO_LONG, /* more than 15 bytes: #GP */
};

/* nr bytes of code for a code segment of mode 2, 4 or 8. DECODE_OK also for what is no instruction: its
 * handler raises #UD. i->offset is the caller's. */
enum decode_result decode_insn(const uint8_t *bytes, unsigned int nr, uint8_t mode, struct insn *i);

#endif
