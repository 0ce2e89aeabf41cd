/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Shifts and rotations: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD, and those of BMI2 without flags. */
#include "cpu/soft/exec.h"
#include "cpu/soft/fast.h"

enum { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR, SH_NR };

struct shifted {
	uint64_t value;
	bool carry, overflow;
};

static inline unsigned int shift_count(struct soft *c, const struct insn *i, unsigned int size)
{
	uint64_t count = i->aux ? c->state.gpr[CPU_RCX] : (uint64_t)i->imm;

	return count & (size == 8 ? 63 : 31);
}

static inline bool top_bit(uint64_t v, unsigned int size)
{
	return v >> (8 * size - 1) & 1;
}

/* count is not 0; all but ROL .. RCR shift beyond the size too. */
static inline struct shifted shift_left(uint64_t a, unsigned int count, unsigned int size)
{
	struct shifted s = { .value = a << count & size_mask(size) };

	s.carry = count <= 8 * size && (a >> (8 * size - count) & 1);
	s.overflow = s.carry != top_bit(s.value, size);
	return s;
}

static inline struct shifted shift_right(uint64_t a, unsigned int count, unsigned int size)
{
	return (struct shifted){ .value = a >> count,
				 .carry = a >> (count - 1) & 1,
				 .overflow = top_bit(a, size) };
}

static inline struct shifted shift_arithmetic(uint64_t a, unsigned int count, unsigned int size)
{
	int64_t v = sign_extend(a, size);

	return (struct shifted){ .value = (v >> count) & size_mask(size),
				 .carry = v >> (count - 1) & 1 };
}

static inline struct shifted rotate_left(uint64_t a, unsigned int count, unsigned int size)
{
	unsigned int bits = 8 * size, n = count % bits;
	struct shifted s = { .value = a };

	if (n)
		s.value = (a << n | a >> (bits - n)) & size_mask(size);
	s.carry = s.value & 1;
	s.overflow = s.carry != top_bit(s.value, size);
	return s;
}

static inline struct shifted rotate_right(uint64_t a, unsigned int count, unsigned int size)
{
	unsigned int bits = 8 * size, n = count % bits;
	struct shifted s = { .value = a };

	if (n)
		s.value = (a >> n | a << (bits - n)) & size_mask(size);
	s.carry = top_bit(s.value, size);
	s.overflow = top_bit(s.value, size) != (s.value >> (bits - 2) & 1);
	return s;
}

/* Through the carry: a rotation of bits + 1 bits, one by one. */
static inline struct shifted rotate_carry(uint64_t a, unsigned int count, unsigned int size,
					  bool left, bool carry)
{
	struct shifted s = { .value = a, .carry = carry };

	for (count %= 8 * size + 1; count; count--) {
		bool out = left ? top_bit(s.value, size) : s.value & 1;

		if (left)
			s.value = (s.value << 1 | s.carry) & size_mask(size);
		else
			s.value = s.value >> 1 | (uint64_t)s.carry << (8 * size - 1);
		s.carry = out;
	}
	s.overflow = left ? s.carry != top_bit(s.value, size)
			  : top_bit(s.value, size) != (s.value >> (8 * size - 2) & 1);
	return s;
}

static inline struct shifted shift_any(int op, uint64_t a, unsigned int count, unsigned int size,
				       bool carry)
{
	switch (op) {
	case SH_SHL:
		return shift_left(a, count, size);
	case SH_SHR:
		return shift_right(a, count, size);
	case SH_SAR:
		return shift_arithmetic(a, count, size);
	case SH_ROL:
		return rotate_left(a, count, size);
	case SH_ROR:
		return rotate_right(a, count, size);
	default:
		return rotate_carry(a, count, size, op == SH_RCL, carry);
	}
}

static inline void shift_flags(struct soft *c, bool rotation, unsigned int size,
			       const struct shifted *s)
{
	uint32_t f = (s->carry ? RFLAGS_CF : 0) | (s->overflow ? RFLAGS_OF : 0);

	if (rotation)
		flags_replace(c, RFLAGS_CF | RFLAGS_OF, f);
	else
		flags_given(c, size, s->value, s->carry, s->overflow);
}

static inline void shift(struct soft *c, const struct insn *i, int op, unsigned int size)
{
	unsigned int count = shift_count(c, i, size);
	struct shifted s;
	struct rm rm;
	uint64_t a = rm_begin(c, i, size, &rm);

	if (!count) {
		if (!(i->flags & INSN_MEM))
			reg_set(c, i->dst, size, a);
		return;
	}
	s = shift_any(op, a, count, size, op <= SH_RCR && op >= SH_RCL && flags_carry(c));
	rm_end(c, i, size, &rm, s.value);
	shift_flags(c, op < SH_SHL, size, &s);
}

#define SHIFT_SIZE(name, op, size)                                   \
	static void name##size(struct soft *c, const struct insn *i) \
	{                                                            \
		shift(c, i, op, size);                               \
	}
#define SHIFT(name, op)         \
	SHIFT_SIZE(name, op, 1) \
	SHIFT_SIZE(name, op, 2) \
	SHIFT_SIZE(name, op, 4) \
	SHIFT_SIZE(name, op, 8)

