/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* ADD OR AND SUB XOR CMP TEST, INC DEC NOT NEG; shifts by a constant, IMUL. */
#include "cpu/soft/alu.h"
#include "cpu/soft/fast.h"

static inline void to_register(struct soft *c, const struct insn *i, int op, unsigned int size,
			       uint64_t b, bool quiet)
{
	uint64_t a = fast_get(c, i->dst, size);
	uint64_t res = op_result(op, a, b, false);

	if (op_writes(op))
		fast_set(c, i->dst, size, res);
	if (!quiet)
		op_flags(c, op, size, a, b, res, false);
}

#define ALU_LOAD(at, op, size)                                  \
	const uint8_t *p = fast_read(c, i, at, size);           \
                                                                \
	if (unlikely(!p))                                       \
		return fast_plain(c, i);                        \
	to_register(c, i, op, size, host_load(p, size), false); \
	NEXT(c, i, 1);

/* [memory] OP b: for CMP and TEST memory is only read. */
#define ALU_MEMORY(op, size, b)                                                           \
	uint8_t *p = op_writes(op) ? fast_write(c, i, AT_ANY, size)                       \
				   : (uint8_t *)(uintptr_t)fast_read(c, i, AT_ANY, size); \
	uint64_t v, res;                                                                  \
                                                                                          \
	if (unlikely(!p))                                                                 \
		return fast_plain(c, i);                                                  \
	v = host_load(p, size);                                                           \
	res = op_result(op, v, b, false);                                                 \
	if (op_writes(op))                                                                \
		host_store(p, size, res);                                                 \
	op_flags(c, op, size, v, b, res, false);                                          \
	NEXT(c, i, 1);

