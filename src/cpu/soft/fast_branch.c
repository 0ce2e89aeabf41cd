/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Near branches, and pairs of a comparison or the like and the conditional branch behind it. disp: where a
 * relative one leads to.
 */
#include "cpu/soft/alu.h"
#include "cpu/soft/fast.h"

static inline struct insn *jump(struct soft *c, struct insn *i, uint64_t rip)
{
	c->next_rip = rip;
	return i;
}

/* ---- Jcc -------------------------------------------------------------------------------------------- */

#define JCC(cc)                                     \
	FAST(jcc##cc)                               \
	{                                           \
		if (flags_condition(c, cc))         \
			return jump(c, i, i->disp); \
		NEXT(c, i, 1);                      \
	}
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)

static soft_fast *const jcc_table[16] = { jcc0, jcc1, jcc2,  jcc3,  jcc4,  jcc5,  jcc6,	 jcc7,
					  jcc8, jcc9, jcc10, jcc11, jcc12, jcc13, jcc14, jcc15 };

soft_fast *fast_jcc(const struct insn *i)
{
	return i->size == 8 ? jcc_table[i->aux] : NULL;
}

/* ---- JMP, CALL, RET ----------------------------------------------------------------------------------- */

FAST(jmp_relative)
{
	return jump(c, i, i->disp);
}

FAST(jmp_register)
{
	uint64_t rip = c->state.gpr[i->dst];

	return likely(canonical_48(rip)) ? jump(c, i, rip) : fast_plain_last(c, i);
}

FAST(jmp_memory)
{
	const uint8_t *p = fast_read(c, i, AT_ANY, 8);
	uint64_t rip;

	if (unlikely(!p))
		return fast_plain_last(c, i);
	rip = host_load(p, 8);
	return likely(canonical_48(rip)) ? jump(c, i, rip) : fast_plain_last(c, i);
}

static inline struct insn *call(struct soft *c, struct insn *i, uint64_t rip)
{
	uint64_t lin = c->state.gpr[CPU_RSP] - 8;
	uint8_t *p = fast_write_at(c, lin, 8);

	if (unlikely(!p || !canonical_48(rip)))
		return fast_plain_last(c, i);
	c->cur = i;
	host_store(p, 8, soft_next_rip(c));
	c->state.gpr[CPU_RSP] = lin;
	return jump(c, i, rip);
}

FAST(call_relative)
{
	return call(c, i, i->disp);
}

FAST(call_register)
{
	return call(c, i, c->state.gpr[i->dst]);
}

FAST(ret)
{
	const uint8_t *p = tlb_lookup(c, ACCESS_READ, c->state.gpr[CPU_RSP], 8);
	uint64_t rip;

	if (unlikely(!p))
		return fast_plain_last(c, i);
	c->cur = i;
	rip = host_load(p, 8);
	if (unlikely(!canonical_48(rip)))
		return fast_plain_last(c, i);
	c->state.gpr[CPU_RSP] += 8 + (uint16_t)i->imm;
	return jump(c, i, rip);
}

soft_fast *fast_jmp(const struct insn *i, bool relative)
{
	if (i->size != 8)
		return NULL;
	if (relative)
		return jmp_relative;
	if (!(i->flags & INSN_MEM))
		return jmp_register;
	return i->flags & INSN_EA64 ? jmp_memory : NULL;
}

soft_fast *fast_call(const struct insn *i, bool relative)
{
	if (i->size != 8 || (i->flags & INSN_MEM))
		return NULL;
	return relative ? call_relative : call_register;
}

soft_fast *fast_ret(const struct insn *i)
{
	return i->size == 8 ? ret : NULL;
}

bool fast_is_jcc(const struct insn *i)
{
	return i->fast && i->fast == jcc_table[i->aux & 15];
}

bool fast_is_relative(const struct insn *i)
{
	return i->fast == jmp_relative || i->fast == call_relative || fast_is_jcc(i);
}

/* ---- pairs ------------------------------------------------------------------------------------------------ */

/* The six kinds of condition that are worth a handler; the lowest bit of the code negates. */
enum {
	KIND_CARRY = 1,
	KIND_ZERO = 2,
	KIND_BELOW = 3,
	KIND_SIGN = 4,
	KIND_LESS = 6,
	KIND_NOT_MORE = 7
};

static inline struct insn *branch_if(struct soft *c, struct insn *jcc, bool yes)
{
	if (yes != (jcc->aux & 1))
		return jump(c, jcc, jcc->disp);
	NEXT(c, jcc, 1);
}