SHIFT(rol, SH_ROL)
SHIFT(ror, SH_ROR)
SHIFT(rcl, SH_RCL)
SHIFT(rcr, SH_RCR)
SHIFT(shl, SH_SHL)
SHIFT(shr, SH_SHR)
SHIFT(sar, SH_SAR)

#define SIZES(name)                                \
	{                                          \
		name##1, name##2, name##4, name##8 \
	}
static soft_exec *const shift_table[SH_NR][4] = { SIZES(rol), SIZES(ror), SIZES(rcl), SIZES(rcr),
						  SIZES(shl), SIZES(shr), SIZES(sar) };

/* ---- double shifts ----------------------------------------------------------------------------------- */

static struct shifted shift_double(bool left, uint64_t a, uint64_t b, unsigned int count,
				   unsigned int size)
{
	unsigned int bits = 8 * size;
	struct shifted s;

	if (count > bits) {
		/* 16 bits only, undefined: what is shifted in are the bits of both again */
		uint64_t t = a;

		count -= bits;
		a = b;
		b = t;
	}
	if (left) {
		s.value = count == bits ? b : a << count | b >> (bits - count);
		s.carry = a >> (bits - count) & 1;
	} else {
		s.value = count == bits ? b : a >> count | b << (bits - count);
		s.carry = a >> (count - 1) & 1;
	}
	s.value &= size_mask(size);
	s.overflow = top_bit(s.value, size) != top_bit(a, size);
	return s;
}

static void shift_double_exec(struct soft *c, const struct insn *i, bool left)
{
	unsigned int size = i->size, count = shift_count(c, i, size);
	uint64_t b = reg_get(c, i->src, size), a;
	struct shifted s;
	struct rm rm;

	a = rm_begin(c, i, size, &rm);
	if (!count) {
		if (!(i->flags & INSN_MEM))
			reg_set(c, i->dst, size, a);
		return;
	}
	s = shift_double(left, a, b, count, size);
	rm_end(c, i, size, &rm, s.value);
	shift_flags(c, false, size, &s);
}

static void shld(struct soft *c, const struct insn *i)
{
	shift_double_exec(c, i, true);
}

static void shrd(struct soft *c, const struct insn *i)
{
	shift_double_exec(c, i, false);
}

/* ---- BMI2: count in a register, no flags ---------------------------------------------------------------- */

static inline unsigned int count_of_reg(struct soft *c, const struct insn *i)
{
	return c->state.gpr[i->src2 & 15] & (i->size == 8 ? 63 : 31);
}

static void shlx(struct soft *c, const struct insn *i)
{
	reg_set(c, i->dst, i->size, rm_load(c, i, i->src, i->size) << count_of_reg(c, i));
}

static void shrx(struct soft *c, const struct insn *i)
{
	reg_set(c, i->dst, i->size, rm_load(c, i, i->src, i->size) >> count_of_reg(c, i));
}

static void sarx(struct soft *c, const struct insn *i)
{
	int64_t v = sign_extend(rm_load(c, i, i->src, i->size), i->size);

	reg_set(c, i->dst, i->size, v >> count_of_reg(c, i));
}

static void rorx(struct soft *c, const struct insn *i)
{
	unsigned int count = i->imm & (8 * i->size - 1);
	uint64_t v = rm_load(c, i, i->src, i->size);

	reg_set(c, i->dst, i->size, rotate_right(v, count, i->size).value);
}

/* ---- selection --------------------------------------------------------------------------------------------- */

static bool take(struct insn *i, soft_exec *exec)
{
	i->exec = exec;
	return true;
}

static int shift_op(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_ROL:
		return SH_ROL;
	case ZYDIS_MNEMONIC_ROR:
		return SH_ROR;
	case ZYDIS_MNEMONIC_RCL:
		return SH_RCL;
	case ZYDIS_MNEMONIC_RCR:
		return SH_RCR;
	case ZYDIS_MNEMONIC_SHL:
		return SH_SHL;
	case ZYDIS_MNEMONIC_SHR:
		return SH_SHR;
	case ZYDIS_MNEMONIC_SAR:
		return SH_SAR;
	default:
		return -1;
	}
}

static bool select_plain(const struct soft_decoded *d, struct insn *i)
{
	int op = shift_op(d->in->mnemonic);

	if (op < 0 || d->nr < 2)
		return false;
	i->aux = decoded_is_reg(d, 1);
	i->fast = fast_shift(i, false);
	return take(i, shift_table[op][size_index(i->size)]);
}

bool select_shift(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_SHLD:
		i->aux = decoded_is_reg(d, 2);
		return take(i, shld);
	case ZYDIS_MNEMONIC_SHRD:
		i->aux = decoded_is_reg(d, 2);
		return take(i, shrd);
	case ZYDIS_MNEMONIC_SHLX:
		return take(i, shlx);
	case ZYDIS_MNEMONIC_SHRX:
		return take(i, shrx);
	case ZYDIS_MNEMONIC_SARX:
		return take(i, sarx);
	case ZYDIS_MNEMONIC_RORX:
		return take(i, rorx);
	default:
		return select_plain(d, i);
	}
}