#define ALU_SIZE(name, op, size)                                                       \
	FAST(name##size##_rr)                                                          \
	{                                                                              \
		to_register(c, i, op, size, fast_get(c, i->src, size), false);         \
		NEXT(c, i, 1);                                                         \
	}                                                                              \
	FAST(name##size##_ri)                                                          \
	{                                                                              \
		to_register(c, i, op, size, i->imm, false);                            \
		NEXT(c, i, 1);                                                         \
	}                                                                              \
	FAST(name##size##_rr_quiet)                                                    \
	{                                                                              \
		to_register(c, i, op, size, fast_get(c, i->src, size), true);          \
		NEXT(c, i, 1);                                                         \
	}                                                                              \
	FAST(name##size##_ri_quiet)                                                    \
	{                                                                              \
		to_register(c, i, op, size, i->imm, true);                             \
		NEXT(c, i, 1);                                                         \
	}                                                                              \
	FAST_AT(name##size, ALU_LOAD, op, size)                                        \
	FAST(name##size##_mr){ ALU_MEMORY(op, size, fast_get(c, i->src, size)) } FAST( \
		name##size##_mi)                                                       \
	{                                                                              \
		ALU_MEMORY(op, size, i->imm)                                           \
	}

#define ALU(name, op)         \
	ALU_SIZE(name, op, 1) \
	ALU_SIZE(name, op, 4) \
	ALU_SIZE(name, op, 8)

ALU(add, OP_ADD)
ALU(or, OP_OR)
ALU(and, OP_AND)
ALU(sub, OP_SUB)
ALU(xor, OP_XOR)
ALU(cmp, OP_CMP)
ALU(test, OP_TEST)

enum {
	ALU_RR,
	ALU_RI,
	ALU_RR_QUIET,
	ALU_RI_QUIET,
	ALU_MR,
	ALU_MI,
	ALU_RM,
	ALU_NR = ALU_RM + AT_NR
};

#define ALU_FORMS(name)                                                                       \
	{                                                                                     \
		name##_rr, name##_ri, name##_rr_quiet, name##_ri_quiet, name##_mr, name##_mi, \
			name##_base, name##_index, name##_any                                 \
	}
#define ALU_SIZES(name)                                                    \
	{                                                                  \
		ALU_FORMS(name##1), ALU_FORMS(name##4), ALU_FORMS(name##8) \
	}

soft_fast *fast_alu(const struct insn *i, int op, bool quiet)
{
	static soft_fast *const table[OP_NR][3][ALU_NR] = {
		[OP_ADD] = ALU_SIZES(add),   [OP_OR] = ALU_SIZES(or),	[OP_AND] = ALU_SIZES(and),
		[OP_SUB] = ALU_SIZES(sub),   [OP_XOR] = ALU_SIZES(xor), [OP_CMP] = ALU_SIZES(cmp),
		[OP_TEST] = ALU_SIZES(test),
	};
	unsigned int form;

	if (!fast_operands(i) || !fast_size(i->size))
		return NULL;
	if (!(i->flags & INSN_MEM))
		form = (i->src == REG_NONE ? ALU_RI : ALU_RR) + (quiet ? ALU_RR_QUIET : 0);
	else if (i->dst != REG_NONE)
		form = ALU_RM + fast_address(i);
	else
		form = i->src == REG_NONE ? ALU_MI : ALU_MR;
	return table[op][fast_size_index(i->size)][form];
}

/* ---- one operand ------------------------------------------------------------------------------------ */

#define UNARY_SIZE(name, op, size)                                \
	FAST(name##size)                                          \
	{                                                         \
		bool carry = op <= UN_DEC && flags_kept_carry(c); \
		uint64_t a = fast_get(c, i->dst, size);           \
		uint64_t res = unary_result(op, a);               \
                                                                  \
		fast_set(c, i->dst, size, res);                   \
		unary_flags(c, op, size, a, res, carry);          \
		NEXT(c, i, 1);                                    \
	}
#define UNARY(name, op)         \
	UNARY_SIZE(name, op, 4) \
	UNARY_SIZE(name, op, 8)
UNARY(inc, UN_INC)
UNARY(dec, UN_DEC)
UNARY(not, UN_NOT)
UNARY(neg, UN_NEG)

soft_fast *fast_unary(const struct insn *i, int op)
{
	static soft_fast *const table[4][2] = {
		[UN_INC] = { inc4, inc8 },
		[UN_DEC] = { dec4, dec8 },
		[UN_NOT] = { not4, not8 },
		[UN_NEG] = { neg4, neg8 },
	};

	return (i->flags & INSN_MEM) || i->size < 4 ? NULL : table[op][i->size == 8];
}

/* ---- shifts by a constant that is not 0 ------------------------------------------------------------- */

enum { SHL, SHR, SAR };

static inline void shift(struct soft *c, const struct insn *i, int op, unsigned int size,
			 bool quiet)
{
	unsigned int n = i->imm & (size == 8 ? 63 : 31), top = 8 * size - 1;
	uint64_t a = fast_get(c, i->dst, size), res, carry, overflow;

	if (op == SHL) {
		res = a << n;
		carry = a >> (top + 1 - n) & 1;
		overflow = carry ^ (res >> top & 1);
	} else if (op == SHR) {
		res = a >> n;
		carry = a >> (n - 1) & 1;
		overflow = a >> top;
	} else {
		int64_t v = sign_extend(a, size);

		res = v >> n;
		carry = v >> (n - 1) & 1;
		overflow = 0;
	}
	fast_set(c, i->dst, size, res);
	if (!quiet)
		flags_given(c, size, res, carry, overflow);
}

#define SHIFT_SIZE(name, op, size)            \
	FAST(name##size)                      \
	{                                     \
		shift(c, i, op, size, false); \
		NEXT(c, i, 1);                \
	}                                     \
	FAST(name##size##_quiet)              \
	{                                     \
		shift(c, i, op, size, true);  \
		NEXT(c, i, 1);                \
	}
#define SHIFT(name, op)         \
	SHIFT_SIZE(name, op, 4) \
	SHIFT_SIZE(name, op, 8)
SHIFT(shl, SHL)
SHIFT(shr, SHR)
SHIFT(sar, SAR)

soft_fast *fast_shift(const struct insn *i, bool quiet)
{
	static soft_fast *const table[3][2][2] = {
		{ { shl4, shl4_quiet }, { shl8, shl8_quiet } },
		{ { shr4, shr4_quiet }, { shr8, shr8_quiet } },
		{ { sar4, sar4_quiet }, { sar8, sar8_quiet } },
	};
	int op = i->mnemonic == ZYDIS_MNEMONIC_SHL   ? SHL
		 : i->mnemonic == ZYDIS_MNEMONIC_SHR ? SHR
		 : i->mnemonic == ZYDIS_MNEMONIC_SAR ? SAR
						     : -1;

	/* src: the count is in CL */
	if (op < 0 || (i->flags & INSN_MEM) || i->size < 4 || i->src != REG_NONE ||
	    !(i->imm & (i->size == 8 ? 63 : 31)))
		return NULL;
	return table[op][i->size == 8][quiet];
}

/* ---- IMUL of two and three operands --------------------------------------------------------------- */

static inline void imul(struct soft *c, const struct insn *i, unsigned int size, int64_t a,
			int64_t b, bool quiet)
{
	int64_t res;
	bool high;

	if (size == 8) {
		high = __builtin_mul_overflow(a, b, &res);
	} else {
		res = a * b;
		high = res != (int32_t)res;
	}
	fast_set(c, i->dst, size, res);
	if (!quiet)
		flags_multiplied(c, size, res, high);
}

#define IMUL_SIZE(size, type)                                                                    \
	FAST(imul##size##_rr)                                                                    \
	{                                                                                        \
		imul(c, i, size, (type)c->state.gpr[i->dst], (type)c->state.gpr[i->src], false); \
		NEXT(c, i, 1);                                                                   \
	}                                                                                        \
	FAST(imul##size##_rri)                                                                   \
	{                                                                                        \
		imul(c, i, size, (type)c->state.gpr[i->src], i->imm, false);                     \
		NEXT(c, i, 1);                                                                   \
	}                                                                                        \
	FAST(imul##size##_rr_quiet)                                                              \
	{                                                                                        \
		imul(c, i, size, (type)c->state.gpr[i->dst], (type)c->state.gpr[i->src], true);  \
		NEXT(c, i, 1);                                                                   \
	}                                                                                        \
	FAST(imul##size##_rri_quiet)                                                             \
	{                                                                                        \
		imul(c, i, size, (type)c->state.gpr[i->src], i->imm, true);                      \
		NEXT(c, i, 1);                                                                   \
	}
IMUL_SIZE(4, int32_t)
IMUL_SIZE(8, int64_t)

soft_fast *fast_imul(const struct insn *i, bool quiet)
{
	static soft_fast *const table[2][2][2] = {
		{ { imul4_rr, imul4_rr_quiet }, { imul4_rri, imul4_rri_quiet } },
		{ { imul8_rr, imul8_rr_quiet }, { imul8_rri, imul8_rri_quiet } },
	};

	return (i->flags & INSN_MEM) || i->size < 4 ? NULL : table[i->size == 8][i->aux][quiet];
}
