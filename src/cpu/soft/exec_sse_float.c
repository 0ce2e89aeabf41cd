/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE floating-point arithmetic, under the guest's rounding, DAZ, FTZ and exception masks. */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"

/* Name, what the host needs, source operand, where results may underflow. */
#define FLOAT_OPS(X)                                                \
	X(ADDPS, addps, SSE_NEED_2, sse_src, SSE_PS)                \
	X(ADDPD, addpd, SSE_NEED_2, sse_src, SSE_PD)                \
	X(ADDSS, addss, SSE_NEED_2, sse_src4, SSE_SS)               \
	X(ADDSD, addsd, SSE_NEED_2, sse_src8, SSE_SD)               \
	X(SUBPS, subps, SSE_NEED_2, sse_src, SSE_PS)                \
	X(SUBPD, subpd, SSE_NEED_2, sse_src, SSE_PD)                \
	X(SUBSS, subss, SSE_NEED_2, sse_src4, SSE_SS)               \
	X(SUBSD, subsd, SSE_NEED_2, sse_src8, SSE_SD)               \
	X(MULPS, mulps, SSE_NEED_2, sse_src, SSE_PS)                \
	X(MULPD, mulpd, SSE_NEED_2, sse_src, SSE_PD)                \
	X(MULSS, mulss, SSE_NEED_2, sse_src4, SSE_SS)               \
	X(MULSD, mulsd, SSE_NEED_2, sse_src8, SSE_SD)               \
	X(DIVPS, divps, SSE_NEED_2, sse_src, SSE_PS)                \
	X(DIVPD, divpd, SSE_NEED_2, sse_src, SSE_PD)                \
	X(DIVSS, divss, SSE_NEED_2, sse_src4, SSE_SS)               \
	X(DIVSD, divsd, SSE_NEED_2, sse_src8, SSE_SD)               \
	X(MINPS, minps, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)      \
	X(MINPD, minpd, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)      \
	X(MINSS, minss, SSE_NEED_2, sse_src4, SSE_NO_UNDERFLOW)     \
	X(MINSD, minsd, SSE_NEED_2, sse_src8, SSE_NO_UNDERFLOW)     \
	X(MAXPS, maxps, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)      \
	X(MAXPD, maxpd, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)      \
	X(MAXSS, maxss, SSE_NEED_2, sse_src4, SSE_NO_UNDERFLOW)     \
	X(MAXSD, maxsd, SSE_NEED_2, sse_src8, SSE_NO_UNDERFLOW)     \
	X(SQRTPS, sqrtps, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)    \
	X(SQRTPD, sqrtpd, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)    \
	X(SQRTSS, sqrtss, SSE_NEED_2, sse_src4, SSE_NO_UNDERFLOW)   \
	X(SQRTSD, sqrtsd, SSE_NEED_2, sse_src8, SSE_NO_UNDERFLOW)   \
	X(RCPPS, rcpps, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)      \
	X(RCPSS, rcpss, SSE_NEED_2, sse_src4, SSE_NO_UNDERFLOW)     \
	X(RSQRTPS, rsqrtps, SSE_NEED_2, sse_src, SSE_NO_UNDERFLOW)  \
	X(RSQRTSS, rsqrtss, SSE_NEED_2, sse_src4, SSE_NO_UNDERFLOW) \
	X(ADDSUBPS, addsubps, SSE_NEED_3, sse_src, SSE_PS)          \
	X(ADDSUBPD, addsubpd, SSE_NEED_3, sse_src, SSE_PD)          \
	X(HADDPS, haddps, SSE_NEED_3, sse_src, SSE_PS)              \
	X(HADDPD, haddpd, SSE_NEED_3, sse_src, SSE_PD)              \
	X(HSUBPS, hsubps, SSE_NEED_3, sse_src, SSE_PS)              \
	X(HSUBPD, hsubpd, SSE_NEED_3, sse_src, SSE_PD)

#define FLOAT_HANDLER(mnem, op, need, source, kind) SSE_FLOAT(op, source, kind)
#define FLOAT_ROW(mnem, op, need, source, kind) SSE_ROW(mnem, op, need, "XV"),

