/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cpu/soft/flags.h"

static bool lazy_overflow(const struct soft *c)
{
	uint64_t a = c->flag_a, b = c->flag_b, res = c->flag_res;

	switch (c->flag_op) {
	case FLAGS_ADD:
		return ((a ^ res) & (b ^ res)) >> 63;
	case FLAGS_SUB:
		return ((a ^ b) & (a ^ res)) >> 63;
	case FLAGS_INC:
		return (~a & res) >> 63;
	case FLAGS_DEC:
		return (a & ~res) >> 63;
	case FLAGS_GIVEN:
		return b >> 1;
	default:
		return false;
	}
}

static bool lazy_adjust(const struct soft *c)
{
	unsigned int shift = flags_shift(c->flag_size);
	uint64_t b = c->flag_b;

	switch (c->flag_op) {
	case FLAGS_LOGIC:
	case FLAGS_GIVEN:
		return false;
	case FLAGS_INC:
	case FLAGS_DEC:
		b = 0; /* an operand of 1 does not reach bit 4 */
		break;
	}
	return (c->flag_a ^ b ^ c->flag_res) >> shift & 0x10;
}

uint32_t flags_compute(const struct soft *c)
{
	uint8_t low = c->flag_res >> flags_shift(c->flag_size);
	uint32_t f = 0;

	if (flags_carry(c))
		f |= RFLAGS_CF;
	if (!__builtin_parity(low))
		f |= RFLAGS_PF;
	if (lazy_adjust(c))
		f |= RFLAGS_AF;
	if (!c->flag_res)
		f |= RFLAGS_ZF;
	if (c->flag_res >> 63)
		f |= RFLAGS_SF;
	if (lazy_overflow(c))
		f |= RFLAGS_OF;
	return f;
}

bool flags_condition_slow(const struct soft *c, unsigned int cc)
{
	uint32_t f = c->flag_op == FLAGS_DONE ? c->state.rflags : flags_compute(c);
	bool less = !(f & RFLAGS_SF) != !(f & RFLAGS_OF);
	bool yes;

	switch (cc >> 1) {
	case 0:
		yes = f & RFLAGS_OF;
		break;
	case 1:
		yes = f & RFLAGS_CF;
		break;
	case 2:
		yes = f & RFLAGS_ZF;
		break;
	case 3:
		yes = f & (RFLAGS_CF | RFLAGS_ZF);
		break;
	case 4:
		yes = f & RFLAGS_SF;
		break;
	case 5:
		yes = f & RFLAGS_PF;
		break;
	case 6:
		yes = less;
		break;
	default:
		yes = less || (f & RFLAGS_ZF);
		break;
	}
	return yes != (cc & 1);
}

uint64_t soft_rflags(struct soft *c)
{
	flags_sync(c);
	return c->state.rflags;
}

void soft_set_rflags(struct soft *c, uint64_t rflags)
{
	uint64_t changed = c->state.rflags ^ rflags;

	c->flag_op = FLAGS_DONE;
	c->state.rflags = rflags | RFLAGS_ONE;
	if (changed & (RFLAGS_TF | RFLAGS_IF | RFLAGS_RF | RFLAGS_VM))
		soft_attend(c);
	if (changed & RFLAGS_AC)
		soft_user_bit_changed(c);
}
