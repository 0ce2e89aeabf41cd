/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE2 integer arithmetic, logic and shifts: two operands, no flags, no exceptions of their own. */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"

/* The upper-case name is Zydis's, the lower-case one the assembler's. */
#define INTEGER_OPS(X)      \
	X(PADDB, paddb)     \
	X(PADDW, paddw)     \
	X(PADDD, paddd)     \
	X(PADDQ, paddq)     \
	X(PADDSB, paddsb)   \
	X(PADDSW, paddsw)   \
	X(PADDUSB, paddusb) \
	X(PADDUSW, paddusw) \
	X(PSUBB, psubb)     \
	X(PSUBW, psubw)     \
	X(PSUBD, psubd)     \
	X(PSUBQ, psubq)     \
	X(PSUBSB, psubsb)   \
	X(PSUBSW, psubsw)   \
	X(PSUBUSB, psubusb) \
	X(PSUBUSW, psubusw) \
	X(PMULLW, pmullw)   \
	X(PMULHW, pmulhw)   \
	X(PMULHUW, pmulhuw) \
	X(PMULUDQ, pmuludq) \
	X(PMADDWD, pmaddwd) \
	X(PSADBW, psadbw)   \
	X(PAVGB, pavgb)     \
	X(PAVGW, pavgw)     \
	X(PMAXSW, pmaxsw)   \
	X(PMAXUB, pmaxub)   \
	X(PMINSW, pminsw)   \
	X(PMINUB, pminub)   \
	X(PCMPEQB, pcmpeqb) \
	X(PCMPEQW, pcmpeqw) \
	X(PCMPEQD, pcmpeqd) \
	X(PCMPGTB, pcmpgtb) \
	X(PCMPGTW, pcmpgtw) \
	X(PCMPGTD, pcmpgtd) \
	X(PAND, pand)       \
	X(PANDN, pandn)     \
	X(POR, por)         \
	X(PXOR, pxor)       \
	X(ANDPS, andps)     \
	X(ANDPD, andpd)     \
	X(ANDNPS, andnps)   \
	X(ANDNPD, andnpd)   \
	X(ORPS, orps)       \
	X(ORPD, orpd)       \
	X(XORPS, xorps)     \
	X(XORPD, xorpd)

#define SHIFT_OPS(X)    \
	X(PSLLW, psllw) \
	X(PSLLD, pslld) \
	X(PSLLQ, psllq) \
	X(PSRLW, psrlw) \
	X(PSRLD, psrld) \
	X(PSRLQ, psrlq) \
	X(PSRAW, psraw) \
	X(PSRAD, psrad)

#define INTEGER_HANDLER(mnem, op) SSE_BINARY(op, sse_src)
#define INTEGER_ROW(mnem, op) SSE_ROW(mnem, op, SSE_NEED_2, "XV"),

/* The count by an immediate is the count by a register that holds it. */
static __m128i shift_count(struct soft *c, const struct insn *i)
{
	if (i->src == REG_NONE && !(i->flags & INSN_MEM))
		return _mm_cvtsi32_si128((int)(i->imm & 0xff));
	return sse_src(c, i);
}

#define SHIFT_HANDLER(mnem, op) SSE_BINARY(op, shift_count)
#define SHIFT_ROW(mnem, op) \
	SSE_ROW(mnem, op, SSE_NEED_2, "XV"), SSE_ROW(mnem, op, SSE_NEED_2, "XI"),

INTEGER_OPS(INTEGER_HANDLER)
SHIFT_OPS(SHIFT_HANDLER)

static void exec_pslldq(struct soft *c, const struct insn *i)
{
	unsigned int count = (uint8_t)i->imm;
	union cpu_xmm *r = &c->state.xmm[i->dst & 15], old;

	sse_check(c);
	old = *r;
	for (unsigned int n = 0; n < 16; n++)
		r->u8[n] = n >= count ? old.u8[n - count] : 0;
}

static void exec_psrldq(struct soft *c, const struct insn *i)
{
	unsigned int count = (uint8_t)i->imm;
	union cpu_xmm *r = &c->state.xmm[i->dst & 15], old;

	sse_check(c);
	old = *r;
	for (unsigned int n = 0; n < 16; n++)
		r->u8[n] = n + count < 16 ? old.u8[n + count] : 0;
}

static const struct sse_row rows[] = {
	INTEGER_OPS(INTEGER_ROW) SHIFT_OPS(SHIFT_ROW) SSE_ROW(PSLLDQ, pslldq, SSE_NEED_2, "XI"),
	SSE_ROW(PSRLDQ, psrldq, SSE_NEED_2, "XI"),
};

const struct sse_table sse_integer_table = SSE_TABLE(rows);
