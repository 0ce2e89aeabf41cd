/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * alu: what the arithmetic operations compute, and the flags they leave; for registers, memory and LOCK
 * forms alike. Private to src/cpu/soft.
 */
#ifndef GMEM_CPU_SOFT_ALU_H
#define GMEM_CPU_SOFT_ALU_H

#include "cpu/soft/flags.h"

enum { OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP, OP_TEST, OP_NR };

static inline bool op_writes(int op)
{
	return op != OP_CMP && op != OP_TEST;
}

static inline uint64_t op_result(int op, uint64_t a, uint64_t b, bool carry)
{
	switch (op) {
	case OP_ADD:
		return a + b;
	case OP_ADC:
		return a + b + carry;
	case OP_SUB:
	case OP_CMP:
		return a - b;
	case OP_SBB:
		return a - b - carry;
	case OP_OR:
		return a | b;
	case OP_XOR:
		return a ^ b;
	default:
		return a & b;
	}
}

/* ADC and SBB: with a carry coming in the operands no longer tell the carry out. */
static inline void carry_flags(struct soft *c, int op, unsigned int size, uint64_t a, uint64_t b,
			       uint64_t res, bool carry)
{
	bool out;

	flags_set_lazy(c, op == OP_ADC ? FLAGS_ADD : FLAGS_SUB, size, a, b, res);
	if (!carry)
		return;
	out = op == OP_ADC ? res <= a : a <= b;
	flags_replace(c, RFLAGS_CF, out ? RFLAGS_CF : 0);
}

static inline void op_flags(struct soft *c, int op, unsigned int size, uint64_t a, uint64_t b,
			    uint64_t res, bool carry)
{
	unsigned int shift = flags_shift(size);

	switch (op) {
	case OP_ADD:
		flags_set_lazy(c, FLAGS_ADD, size, a << shift, b << shift, res << shift);
		break;
	case OP_SUB:
	case OP_CMP:
		flags_set_lazy(c, FLAGS_SUB, size, a << shift, b << shift, res << shift);
		break;
	case OP_ADC:
	case OP_SBB:
		carry_flags(c, op, size, a << shift, b << shift, res << shift, carry);
		break;
	default:
		flags_logic(c, size, res);
		break;
	}
}

static inline bool op_carry(const struct soft *c, int op)
{
	return (op == OP_ADC || op == OP_SBB) && flags_carry(c);
}

/* ---- one operand ------------------------------------------------------------------------------ */

enum { UN_INC, UN_DEC, UN_NOT, UN_NEG };

static inline uint64_t unary_result(int op, uint64_t a)
{
	switch (op) {
	case UN_INC:
		return a + 1;
	case UN_DEC:
		return a - 1;
	case UN_NOT:
		return ~a;
	default:
		return -a;
	}
}

/* carry: CF before, which INC and DEC keep. */
static inline void unary_flags(struct soft *c, int op, unsigned int size, uint64_t a, uint64_t res,
			       bool carry)
{
	unsigned int shift = flags_shift(size);

	if (op == UN_NEG)
		flags_set_lazy(c, FLAGS_SUB, size, 0, a << shift, res << shift);
	else if (op != UN_NOT)
		flags_set_lazy(c, op == UN_INC ? FLAGS_INC : FLAGS_DEC, size, a << shift, carry,
			       res << shift);
}

/* Operation of a mnemonic: OP_*, UN_*; -1. In exec_alu.c. */
int alu_op(uint16_t mnemonic);
int unary_op(uint16_t mnemonic);

#endif
