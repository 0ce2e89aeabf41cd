/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, BMI1 and BMI2 (shifts: exec_shift.c, MULX: exec_muldiv.c). */
#include "cpu/soft/atomic.h"
#include "cpu/soft/exec.h"

/* ---- single bits ----------------------------------------------------------------------------------------- */

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static inline uint64_t bit_change(int op, uint64_t v, uint64_t bit)
{
	switch (op) {
	case BIT_SET:
		return v | bit;
	case BIT_RESET:
		return v & ~bit;
	case BIT_COMPLEMENT:
		return v ^ bit;
	default:
		return v;
	}
}

/* With a register for the bit number a memory operand is a string of bits around its address. */
static uint64_t bit_string(struct soft *c, const struct insn *i, unsigned int *number)
{
	unsigned int bits = 8 * i->size;
	int64_t n = i->imm;
	uint64_t ea = soft_ea(c, i);

	if (i->src != REG_NONE) {
		n = sign_extend(reg_get(c, i->src, i->size), i->size);
		ea += (n >> (i->size == 8 ? 6 : i->size == 4 ? 5 : 4)) * i->size;
		ea &= size_mask(i->asize);
	}
	*number = n & (bits - 1);
	return ea;
}

static void bit_in_memory(struct soft *c, const struct insn *i, int op)
{
	unsigned int number, size = i->size;
	uint64_t ea = bit_string(c, i, &number), old, lin;
	struct atomic_rmw a;

	lin = soft_linear(c, i->seg, ea, size, op == BIT_TEST ? ACCESS_READ : ACCESS_WRITE);
	if (op == BIT_TEST) {
		old = soft_load(c, lin, size);
	} else {
		old = atomic_begin(c, &a, lin, size);
		while (!atomic_try(c, &a, &old, bit_change(op, old, 1ull << number)))
			;
		atomic_end(c, &a);
	}
	flags_replace(c, RFLAGS_CF, old >> number & 1);
}

static inline void bit_exec(struct soft *c, const struct insn *i, int op)
{
	uint64_t number, v;

	if (i->flags & INSN_MEM) {
		bit_in_memory(c, i, op);
		return;
	}
	number = i->src == REG_NONE ? (uint64_t)i->imm : c->state.gpr[i->src];
	number &= 8 * i->size - 1;
	v = reg_get(c, i->dst, i->size);
	if (op != BIT_TEST)
		reg_set(c, i->dst, i->size, bit_change(op, v, 1ull << number));
	flags_replace(c, RFLAGS_CF, v >> number & 1);
}

static void bt(struct soft *c, const struct insn *i)
{
	bit_exec(c, i, BIT_TEST);
}

static void bts(struct soft *c, const struct insn *i)
{
	bit_exec(c, i, BIT_SET);
}

static void btr(struct soft *c, const struct insn *i)
{
	bit_exec(c, i, BIT_RESET);
}

static void btc(struct soft *c, const struct insn *i)
{
	bit_exec(c, i, BIT_COMPLEMENT);
}

/* ---- counting ------------------------------------------------------------------------------------------------ */

/* Of zero: ZF, and the destination stays as it is. */
static void scan(struct soft *c, const struct insn *i, bool forward)
{
	uint64_t v = rm_load(c, i, i->src, i->size);

	if (v)
		reg_set(c, i->dst, i->size, forward ? __builtin_ctzll(v) : 63 - __builtin_clzll(v));
	flags_logic(c, i->size, v);
}

static void bsf(struct soft *c, const struct insn *i)
{
	scan(c, i, true);
}

static void bsr(struct soft *c, const struct insn *i)
{
	scan(c, i, false);
}

/* CF: the source was zero; ZF: the result is. */
static void count_end(struct soft *c, const struct insn *i, uint64_t v, uint64_t n)
{
	reg_set(c, i->dst, i->size, n);
	flags_logic(c, i->size, n);
	flags_replace(c, RFLAGS_CF, v == 0);
}

static void tzcnt(struct soft *c, const struct insn *i)
{
	uint64_t v = rm_load(c, i, i->src, i->size);

	count_end(c, i, v, v ? (unsigned int)__builtin_ctzll(v) : 8u * i->size);
}

static void lzcnt(struct soft *c, const struct insn *i)
{
	uint64_t v = rm_load(c, i, i->src, i->size);

	count_end(c, i, v, v ? __builtin_clzll(v) - flags_shift(i->size) : 8u * i->size);
}

static unsigned int count_ones(uint64_t v)
{
	v -= v >> 1 & 0x5555555555555555;
	v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return v * 0x0101010101010101 >> 56;
}

static void popcnt(struct soft *c, const struct insn *i)
{
	uint64_t v = rm_load(c, i, i->src, i->size);

	reg_set(c, i->dst, i->size, count_ones(v));
	flags_sync(c);
	flags_replace(c, RFLAGS_ARITH, v ? 0 : RFLAGS_ZF);
}

