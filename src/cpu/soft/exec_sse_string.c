/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * SSE4.2 string comparison (PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM) by its definition, since the host's takes
 * the immediate as a constant.
 *
 *	operands -> every element of one against every one of the other, by the aggregation: bits
 *	         -> polarity -> index in ECX or mask in XMM0, and flags
 *
 * The immediate: 1:0 signed and width of the elements, 3:2 aggregation, 5:4 polarity, 6 which output.
 */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

struct text {
	int32_t element[16]; /* widened as the immediate says, signed or not */
	unsigned int len;    /* how many of them are valid */
};

struct string_compare {
	struct text a, b; /* the first operand (the set, the ranges, the needle); the second */
	unsigned int nr;  /* elements in a register: 16 or 8 */
	unsigned int imm;
	uint32_t bits; /* the result after polarity */
};

static void widen(struct text *t, union cpu_xmm v, unsigned int imm)
{
	for (unsigned int n = 0; n < 8; n++)
		if (imm & 1)
			t->element[n] = imm & 2 ? (int16_t)v.u16[n] : v.u16[n];
	for (unsigned int n = 0; n < 16; n++)
		if (!(imm & 1))
			t->element[n] = imm & 2 ? (int8_t)v.u8[n] : v.u8[n];
}

static unsigned int implicit_length(const struct text *t, unsigned int nr)
{
	unsigned int len = 0;

	while (len < nr && t->element[len])
		len++;
	return len;
}

/* The length in a general register counts by its absolute value, up to the whole register. */
static unsigned int explicit_length(uint64_t reg, bool wide, unsigned int nr)
{
	int64_t v = wide ? (int64_t)reg : (int32_t)reg;
	uint64_t len = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	return len < nr ? (unsigned int)len : nr;
}

static bool equal_any(const struct string_compare *s, unsigned int j)
{
	for (unsigned int n = 0; j < s->b.len && n < s->a.len; n++)
		if (s->a.element[n] == s->b.element[j])
			return true;
	return false;
}

static bool in_ranges(const struct string_compare *s, unsigned int j)
{
	for (unsigned int n = 0; j < s->b.len && n + 1 < s->a.len; n += 2)
		if (s->a.element[n] <= s->b.element[j] && s->b.element[j] <= s->a.element[n + 1])
			return true;
	return false;
}

static bool equal_each(const struct string_compare *s, unsigned int j)
{
	if (j >= s->a.len || j >= s->b.len)
		return j >= s->a.len && j >= s->b.len;
	return s->a.element[j] == s->b.element[j];
}

/* The needle's part that lies beyond the register's end counts as found. */
static bool equal_ordered(const struct string_compare *s, unsigned int j)
{
	for (unsigned int n = 0; n < s->a.len && j + n < s->nr; n++)
		if (j + n >= s->b.len || s->a.element[n] != s->b.element[j + n])
			return false;
	return true;
}

static bool element_matches(const struct string_compare *s, unsigned int j)
{
	switch ((s->imm >> 2) & 3) {
	case EQUAL_ANY:
		return equal_any(s, j);
	case RANGES:
		return in_ranges(s, j);
	case EQUAL_EACH:
		return equal_each(s, j);
	default:
		return equal_ordered(s, j);
	}
}

static void compare(struct string_compare *s)
{
	bool negative = s->imm >> 4 & 1, only_valid = s->imm >> 5 & 1;

	s->bits = 0;
	for (unsigned int j = 0; j < s->nr; j++) {
		bool invert = negative && (!only_valid || j < s->b.len);

		s->bits |= (uint32_t)(element_matches(s, j) != invert) << j;
	}
}

static void result_flags(struct soft *c, const struct string_compare *s)
{
	sse_set_flags(c, (s->bits ? RFLAGS_CF : 0) | (s->b.len < s->nr ? RFLAGS_ZF : 0) |
				 (s->a.len < s->nr ? RFLAGS_SF : 0) |
				 (s->bits & 1 ? RFLAGS_OF : 0));
}

static void result_index(struct soft *c, const struct string_compare *s)
{
	unsigned int index = s->nr;

	if (s->bits && (s->imm & 0x40))
		index = 31 - (unsigned int)__builtin_clz(s->bits);
	else if (s->bits)
		index = (unsigned int)__builtin_ctz(s->bits);
	reg_set(c, CPU_RCX, 4, index);
}

static void result_mask(struct soft *c, const struct string_compare *s)
{
	union cpu_xmm m = { .u64 = { s->bits, 0 } };

	for (unsigned int n = 0; (s->imm & 0x40) && n < 16; n++)
		m.u8[n] = s->bits >> (s->nr == 16 ? n : n / 2) & 1 ? 0xff : 0;
	c->state.xmm[0] = m;
}

static void load_operands(struct soft *c, const struct insn *i, struct string_compare *s)
{
	sse_check(c);
	s->imm = (uint8_t)i->imm;
	s->nr = s->imm & 1 ? 8 : 16;
	widen(&s->b, sse_union(sse_src_any(c, i)), s->imm);
	widen(&s->a, c->state.xmm[i->dst & 15], s->imm);
}

static void compare_explicit(struct soft *c, const struct insn *i, struct string_compare *s)
{
	load_operands(c, i, s);
	s->a.len = explicit_length(c->state.gpr[CPU_RAX], i->imm2, s->nr);
	s->b.len = explicit_length(c->state.gpr[CPU_RDX], i->imm2, s->nr);
	compare(s);
}

static void compare_implicit(struct soft *c, const struct insn *i, struct string_compare *s)
{
	load_operands(c, i, s);
	s->a.len = implicit_length(&s->a, s->nr);
	s->b.len = implicit_length(&s->b, s->nr);
	compare(s);
}

#define STRING_HANDLER(op, lengths, result)                         \
	static void exec_##op(struct soft *c, const struct insn *i) \
	{                                                           \
		struct string_compare s;                            \
                                                                    \
		compare_##lengths(c, i, &s);                        \
		result_##result(c, &s);                             \
		result_flags(c, &s);                                \
	}

STRING_HANDLER(pcmpestri, explicit, index)
STRING_HANDLER(pcmpestrm, explicit, mask)
STRING_HANDLER(pcmpistri, implicit, index)
STRING_HANDLER(pcmpistrm, implicit, mask)

static const struct sse_row rows[] = {
	SSE_ROW(PCMPESTRI, pcmpestri, SSE_NEED_42, "XVI"),
	SSE_ROW(PCMPESTRM, pcmpestrm, SSE_NEED_42, "XVI"),
	SSE_ROW(PCMPISTRI, pcmpistri, SSE_NEED_42, "XVI"),
	SSE_ROW(PCMPISTRM, pcmpistrm, SSE_NEED_42, "XVI"),
};

const struct sse_table sse_string_table = SSE_TABLE(rows);
