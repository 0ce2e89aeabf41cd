/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* CLC STC CMC CLD STD LAHF SAHF SALC, and decimal arithmetic and BOUND, which 64-bit code does not have. */
#include "cpu/soft/exec.h"

static void clc(struct soft *c, const struct insn *i)
{
	flags_replace(c, RFLAGS_CF, 0);
}

static void stc(struct soft *c, const struct insn *i)
{
	flags_replace(c, RFLAGS_CF, RFLAGS_CF);
}

static void cmc(struct soft *c, const struct insn *i)
{
	flags_replace(c, RFLAGS_CF, !flags_carry(c));
}

static void cld(struct soft *c, const struct insn *i)
{
	c->state.rflags &= ~(uint64_t)RFLAGS_DF;
}

static void std(struct soft *c, const struct insn *i)
{
	c->state.rflags |= RFLAGS_DF;
}

#define FLAGS_OF_AH (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF)

static void lahf(struct soft *c, const struct insn *i)
{
	reg_set(c, REG_AH, 1, (soft_rflags(c) & FLAGS_OF_AH) | RFLAGS_ONE);
}

static void sahf(struct soft *c, const struct insn *i)
{
	flags_replace(c, FLAGS_OF_AH, reg_get(c, REG_AH, 1));
}

static void salc(struct soft *c, const struct insn *i)
{
	reg_set(c, CPU_RAX, 1, flags_carry(c) ? 0xff : 0);
}

/* ---- decimal ------------------------------------------------------------------------------------ */

static void decimal_flags(struct soft *c, uint8_t al, bool carry, bool adjust)
{
	flags_logic(c, 1, al);
	flags_replace(c, RFLAGS_CF | RFLAGS_AF, (carry ? RFLAGS_CF : 0) | (adjust ? RFLAGS_AF : 0));
}

/* DAA and DAS; aux: subtract. */
static void daa(struct soft *c, const struct insn *i)
{
	uint8_t old = reg_get(c, CPU_RAX, 1), al = old;
	uint64_t f = soft_rflags(c);
	bool adjust = (al & 15) > 9 || (f & RFLAGS_AF);
	bool high = old > 0x99 || (f & RFLAGS_CF), carry = high;

	if (adjust) {
		carry = carry || (i->aux && al < 6);
		al = i->aux ? al - 6 : al + 6;
	}
	if (high)
		al = i->aux ? al - 0x60 : al + 0x60;
	reg_set(c, CPU_RAX, 1, al);
	decimal_flags(c, al, carry, adjust);
}

/* AAA and AAS; aux: subtract. */
static void aaa(struct soft *c, const struct insn *i)
{
	uint16_t ax = reg_get(c, CPU_RAX, 2);
	bool adjust = (ax & 15) > 9 || (soft_rflags(c) & RFLAGS_AF);

	if (adjust)
		ax = i->aux ? ax - 0x106 : ax + 0x106;
	ax &= 0xff0f;
	reg_set(c, CPU_RAX, 2, ax);
	decimal_flags(c, ax, adjust, adjust);
}

static void aam(struct soft *c, const struct insn *i)
{
	uint8_t al = reg_get(c, CPU_RAX, 1), base = i->imm;

	if (!base)
		soft_raise(c, VEC_DE);
	reg_set(c, CPU_RAX, 2, (al / base) << 8 | al % base);
	decimal_flags(c, al % base, false, false);
}

static void aad(struct soft *c, const struct insn *i)
{
	uint8_t al = reg_get(c, CPU_RAX, 1), ah = reg_get(c, REG_AH, 1);

	al += ah * (uint8_t)i->imm;
	reg_set(c, CPU_RAX, 2, al);
	decimal_flags(c, al, false, false);
}

static void bound(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t ea = soft_ea(c, i);
	uint64_t lin = soft_linear(c, i->seg, ea, 2 * size, ACCESS_READ);
	int64_t low = sign_extend(soft_load(c, lin, size), size);
	int64_t high = sign_extend(soft_load(c, lin + size, size), size);
	int64_t v = sign_extend(reg_get(c, i->dst, size), size);

	if (v < low || v > high)
		soft_raise(c, VEC_BR);
}

static bool take(struct insn *i, soft_exec *exec, int aux)
{
	i->exec = exec;
	i->aux = aux;
	return true;
}

bool select_flags(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_CLC:
		return take(i, clc, 0);
	case ZYDIS_MNEMONIC_STC:
		return take(i, stc, 0);
	case ZYDIS_MNEMONIC_CMC:
		return take(i, cmc, 0);
	case ZYDIS_MNEMONIC_CLD:
		return take(i, cld, 0);
	case ZYDIS_MNEMONIC_STD:
		return take(i, std, 0);
	case ZYDIS_MNEMONIC_LAHF:
		return take(i, lahf, 0);
	case ZYDIS_MNEMONIC_SAHF:
		return take(i, sahf, 0);
	case ZYDIS_MNEMONIC_SALC:
		return take(i, salc, 0);
	default:
		return false;
	}
}

bool select_bcd(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_DAA:
		return take(i, daa, 0);
	case ZYDIS_MNEMONIC_DAS:
		return take(i, daa, 1);
	case ZYDIS_MNEMONIC_AAA:
		return take(i, aaa, 0);
	case ZYDIS_MNEMONIC_AAS:
		return take(i, aaa, 1);
	case ZYDIS_MNEMONIC_AAM:
		return take(i, aam, 0);
	case ZYDIS_MNEMONIC_AAD:
		return take(i, aad, 0);
	case ZYDIS_MNEMONIC_BOUND:
		return take(i, bound, 0);
	default:
		return false;
	}
}
