/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Lazy arithmetic flags. Private to src/cpu/soft.
 *
 * An arithmetic instruction leaves its operation and operands behind; CF PF AF ZF SF OF are computed when
 * somebody asks. Operands and result are kept at the top of 64 bits (shifted left by 64 - operand bits),
 * so that carry, sign, zero and overflow need not know the operand size:
 *
 *	63          63-bits+1             0
 *	[ operand | 0 0 0 0 0 0 0 0 0 0 0 0 ]
 *
 * FLAGS_DONE: state.rflags has them. INC and DEC keep the old carry in flag_b's bit 0; FLAGS_GIVEN has carry
 * and overflow there, in bits 0 and 1, and no AF.
 */
#ifndef GMEM_CPU_SOFT_FLAGS_H
#define GMEM_CPU_SOFT_FLAGS_H

#include "cpu/soft/soft.h"

enum { FLAGS_DONE, FLAGS_LOGIC, FLAGS_ADD, FLAGS_SUB, FLAGS_INC, FLAGS_DEC, FLAGS_GIVEN };

#define RFLAGS_CF (1u << 0)
#define RFLAGS_ONE (1u << 1)
#define RFLAGS_PF (1u << 2)
#define RFLAGS_AF (1u << 4)
#define RFLAGS_ZF (1u << 6)
#define RFLAGS_SF (1u << 7)
#define RFLAGS_TF (1u << 8)
#define RFLAGS_IF (1u << 9)
#define RFLAGS_DF (1u << 10)
#define RFLAGS_OF (1u << 11)
#define RFLAGS_IOPL (3u << 12)
#define RFLAGS_NT (1u << 14)
#define RFLAGS_RF (1u << 16)
#define RFLAGS_VM (1u << 17)
#define RFLAGS_AC (1u << 18)
#define RFLAGS_VIF (1u << 19)
#define RFLAGS_VIP (1u << 20)
#define RFLAGS_ID (1u << 21)
#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* The six flags of the last lazy operation (not for FLAGS_DONE); flags.c. */
uint32_t flags_compute(const struct soft *c);
/* Condition cc (the encoding's four bits) the slow way. */
bool flags_condition_slow(const struct soft *c, unsigned int cc);

static inline unsigned int flags_shift(unsigned int size)
{
	return 64 - 8 * size;
}

static inline void flags_set_lazy(struct soft *c, uint8_t op, unsigned int size, uint64_t a,
				  uint64_t b, uint64_t res)
{
	c->flag_op = op;
	c->flag_size = size;
	c->flag_a = a;
	c->flag_b = b;
	c->flag_res = res;
}

/* ZF SF PF by a result, CF OF AF clear. */
static inline void flags_logic(struct soft *c, unsigned int size, uint64_t res)
{
	c->flag_op = FLAGS_LOGIC;
	c->flag_size = size;
	c->flag_res = res << flags_shift(size);
}

/* ZF SF PF by a result, CF and OF as they are said to be, AF clear. */
static inline void flags_given(struct soft *c, unsigned int size, uint64_t res, bool carry,
			       bool overflow)
{
	c->flag_op = FLAGS_GIVEN;
	c->flag_size = size;
	c->flag_res = res << flags_shift(size);
	c->flag_b = carry | overflow << 1;
}

/* CF and OF tell that the high half matters; the others are undefined: by the low half, as processors do, but
 * for ZF, which is clear. So for 0 stands something else that is positive and has two bits. */
static inline void flags_multiplied(struct soft *c, unsigned int size, uint64_t low, bool high)
{
	flags_given(c, size, low, high, high);
	if (!c->flag_res)
		c->flag_res = 3ull << flags_shift(size);
}

/* Brings the arithmetic flags into state.rflags. */
static inline void flags_sync(struct soft *c)
{
	if (c->flag_op == FLAGS_DONE)
		return;
	c->state.rflags = (c->state.rflags & ~(uint64_t)RFLAGS_ARITH) | flags_compute(c);
	c->flag_op = FLAGS_DONE;
}

/* Replaces those of the arithmetic flags that are in mask. */
static inline void flags_replace(struct soft *c, uint32_t mask, uint32_t value)
{
	flags_sync(c);
	c->state.rflags = (c->state.rflags & ~(uint64_t)mask) | (value & mask);
}

static inline bool flags_carry(const struct soft *c)
{
	switch (c->flag_op) {
	case FLAGS_DONE:
		return c->state.rflags & RFLAGS_CF;
	case FLAGS_LOGIC:
		return false;
	case FLAGS_ADD:
		return c->flag_res < c->flag_a;
	case FLAGS_SUB:
		return c->flag_a < c->flag_b;
	default:
		return c->flag_b & 1;
	}
}

/* The same for INC and DEC, which mostly stand where one of them or a shift was last. */
static inline bool flags_kept_carry(const struct soft *c)
{
	return c->flag_op >= FLAGS_INC ? c->flag_b & 1 : flags_carry(c);
}

static inline bool flags_zero(const struct soft *c)
{
	return c->flag_op == FLAGS_DONE ? (c->state.rflags & RFLAGS_ZF) != 0 : c->flag_res == 0;
}

static inline bool flags_sign(const struct soft *c)
{
	return c->flag_op == FLAGS_DONE ? (c->state.rflags & RFLAGS_SF) != 0 : c->flag_res >> 63;
}

/* cc is a constant where it matters. After a comparison most conditions are one comparison. */
static inline bool flags_condition(const struct soft *c, unsigned int cc)
{
	bool yes;

	switch (cc >> 1) {
	case 1:
		yes = flags_carry(c);
		break;
	case 2:
		yes = flags_zero(c);
		break;
	case 4:
		yes = flags_sign(c);
		break;
	case 3:
		yes = c->flag_op == FLAGS_SUB ? c->flag_a <= c->flag_b
					      : flags_carry(c) || flags_zero(c);
		break;
	case 6:
		if (c->flag_op != FLAGS_SUB)
			return flags_condition_slow(c, cc);
		yes = (int64_t)c->flag_a < (int64_t)c->flag_b;
		break;
	case 7:
		if (c->flag_op != FLAGS_SUB)
			return flags_condition_slow(c, cc);
		yes = (int64_t)c->flag_a <= (int64_t)c->flag_b;
		break;
	default:
		return flags_condition_slow(c, cc);
	}
	return yes != (cc & 1);
}

#endif