/* ---- BMI --------------------------------------------------------------------------------------------------------- */

static void andn(struct soft *c, const struct insn *i)
{
	uint64_t v = ~reg_get(c, i->src, i->size) & rm_load(c, i, i->src2, i->size);

	reg_set(c, i->dst, i->size, v);
	flags_logic(c, i->size, v & size_mask(i->size));
}

static void bextr(struct soft *c, const struct insn *i)
{
	uint64_t v = rm_load(c, i, i->src, i->size);
	uint64_t control = c->state.gpr[i->src2 & 15];
	unsigned int start = control & 0xff, len = control >> 8 & 0xff;

	v = start < 64 ? v >> start : 0;
	if (len < 64)
		v &= (1ull << len) - 1;
	reg_set(c, i->dst, i->size, v);
	flags_logic(c, i->size, v);
	flags_replace(c, RFLAGS_SF | RFLAGS_PF | RFLAGS_AF, 0);
}

enum { BLS_ISOLATE, BLS_MASK, BLS_RESET };

static void bls(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t v = rm_load(c, i, i->src, size), res;

	switch (i->aux) {
	case BLS_ISOLATE:
		res = v & -v;
		break;
	case BLS_MASK:
		res = v ^ (v - 1);
		break;
	default:
		res = v & (v - 1);
	}
	res &= size_mask(size);
	reg_set(c, i->dst, size, res);
	flags_logic(c, size, res);
	flags_replace(c, RFLAGS_CF, (i->aux == BLS_ISOLATE) == (v != 0));
}

static void bzhi(struct soft *c, const struct insn *i)
{
	uint64_t v = rm_load(c, i, i->src, i->size);
	unsigned int n = c->state.gpr[i->src2 & 15] & 0xff, bits = 8 * i->size;

	if (n < bits)
		v &= (1ull << n) - 1;
	reg_set(c, i->dst, i->size, v);
	flags_logic(c, i->size, v);
	flags_replace(c, RFLAGS_CF, n >= bits);
}

static void pdep(struct soft *c, const struct insn *i)
{
	uint64_t v = reg_get(c, i->src, i->size), mask = rm_load(c, i, i->src2, i->size);
	uint64_t res = 0;

	for (; mask; mask &= mask - 1, v >>= 1)
		if (v & 1)
			res |= mask & -mask;
	reg_set(c, i->dst, i->size, res);
}

static void pext(struct soft *c, const struct insn *i)
{
	uint64_t v = reg_get(c, i->src, i->size), mask = rm_load(c, i, i->src2, i->size);
	uint64_t res = 0;

	for (unsigned int n = 0; mask; mask &= mask - 1, n++)
		if (v & mask & -mask)
			res |= 1ull << n;
	reg_set(c, i->dst, i->size, res);
}

/* ---- selection ------------------------------------------------------------------------------------------------------ */

static bool take(struct insn *i, soft_exec *exec, uint8_t aux)
{
	i->exec = exec;
	i->aux = aux;
	return true;
}

static bool select_bmi(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_ANDN:
		return take(i, andn, 0);
	case ZYDIS_MNEMONIC_BEXTR:
		return d->in->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && take(i, bextr, 0);
	case ZYDIS_MNEMONIC_BZHI:
		return take(i, bzhi, 0);
	case ZYDIS_MNEMONIC_PDEP:
		return take(i, pdep, 0);
	case ZYDIS_MNEMONIC_PEXT:
		return take(i, pext, 0);
	case ZYDIS_MNEMONIC_BLSI:
		return take(i, bls, BLS_ISOLATE);
	case ZYDIS_MNEMONIC_BLSMSK:
		return take(i, bls, BLS_MASK);
	case ZYDIS_MNEMONIC_BLSR:
		return take(i, bls, BLS_RESET);
	default:
		return false;
	}
}

bool soft_select_bits(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_BT:
		return take(i, bt, 0);
	case ZYDIS_MNEMONIC_BTS:
		return take(i, bts, 0);
	case ZYDIS_MNEMONIC_BTR:
		return take(i, btr, 0);
	case ZYDIS_MNEMONIC_BTC:
		return take(i, btc, 0);
	case ZYDIS_MNEMONIC_BSF:
		return take(i, bsf, 0);
	case ZYDIS_MNEMONIC_BSR:
		return take(i, bsr, 0);
	case ZYDIS_MNEMONIC_TZCNT:
		return take(i, tzcnt, 0);
	case ZYDIS_MNEMONIC_LZCNT:
		return take(i, lzcnt, 0);
	case ZYDIS_MNEMONIC_POPCNT:
		return take(i, popcnt, 0);
	default:
		return select_bmi(d, i);
	}
}
