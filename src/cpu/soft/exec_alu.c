/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NOT NEG. */
#include "cpu/soft/alu.h"
#include "cpu/soft/exec.h"
#include "cpu/soft/fast.h"

static inline void alu_to_reg(struct soft *c, const struct insn *i, int op, unsigned int size,
			      uint64_t b)
{
	uint64_t a = reg_get(c, i->dst, size);
	bool carry = op_carry(c, op);
	uint64_t res = op_result(op, a, b, carry);

	if (op_writes(op))
		reg_set(c, i->dst, size, res);
	op_flags(c, op, size, a, b, res, carry);
}

static inline void alu_to_mem(struct soft *c, const struct insn *i, int op, unsigned int size,
			      uint64_t b)
{
	bool carry = op_carry(c, op);
	uint64_t lin, a, res;
	uint8_t *p;

	if (!op_writes(op)) {
		a = operand_load(c, i, size);
		op_flags(c, op, size, a, b, op_result(op, a, b, carry), carry);
		return;
	}
	p = operand_rmw(c, i, size, &lin);
	a = rmw_load(c, p, lin, size);
	res = op_result(op, a, b, carry);
	rmw_store(c, p, lin, size, res);
	op_flags(c, op, size, a, b, res, carry);
}

#define ALU_SIZE(name, op, size)                                          \
	static void name##size##_rr(struct soft *c, const struct insn *i) \
	{                                                                 \
		alu_to_reg(c, i, op, size, reg_get(c, i->src, size));     \
	}                                                                 \
	static void name##size##_ri(struct soft *c, const struct insn *i) \
	{                                                                 \
		alu_to_reg(c, i, op, size, i->imm);                       \
	}                                                                 \
	static void name##size##_rm(struct soft *c, const struct insn *i) \
	{                                                                 \
		alu_to_reg(c, i, op, size, operand_load(c, i, size));     \
	}                                                                 \
	static void name##size##_mr(struct soft *c, const struct insn *i) \
	{                                                                 \
		alu_to_mem(c, i, op, size, reg_get(c, i->src, size));     \
	}                                                                 \
	static void name##size##_mi(struct soft *c, const struct insn *i) \
	{                                                                 \
		alu_to_mem(c, i, op, size, i->imm);                       \
	}

#define ALU(name, op)         \
	ALU_SIZE(name, op, 1) \
	ALU_SIZE(name, op, 2) \
	ALU_SIZE(name, op, 4) \
	ALU_SIZE(name, op, 8)

ALU(add, OP_ADD)
ALU(or, OP_OR)
ALU(adc, OP_ADC)
ALU(sbb, OP_SBB)
ALU(and, OP_AND)
ALU(sub, OP_SUB)
ALU(xor, OP_XOR)
ALU(cmp, OP_CMP)
ALU(test, OP_TEST)

#define FORMS(name, size)                                                           \
	{                                                                           \
		name##size##_rr, name##size##_ri, name##size##_rm, name##size##_mr, \
			name##size##_mi                                             \
	}
#define SIZES(name)                                                            \
	{                                                                      \
		FORMS(name, 1), FORMS(name, 2), FORMS(name, 4), FORMS(name, 8) \
	}

static soft_exec *const alu_table[OP_NR][4][FORM_NR] = {
	SIZES(add), SIZES(or),	SIZES(adc), SIZES(sbb),	 SIZES(and),
	SIZES(sub), SIZES(xor), SIZES(cmp), SIZES(test),
};

int alu_op(uint16_t m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_ADD:
		return OP_ADD;
	case ZYDIS_MNEMONIC_OR:
		return OP_OR;
	case ZYDIS_MNEMONIC_ADC:
		return OP_ADC;
	case ZYDIS_MNEMONIC_SBB:
		return OP_SBB;
	case ZYDIS_MNEMONIC_AND:
		return OP_AND;
	case ZYDIS_MNEMONIC_SUB:
		return OP_SUB;
	case ZYDIS_MNEMONIC_XOR:
		return OP_XOR;
	case ZYDIS_MNEMONIC_CMP:
		return OP_CMP;
	case ZYDIS_MNEMONIC_TEST:
		return OP_TEST;
	default:
		return -1;
	}
}

/* ---- one operand -------------------------------------------------------------------------------- */

static inline void unary(struct soft *c, const struct insn *i, int op, unsigned int size)
{
	bool carry = op <= UN_DEC && flags_carry(c);
	struct rm rm;
	uint64_t a = rm_begin(c, i, size, &rm);
	uint64_t res = unary_result(op, a);

	rm_end(c, i, size, &rm, res);
	unary_flags(c, op, size, a, res, carry);
}

#define UNARY_SIZE(name, op, size)                                   \
	static void name##size(struct soft *c, const struct insn *i) \
	{                                                            \
		unary(c, i, op, size);                               \
	}
#define UNARY(name, op)         \
	UNARY_SIZE(name, op, 1) \
	UNARY_SIZE(name, op, 2) \
	UNARY_SIZE(name, op, 4) \
	UNARY_SIZE(name, op, 8)

UNARY(inc, UN_INC)
UNARY(dec, UN_DEC)
UNARY(not, UN_NOT)
UNARY(neg, UN_NEG)

static soft_exec *const unary_table[4][4] = {
	{ inc1, inc2, inc4, inc8 },
	{ dec1, dec2, dec4, dec8 },
	{ not1, not2, not4, not8 },
	{ neg1, neg2, neg4, neg8 },
};

int unary_op(uint16_t m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_INC:
		return UN_INC;
	case ZYDIS_MNEMONIC_DEC:
		return UN_DEC;
	case ZYDIS_MNEMONIC_NOT:
		return UN_NOT;
	case ZYDIS_MNEMONIC_NEG:
		return UN_NEG;
	default:
		return -1;
	}
}

static bool select_unary(const struct soft_decoded *d, struct insn *i)
{
	int op = unary_op(d->in->mnemonic);

	if (op < 0)
		return false;
	i->exec = unary_table[op][size_index(i->size)];
	i->fast = fast_unary(i, op);
	return true;
}

bool select_alu(const struct soft_decoded *d, struct insn *i)
{
	int op = alu_op(d->in->mnemonic);
	unsigned int form = operand_form(d);

	if (op < 0)
		return select_unary(d, i);
	if (form == FORM_NR)
		return false;
	i->exec = alu_table[op][size_index(i->size)][form];
	i->fast = fast_alu(i, op, false);
	return true;
}

bool soft_select_int(const struct soft_decoded *d, struct insn *i)
{
	return select_atomic(d, i) || select_alu(d, i) || select_mov(d, i) || select_stack(d, i) ||
	       select_branch(d, i) || select_muldiv(d, i) || select_shift(d, i) ||
	       select_flags(d, i) || select_bcd(d, i);
}