FLOAT_OPS(FLOAT_HANDLER)

#define ROUND_CASES(op) SSE_CASES4(op, 0) SSE_CASES4(op, 4) SSE_CASES4(op, 8) SSE_CASES4(op, 12)

SSE_FLOAT_IMM(roundps, sse_src, 15, ROUND_CASES(roundps), SSE_NO_UNDERFLOW)
SSE_FLOAT_IMM(roundpd, sse_src, 15, ROUND_CASES(roundpd), SSE_NO_UNDERFLOW)
SSE_FLOAT_IMM(roundss, sse_src4, 15, ROUND_CASES(roundss), SSE_NO_UNDERFLOW)
SSE_FLOAT_IMM(roundsd, sse_src8, 15, ROUND_CASES(roundsd), SSE_NO_UNDERFLOW)

/* ---- dot products ----------------------------------------------------------------------------- */

/* All ones in the elements of 32 bits (or pairs of them, for 64) that the low bits of imm choose. */
static __m128i element_mask(unsigned int imm, bool pairs)
{
	union cpu_xmm m;

	for (unsigned int n = 0; n < 4; n++)
		m.u32[n] = (imm >> (pairs ? n / 2 : n)) & 1 ? ~0u : 0;
	return sse_vector(m);
}

#define STAGE(op, kind)                                            \
	do {                                                       \
		sse_fp_begin(c, &fp);                              \
		__asm__ volatile(op " %1, %0" : "+x"(a) : "x"(b)); \
		sse_fp_end(c, &fp, a, kind);                       \
		b = a;                                             \
	} while (0)

/* With something unmasked, each stage of the sum can be the last one. */
static void dot_stages(struct soft *c, __m128i a, __m128i b, bool pairs)
{
	struct sse_fp fp;

	if ((c->state.mxcsr & MXCSR_MASKS) == MXCSR_MASKS)
		return;
	if (pairs) {
		STAGE("mulpd", SSE_PD);
		STAGE("haddpd", SSE_PD);
		return;
	}
	STAGE("mulps", SSE_PS);
	STAGE("haddps", SSE_PS);
	STAGE("haddps", SSE_PS);
}

/*
 * An element that the immediate leaves out counts as +0.0 and raises nothing, just as the product of two
 * zeros does: so the instruction with everything chosen does the work of all.
 */
#define DOT_PRODUCT(op, pairs, all, kind)                                                     \
	static void exec_##op(struct soft *c, const struct insn *i)                           \
	{                                                                                     \
		__m128i factors = element_mask((uint8_t)i->imm >> 4, pairs);                  \
		struct sse_fp fp;                                                             \
		__m128i a, b;                                                                 \
                                                                                              \
		sse_check(c);                                                                 \
		b = _mm_and_si128(sse_src(c, i), factors);                                    \
		a = _mm_and_si128(*sse_reg(c, i->dst), factors);                              \
		dot_stages(c, a, b, pairs);                                                   \
		sse_fp_begin(c, &fp);                                                         \
		__asm__ volatile(#op " %2, %1, %0" : "+x"(a) : "x"(b), "i"(all));             \
		sse_fp_end(c, &fp, a, kind);                                                  \
		*sse_reg(c, i->dst) = _mm_and_si128(a, element_mask((uint8_t)i->imm, pairs)); \
	}

DOT_PRODUCT(dpps, false, 0xff, SSE_PS)
DOT_PRODUCT(dppd, true, 0x33, SSE_PD)

static const struct sse_row rows[] = {
	FLOAT_OPS(FLOAT_ROW) SSE_ROW(ROUNDPS, roundps, SSE_NEED_41, "XVI"),
	SSE_ROW(ROUNDPD, roundpd, SSE_NEED_41, "XVI"),
	SSE_ROW(ROUNDSS, roundss, SSE_NEED_41, "XVI"),
	SSE_ROW(ROUNDSD, roundsd, SSE_NEED_41, "XVI"),
	SSE_ROW(DPPS, dpps, SSE_NEED_41, "XVI"),
	SSE_ROW(DPPD, dppd, SSE_NEED_41, "XVI"),
};

const struct sse_table sse_float_table = SSE_TABLE(rows);