/* What op has left, by its operands at the top of 64 bits. */
static inline bool pair_condition(int op, int kind, uint64_t a, uint64_t b, uint64_t res)
{
	bool compares = op == OP_CMP || op == OP_SUB;

	switch (kind) {
	case KIND_CARRY:
		return compares ? a < b : op == OP_ADD && res < a;
	case KIND_ZERO:
		return res == 0;
	case KIND_BELOW:
		return compares ? a <= b : res == 0;
	case KIND_SIGN:
		return res >> 63;
	case KIND_LESS:
		return compares ? (int64_t)a < (int64_t)b : res >> 63;
	default:
		return compares ? (int64_t)a <= (int64_t)b : (int64_t)res <= 0;
	}
}

static inline struct insn *pair(struct soft *c, struct insn *i, int op, unsigned int size, int kind,
				uint64_t a, uint64_t b)
{
	uint64_t res = op_result(op, a, b, false);
	unsigned int shift = flags_shift(size);

	if (op_writes(op))
		fast_set(c, i->dst, size, res);
	op_flags(c, op, size, a, b, res, false);
	return branch_if(c, i + 1, pair_condition(op, kind, a << shift, b << shift, res << shift));
}

#define PAIR_REGISTERS(name, op, size, kind)                                          \
	FAST(name##size##_rr_##kind)                                                  \
	{                                                                             \
		return pair(c, i, op, size, kind, fast_get(c, i->dst, size),          \
			    fast_get(c, i->src, size));                               \
	}                                                                             \
	FAST(name##size##_ri_##kind)                                                  \
	{                                                                             \
		return pair(c, i, op, size, kind, fast_get(c, i->dst, size), i->imm); \
	}
#define PAIR_MEMORY(name, op, size, kind)                                                         \
	FAST(name##size##_rm_##kind)                                                              \
	{                                                                                         \
		const uint8_t *p = fast_read(c, i, AT_ANY, size);                                 \
                                                                                                  \
		if (unlikely(!p))                                                                 \
			return fast_plain(c, i);                                                  \
		return pair(c, i, op, size, kind, fast_get(c, i->dst, size), host_load(p, size)); \
	}                                                                                         \
	FAST(name##size##_mi_##kind)                                                              \
	{                                                                                         \
		const uint8_t *p = fast_read(c, i, AT_ANY, size);                                 \
                                                                                                  \
		if (unlikely(!p))                                                                 \
			return fast_plain(c, i);                                                  \
		return pair(c, i, op, size, kind, host_load(p, size), i->imm);                    \
	}

#define KINDS(X, name, op, size)      \
	X(name, op, size, KIND_CARRY) \
	X(name, op, size, KIND_ZERO)  \
	X(name, op, size, KIND_BELOW) \
	X(name, op, size, KIND_SIGN)  \
	X(name, op, size, KIND_LESS)  \
	X(name, op, size, KIND_NOT_MORE)
/* Overflow of an addition counts for these; they stay two. */
#define KINDS_ADD(X, name, op, size)  \
	X(name, op, size, KIND_CARRY) \
	X(name, op, size, KIND_ZERO)  \
	X(name, op, size, KIND_SIGN)
#define KINDS_LOGIC(X, name, op, size) \
	X(name, op, size, KIND_ZERO)   \
	X(name, op, size, KIND_SIGN)   \
	X(name, op, size, KIND_NOT_MORE)

KINDS(PAIR_REGISTERS, cmp, OP_CMP, 1)
KINDS(PAIR_REGISTERS, cmp, OP_CMP, 4)
KINDS(PAIR_REGISTERS, cmp, OP_CMP, 8)
KINDS(PAIR_MEMORY, cmp, OP_CMP, 1)
KINDS(PAIR_MEMORY, cmp, OP_CMP, 4)
KINDS(PAIR_MEMORY, cmp, OP_CMP, 8)
KINDS(PAIR_REGISTERS, sub, OP_SUB, 4)
KINDS(PAIR_REGISTERS, sub, OP_SUB, 8)
KINDS_ADD(PAIR_REGISTERS, add, OP_ADD, 4)
KINDS_ADD(PAIR_REGISTERS, add, OP_ADD, 8)
KINDS_LOGIC(PAIR_REGISTERS, test, OP_TEST, 1)
KINDS_LOGIC(PAIR_REGISTERS, test, OP_TEST, 4)
KINDS_LOGIC(PAIR_REGISTERS, test, OP_TEST, 8)
KINDS_LOGIC(PAIR_REGISTERS, and, OP_AND, 4)
KINDS_LOGIC(PAIR_REGISTERS, and, OP_AND, 8)

#define UNARY(name, op, size)                                                \
	FAST(name##size)                                                     \
	{                                                                    \
		bool carry = flags_kept_carry(c);                            \
		uint64_t a = fast_get(c, i->dst, size);                      \
		uint64_t res = unary_result(op, a);                          \
                                                                             \
		fast_set(c, i->dst, size, res);                              \
		unary_flags(c, op, size, a, res, carry);                     \
		return branch_if(c, i + 1, (res << flags_shift(size)) == 0); \
	}
UNARY(inc, UN_INC, 4)
UNARY(inc, UN_INC, 8)
UNARY(dec, UN_DEC, 4)
UNARY(dec, UN_DEC, 8)

enum { PAIR_RR, PAIR_RI, PAIR_RM, PAIR_MI, PAIR_NR };

#define BY_KIND(name)                                                                \
	{                                                                            \
		[KIND_CARRY] = name##KIND_CARRY, [KIND_ZERO] = name##KIND_ZERO,      \
		[KIND_BELOW] = name##KIND_BELOW, [KIND_SIGN] = name##KIND_SIGN,      \
		[KIND_LESS] = name##KIND_LESS, [KIND_NOT_MORE] = name##KIND_NOT_MORE \
	}
#define BY_KIND_ADD(name)                                                       \
	{                                                                       \
		[KIND_CARRY] = name##KIND_CARRY, [KIND_ZERO] = name##KIND_ZERO, \
		[KIND_SIGN] = name##KIND_SIGN                                   \
	}
/* Without carry and overflow: below is zero, less is negative. */
#define BY_KIND_LOGIC(name)                                                    \
	{                                                                      \
		[KIND_ZERO] = name##KIND_ZERO, [KIND_BELOW] = name##KIND_ZERO, \
		[KIND_SIGN] = name##KIND_SIGN, [KIND_LESS] = name##KIND_SIGN,  \
		[KIND_NOT_MORE] = name##KIND_NOT_MORE                          \
	}
#define PAIRS(by, name)                        \
	{                                      \
		by(name##_rr_), by(name##_ri_) \
	}
#define PAIRS_MEMORY(by, name)                                                 \
	{                                                                      \
		by(name##_rr_), by(name##_ri_), by(name##_rm_), by(name##_mi_) \
	}

static soft_fast *const pairs[OP_NR][3][PAIR_NR][8] = {
	[OP_CMP] = { PAIRS_MEMORY(BY_KIND, cmp1), PAIRS_MEMORY(BY_KIND, cmp4),
		     PAIRS_MEMORY(BY_KIND, cmp8) },
	[OP_SUB] = { [1] = PAIRS(BY_KIND, sub4), PAIRS(BY_KIND, sub8) },
	[OP_ADD] = { [1] = PAIRS(BY_KIND_ADD, add4), PAIRS(BY_KIND_ADD, add8) },
	[OP_TEST] = { PAIRS(BY_KIND_LOGIC, test1), PAIRS(BY_KIND_LOGIC, test4),
		      PAIRS(BY_KIND_LOGIC, test8) },
	[OP_AND] = { [1] = PAIRS(BY_KIND_LOGIC, and4), PAIRS(BY_KIND_LOGIC, and8) },
};

static soft_fast *pair_unary(const struct insn *i, unsigned int kind)
{
	int op = unary_op(i->mnemonic);

	if (kind != KIND_ZERO || (op != UN_INC && op != UN_DEC))
		return NULL;
	if (op == UN_INC)
		return i->size == 8 ? inc8 : inc4;
	return i->size == 8 ? dec8 : dec4;
}

soft_fast *fast_pair(const struct insn *i)
{
	int op = alu_op(i->mnemonic);
	unsigned int form;

	if (!i->fast || !fast_is_jcc(i + 1))
		return NULL;
	if (op < 0)
		return pair_unary(i, i[1].aux >> 1);
	if (!(i->flags & INSN_MEM))
		form = i->src == REG_NONE ? PAIR_RI : PAIR_RR;
	else if (i->dst != REG_NONE)
		form = PAIR_RM;
	else if (i->src == REG_NONE)
		form = PAIR_MI;
	else
		return NULL;
	return pairs[op][fast_size_index(i->size)][form][i[1].aux >> 1];
}
