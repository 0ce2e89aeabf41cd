/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The integer arithmetic that SSSE3, SSE4.1 and SSE4.2 added. */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"

#define WIDE_OPS(X)                            \
	X(PABSB, pabsb, SSE_NEED_S3)           \
	X(PABSW, pabsw, SSE_NEED_S3)           \
	X(PABSD, pabsd, SSE_NEED_S3)           \
	X(PSIGNB, psignb, SSE_NEED_S3)         \
	X(PSIGNW, psignw, SSE_NEED_S3)         \
	X(PSIGND, psignd, SSE_NEED_S3)         \
	X(PHADDW, phaddw, SSE_NEED_S3)         \
	X(PHADDD, phaddd, SSE_NEED_S3)         \
	X(PHADDSW, phaddsw, SSE_NEED_S3)       \
	X(PHSUBW, phsubw, SSE_NEED_S3)         \
	X(PHSUBD, phsubd, SSE_NEED_S3)         \
	X(PHSUBSW, phsubsw, SSE_NEED_S3)       \
	X(PMADDUBSW, pmaddubsw, SSE_NEED_S3)   \
	X(PMULHRSW, pmulhrsw, SSE_NEED_S3)     \
	X(PMAXSB, pmaxsb, SSE_NEED_41)         \
	X(PMAXSD, pmaxsd, SSE_NEED_41)         \
	X(PMAXUW, pmaxuw, SSE_NEED_41)         \
	X(PMAXUD, pmaxud, SSE_NEED_41)         \
	X(PMINSB, pminsb, SSE_NEED_41)         \
	X(PMINSD, pminsd, SSE_NEED_41)         \
	X(PMINUW, pminuw, SSE_NEED_41)         \
	X(PMINUD, pminud, SSE_NEED_41)         \
	X(PMULLD, pmulld, SSE_NEED_41)         \
	X(PMULDQ, pmuldq, SSE_NEED_41)         \
	X(PCMPEQQ, pcmpeqq, SSE_NEED_41)       \
	X(PHMINPOSUW, phminposuw, SSE_NEED_41) \
	X(PCMPGTQ, pcmpgtq, SSE_NEED_42)

/* Widening moves, with the bytes of memory that each reads. */
#define EXTEND_OPS(X)                   \
	X(PMOVSXBW, pmovsxbw, sse_src8) \
	X(PMOVSXBD, pmovsxbd, sse_src4) \
	X(PMOVSXBQ, pmovsxbq, sse_src2) \
	X(PMOVSXWD, pmovsxwd, sse_src8) \
	X(PMOVSXWQ, pmovsxwq, sse_src4) \
	X(PMOVSXDQ, pmovsxdq, sse_src8) \
	X(PMOVZXBW, pmovzxbw, sse_src8) \
	X(PMOVZXBD, pmovzxbd, sse_src4) \
	X(PMOVZXBQ, pmovzxbq, sse_src2) \
	X(PMOVZXWD, pmovzxwd, sse_src8) \
	X(PMOVZXWQ, pmovzxwq, sse_src4) \
	X(PMOVZXDQ, pmovzxdq, sse_src8)

#define WIDE_HANDLER(mnem, op, need) SSE_BINARY(op, sse_src)
#define WIDE_ROW(mnem, op, need) SSE_ROW(mnem, op, need, "XV"),
#define EXTEND_HANDLER(mnem, op, source) SSE_BINARY(op, source)
#define EXTEND_ROW(mnem, op, source) SSE_ROW(mnem, op, SSE_NEED_41, "XV"),

WIDE_OPS(WIDE_HANDLER)
EXTEND_OPS(EXTEND_HANDLER)

#define MPSADBW_CASES SSE_CASES4(mpsadbw, 0) SSE_CASES4(mpsadbw, 4)

static void exec_mpsadbw(struct soft *c, const struct insn *i)
{
	__m128i a, b;

	sse_check(c);
	b = sse_src(c, i);
	a = *sse_reg(c, i->dst);
	switch (i->imm & 7) {
		MPSADBW_CASES
	}
	*sse_reg(c, i->dst) = a;
}

static void exec_ptest(struct soft *c, const struct insn *i)
{
	bool zero, carry;
	__m128i b;

	sse_check(c);
	b = sse_src(c, i);
	__asm__("ptest %3, %2" : "=@ccz"(zero), "=@ccc"(carry) : "x"(*sse_reg(c, i->dst)), "x"(b));
	sse_set_flags(c, (zero ? RFLAGS_ZF : 0) | (carry ? RFLAGS_CF : 0));
}

static const struct sse_row rows[] = {
	WIDE_OPS(WIDE_ROW) EXTEND_OPS(EXTEND_ROW) SSE_ROW(MPSADBW, mpsadbw, SSE_NEED_41, "XVI"),
	SSE_ROW(PTEST, ptest, SSE_NEED_41, "XV"),
};

const struct sse_table sse_wide_table = SSE_TABLE(rows);
