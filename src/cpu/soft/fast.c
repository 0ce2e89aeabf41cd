/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which instructions of a block have a fast handler, and whose flags nobody sees. */
#include "cpu/soft/fast.h"
#include "cpu/soft/alu.h"

/* ---- by the plain handler ---------------------------------------------------------------------- */

struct insn *fast_plain(struct soft *c, struct insn *i)
{
	c->cur = i;
	c->end = NULL;
	i->exec(c, i);
	if (unlikely(c->end))
		return i;
	NEXT(c, i, 1);
}

struct insn *fast_plain_last(struct soft *c, struct insn *i)
{
	c->cur = i;
	c->next_rip = soft_next_rip(c);
	i->exec(c, i);
	return i;
}

/* Behind the last instruction, when that was no branch that was taken. */
FAST(block_over)
{
	c->next_rip = c->block_rip + i->offset;
	return i;
}

/* ---- flags that nobody sees ---------------------------------------------------------------------- */

static bool only_registers(const struct insn *i)
{
	return i->fast && !(i->flags & INSN_MEM);
}

/* Without flags, when this leaves all six behind whatever they were, and cannot stop; else NULL. */
static soft_fast *quiet_form(const struct insn *i)
{
	int op = alu_op(i->mnemonic);

	if (!only_registers(i))
		return NULL;
	if (op >= 0)
		return fast_alu(i, op, true);
	if (i->mnemonic == ZYDIS_MNEMONIC_IMUL)
		return fast_imul(i, true);
	return fast_shift(i, true);
}

/* Neither looks at flags nor can stop. */
static bool passes_flags(const struct insn *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return only_registers(i);
	case ZYDIS_MNEMONIC_LEA:
		return true;
	default:
		return false;
	}
}

/* ---- choosing -------------------------------------------------------------------------------------- */

/* Addresses and targets are those of this place: the block is found by it. */
static void settle(struct insn *i, uint64_t lin)
{
	uint64_t next = lin + i->offset + i->len;

	if ((i->flags & INSN_EA64) && i->base == REG_RIP) {
		i->base = REG_NONE;
		i->disp += next;
	}
	if (fast_is_relative(i)) {
		i->disp = next + i->imm;
		if (!canonical_48(i->disp))
			i->fast = NULL;
	}
}

static void end_with(struct insn *end, unsigned int nr)
{
	const struct insn *last = end - 1;

	*end = (struct insn){ .fast = block_over,
			      .offset = last->offset + last->len,
			      .nth = nr - 1 };
}

static soft_fast *of_one(const struct insn *i)
{
	if (i->fast)
		return i->fast;
	return i->flags & INSN_ENDS_BLOCK ? fast_plain_last : fast_plain;
}

static void choose(const struct soft *c, struct insn *i, bool last, bool *seen)
{
	soft_fast *quiet = quiet_form(i), *pair = !last && c->use_pairs ? fast_pair(i) : NULL;

	if (pair)
		i->fast = pair;
	else if (quiet && !*seen && c->use_flags)
		i->fast = quiet;
	else
		i->fast = of_one(i);
	if (quiet)
		*seen = false;
	else if (!passes_flags(i))
		*seen = true;
}

void fast_choose(const struct soft *c, struct insn *insns, unsigned int nr, uint64_t lin)
{
	bool seen = true;

	for (unsigned int n = 0; n < nr; n++)
		settle(&insns[n], lin);
	end_with(&insns[nr], nr);
	for (unsigned int n = nr; n--;)
		choose(c, &insns[n], n + 1 == nr, &seen);
}
