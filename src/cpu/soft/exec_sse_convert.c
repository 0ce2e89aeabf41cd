/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE conversions between floating-point sizes and to and from integers. */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"

#define CONVERT_OPS(X)                                     \
	X(CVTDQ2PS, cvtdq2ps, sse_src, SSE_NO_UNDERFLOW)   \
	X(CVTDQ2PD, cvtdq2pd, sse_src8, SSE_NO_UNDERFLOW)  \
	X(CVTPS2DQ, cvtps2dq, sse_src, SSE_NO_UNDERFLOW)   \
	X(CVTTPS2DQ, cvttps2dq, sse_src, SSE_NO_UNDERFLOW) \
	X(CVTPD2DQ, cvtpd2dq, sse_src, SSE_NO_UNDERFLOW)   \
	X(CVTTPD2DQ, cvttpd2dq, sse_src, SSE_NO_UNDERFLOW) \
	X(CVTPS2PD, cvtps2pd, sse_src8, SSE_NO_UNDERFLOW)  \
	X(CVTPD2PS, cvtpd2ps, sse_src, SSE_PS_LOW)         \
	X(CVTSS2SD, cvtss2sd, sse_src4, SSE_NO_UNDERFLOW)  \
	X(CVTSD2SS, cvtsd2ss, sse_src8, SSE_SS)

#define CONVERT_HANDLER(mnem, op, source, kind) SSE_FLOAT(op, source, kind)
#define CONVERT_ROW(mnem, op, source, kind) SSE_ROW(mnem, op, SSE_NEED_2, "XV"),

CONVERT_OPS(CONVERT_HANDLER)

/* ---- from a general register or an integer in memory ------------------------------------------ */

static uint64_t integer_source(struct soft *c, const struct insn *i)
{
	if (i->flags & INSN_MEM)
		return operand_load(c, i, i->aux);
	return reg_get(c, i->src, i->aux);
}

#define FROM_INTEGER(op)                                                      \
	static void exec_##op(struct soft *c, const struct insn *i)           \
	{                                                                     \
		struct sse_fp fp;                                             \
		uint64_t v;                                                   \
		__m128i a;                                                    \
                                                                              \
		sse_check(c);                                                 \
		v = integer_source(c, i);                                     \
		a = *sse_reg(c, i->dst);                                      \
		sse_fp_begin(c, &fp);                                         \
		if (i->aux == 8)                                              \
			__asm__ volatile(#op "q %1, %0" : "+x"(a) : "r"(v));  \
		else                                                          \
			__asm__ volatile(#op "l %k1, %0" : "+x"(a) : "r"(v)); \
		sse_fp_end(c, &fp, a, SSE_NO_UNDERFLOW);                      \
		*sse_reg(c, i->dst) = a;                                      \
	}

FROM_INTEGER(cvtsi2ss)
FROM_INTEGER(cvtsi2sd)

/* ---- to a general register -------------------------------------------------------------------- */

#define TO_INTEGER(op, source)                                               \
	static void exec_##op(struct soft *c, const struct insn *i)          \
	{                                                                    \
		struct sse_fp fp;                                            \
		uint64_t v;                                                  \
		__m128i b;                                                   \
                                                                             \
		sse_check(c);                                                \
		b = source(c, i);                                            \
		sse_fp_begin(c, &fp);                                        \
		if (i->size == 8)                                            \
			__asm__ volatile(#op " %1, %q0" : "=r"(v) : "x"(b)); \
		else                                                         \
			__asm__ volatile(#op " %1, %k0" : "=r"(v) : "x"(b)); \
		sse_fp_end(c, &fp, b, SSE_NO_UNDERFLOW);                     \
		reg_set(c, i->dst, i->size, v);                              \
	}

TO_INTEGER(cvtss2si, sse_src4)
TO_INTEGER(cvtsd2si, sse_src8)
TO_INTEGER(cvttss2si, sse_src4)
TO_INTEGER(cvttsd2si, sse_src8)

static const struct sse_row rows[] = {
	CONVERT_OPS(CONVERT_ROW) SSE_ROW(CVTSI2SS, cvtsi2ss, SSE_NEED_2, "XE"),
	SSE_ROW(CVTSI2SD, cvtsi2sd, SSE_NEED_2, "XE"),
	SSE_ROW(CVTSS2SI, cvtss2si, SSE_NEED_2, "RV"),
	SSE_ROW(CVTSD2SI, cvtsd2si, SSE_NEED_2, "RV"),
	SSE_ROW(CVTTSS2SI, cvttss2si, SSE_NEED_2, "RV"),
	SSE_ROW(CVTTSD2SI, cvttsd2si, SSE_NEED_2, "RV"),
};

const struct sse_table sse_convert_table = SSE_TABLE(rows);
