/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* MUL IMUL DIV IDIV MULX. */
#include "cpu/soft/exec.h"
#include "cpu/soft/fast.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

/* rDX:rAX, or AX for bytes. */
static void set_wide(struct soft *c, unsigned int size, u128 v)
{
	if (size == 1) {
		reg_set(c, CPU_RAX, 2, v);
		return;
	}
	reg_set(c, CPU_RAX, size, v);
	reg_set(c, CPU_RDX, size, v >> (8 * size));
}

static u128 get_wide(struct soft *c, unsigned int size)
{
	if (size == 1)
		return reg_get(c, CPU_RAX, 2);
	return (u128)reg_get(c, CPU_RDX, size) << (8 * size) | reg_get(c, CPU_RAX, size);
}

static void mul(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	u128 v = (u128)reg_get(c, CPU_RAX, size) * rm_load(c, i, i->dst, size);

	set_wide(c, size, v);
	flags_multiplied(c, size, v, v >> (8 * size) != 0);
}

static void imul_wide(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	s128 a = sign_extend(reg_get(c, CPU_RAX, size), size);
	s128 v = a * sign_extend(rm_load(c, i, i->dst, size), size);

	set_wide(c, size, v);
	flags_multiplied(c, size, v, v != sign_extend(v, size));
}

static void imul_to_reg(struct soft *c, const struct insn *i, uint64_t a, uint64_t b)
{
	unsigned int size = i->size;
	s128 v = (s128)sign_extend(a, size) * sign_extend(b, size);

	reg_set(c, i->dst, size, v);
	flags_multiplied(c, size, v, v != sign_extend(v, size));
}

static void imul_two(struct soft *c, const struct insn *i)
{
	imul_to_reg(c, i, reg_get(c, i->dst, i->size), rm_load(c, i, i->src, i->size));
}

static void imul_three(struct soft *c, const struct insn *i)
{
	imul_to_reg(c, i, rm_load(c, i, i->src, i->size), i->imm);
}

static void set_quotient(struct soft *c, unsigned int size, uint64_t quotient, uint64_t remainder)
{
	if (size == 1) {
		reg_set(c, CPU_RAX, 2, (quotient & 0xff) | (remainder & 0xff) << 8);
		return;
	}
	reg_set(c, CPU_RAX, size, quotient);
	reg_set(c, CPU_RDX, size, remainder);
}

/* 128 by 64 bits with a quotient known to fit, by the processor's own instruction: the compiler would call
 * its library. */
static uint64_t divide(uint64_t high, uint64_t low, uint64_t by, uint64_t *remainder)
{
	uint64_t quotient;

	__asm__("divq %4" : "=a"(quotient), "=d"(*remainder) : "a"(low), "d"(high), "r"(by) : "cc");
	return quotient;
}

static void div_unsigned(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t by = rm_load(c, i, i->dst, size);
	u128 v = get_wide(c, size);
	uint64_t quotient, remainder;

	if (!by || (uint64_t)(v >> (8 * size)) >= by)
		soft_raise(c, VEC_DE);
	quotient = divide(v >> 64, v, by, &remainder);
	set_quotient(c, size, quotient, remainder);
}

static void div_signed(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size, bits = 8 * size;
	int64_t by = sign_extend(rm_load(c, i, i->dst, size), size);
	s128 v = get_wide(c, size);
	uint64_t quotient, remainder, by_abs = by < 0 ? -(uint64_t)by : (uint64_t)by;
	u128 v_abs;
	bool negative;

	if (size < 8)
		v = sign_extend(v, 2 * size);
	v_abs = v < 0 ? -(u128)v : (u128)v;
	negative = (v < 0) != (by < 0);
	if (!by || v_abs >> bits >= by_abs)
		soft_raise(c, VEC_DE);
	quotient = divide(v_abs >> 64, v_abs, by_abs, &remainder);
	if (quotient > (1ull << (bits - 1)) - !negative)
		soft_raise(c, VEC_DE);
	set_quotient(c, size, negative ? -quotient : quotient, v < 0 ? -remainder : remainder);
}

static void mulx(struct soft *c, const struct insn *i)
{
	u128 v = (u128)reg_get(c, CPU_RDX, i->size) * rm_load(c, i, i->src2, i->size);

	reg_set(c, i->src, i->size, v);
	reg_set(c, i->dst, i->size, v >> (8 * i->size));
}

static bool take(struct insn *i, soft_exec *exec)
{
	i->exec = exec;
	return true;
}

static bool select_imul(struct insn *i, unsigned int nr)
{
	if (nr > 1) {
		i->aux = nr == 3;
		i->fast = fast_imul(i, false);
	}
	return take(i, nr == 1 ? imul_wide : nr == 2 ? imul_two : imul_three);
}

bool select_muldiv(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_MUL:
		return take(i, mul);
	case ZYDIS_MNEMONIC_IMUL:
		return select_imul(i, d->nr);
	case ZYDIS_MNEMONIC_DIV:
		return take(i, div_unsigned);
	case ZYDIS_MNEMONIC_IDIV:
		return take(i, div_signed);
	case ZYDIS_MNEMONIC_MULX:
		return take(i, mulx);
	default:
		return false;
	}
}
