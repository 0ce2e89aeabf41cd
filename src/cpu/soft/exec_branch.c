/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Near branches: Jcc, JMP, CALL, RET, LOOP, JrCXZ. */
#include "cpu/soft/exec.h"
#include "cpu/soft/fast.h"

/* Relative targets wrap at the operand size. */
static inline uint64_t relative_target(struct soft *c, const struct insn *i)
{
	uint64_t rip = soft_next_rip(c) + i->imm;

	if (likely(i->size == 8))
		return rip;
	return i->size == 4 ? (uint32_t)rip : (uint16_t)rip;
}

static inline void jump_to(struct soft *c, uint64_t rip)
{
	if (likely(c->mode == 8 && canonical_48(rip)))
		c->next_rip = rip;
	else
		soft_jump(c, rip);
}

static inline void jump_relative(struct soft *c, const struct insn *i)
{
	jump_to(c, relative_target(c, i));
}

/* Forward ones may stand within a block, since mostly they are not taken: when they are, it ends there. */
static inline void jump_out(struct soft *c, const struct insn *i)
{
	jump_relative(c, i);
	c->end = i + 1;
}

#define JCC(cc)                                                   \
	static void jcc##cc(struct soft *c, const struct insn *i) \
	{                                                         \
		if (flags_condition(c, cc))                       \
			jump_out(c, i);                           \
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

static soft_exec *const jcc_table[16] = { jcc0, jcc1, jcc2,  jcc3,  jcc4,  jcc5,  jcc6,	 jcc7,
					  jcc8, jcc9, jcc10, jcc11, jcc12, jcc13, jcc14, jcc15 };

static void jmp_relative(struct soft *c, const struct insn *i)
{
	jump_relative(c, i);
}

static void jmp_indirect(struct soft *c, const struct insn *i)
{
	jump_to(c, rm_load(c, i, i->dst, i->size));
}

/* The target is checked before the push: a bad one changes nothing. */
static void call_to(struct soft *c, const struct insn *i, uint64_t rip)
{
	if (unlikely(c->mode != 8 || !canonical_48(rip)))
		rip = soft_branch_target(c, rip);
	stack_push_value(c, i->size, soft_next_rip(c));
	c->next_rip = rip;
}

static void call_relative(struct soft *c, const struct insn *i)
{
	call_to(c, i, relative_target(c, i));
}

static void call_indirect(struct soft *c, const struct insn *i)
{
	call_to(c, i, rm_load(c, i, i->dst, i->size));
}

static void ret(struct soft *c, const struct insn *i)
{
	jump_to(c, stack_top(c, i->size));
	stack_add(c, i->size + (uint16_t)i->imm);
}

/* aux: 0 LOOPNE, 1 LOOPE, 2 LOOP */
static void loop(struct soft *c, const struct insn *i)
{
	uint64_t count = (reg_get(c, CPU_RCX, i->asize) - 1) & size_mask(i->asize);
	bool taken = count && (i->aux == 2 || flags_zero(c) == i->aux);

	if (taken)
		jump_relative(c, i);
	reg_set(c, CPU_RCX, i->asize, count);
}

static void jcxz(struct soft *c, const struct insn *i)
{
	if (!reg_get(c, CPU_RCX, i->asize))
		jump_relative(c, i);
}

static bool take(struct insn *i, soft_exec *exec, uint8_t aux)
{
	i->exec = exec;
	i->aux = aux;
	i->flags |= INSN_ENDS_BLOCK;
	return true;
}

static bool select_jump(const struct soft_decoded *d, struct insn *i)
{
	bool relative = decoded_is_imm(d, 0);

	i->fast = fast_jmp(i, relative);
	return take(i, relative ? jmp_relative : jmp_indirect, 0);
}

static bool select_call(const struct soft_decoded *d, struct insn *i)
{
	bool relative = decoded_is_imm(d, 0);

	i->fast = fast_call(i, relative);
	return take(i, relative ? call_relative : call_indirect, 0);
}

bool select_branch(const struct soft_decoded *d, struct insn *i)
{
	if (d->in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return select_jump(d, i);
	case ZYDIS_MNEMONIC_CALL:
		return select_call(d, i);
	case ZYDIS_MNEMONIC_RET:
		i->fast = fast_ret(i);
		return take(i, ret, 0);
	case ZYDIS_MNEMONIC_LOOPNE:
		return take(i, loop, 0);
	case ZYDIS_MNEMONIC_LOOPE:
		return take(i, loop, 1);
	case ZYDIS_MNEMONIC_LOOP:
		return take(i, loop, 2);
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JRCXZ:
		return take(i, jcxz, 0);
	default:
		break;
	}
	if (d->in->meta.category != ZYDIS_CATEGORY_COND_BR ||
	    d->in->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	take(i, jcc_table[d->in->opcode & 15], d->in->opcode & 15);
	i->fast = fast_jcc(i);
	if (i->imm >= 0)
		i->flags &= ~INSN_ENDS_BLOCK;
	return true;
}
