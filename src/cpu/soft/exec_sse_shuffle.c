/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE shuffles, unpacks, packs and blends. Those steered by an immediate are index arithmetic here, since the
 * host's take it as a constant. */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"

#define SHUFFLE_OPS(X)                        \
	X(PACKSSWB, packsswb, SSE_NEED_2)     \
	X(PACKSSDW, packssdw, SSE_NEED_2)     \
	X(PACKUSWB, packuswb, SSE_NEED_2)     \
	X(PACKUSDW, packusdw, SSE_NEED_41)    \
	X(PUNPCKLBW, punpcklbw, SSE_NEED_2)   \
	X(PUNPCKLWD, punpcklwd, SSE_NEED_2)   \
	X(PUNPCKLDQ, punpckldq, SSE_NEED_2)   \
	X(PUNPCKLQDQ, punpcklqdq, SSE_NEED_2) \
	X(PUNPCKHBW, punpckhbw, SSE_NEED_2)   \
	X(PUNPCKHWD, punpckhwd, SSE_NEED_2)   \
	X(PUNPCKHDQ, punpckhdq, SSE_NEED_2)   \
	X(PUNPCKHQDQ, punpckhqdq, SSE_NEED_2) \
	X(UNPCKLPS, unpcklps, SSE_NEED_2)     \
	X(UNPCKLPD, unpcklpd, SSE_NEED_2)     \
	X(UNPCKHPS, unpckhps, SSE_NEED_2)     \
	X(UNPCKHPD, unpckhpd, SSE_NEED_2)     \
	X(PSHUFB, pshufb, SSE_NEED_S3)

#define SHUFFLE_HANDLER(mnem, op, need) SSE_BINARY(op, sse_src)
#define SHUFFLE_ROW(mnem, op, need) SSE_ROW(mnem, op, need, "XV"),

SHUFFLE_OPS(SHUFFLE_HANDLER)

/* A shuffle as a function of the old destination, the source and the immediate. */
typedef union cpu_xmm shuffle_fn(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm);

static inline void shuffle(struct soft *c, const struct insn *i, shuffle_fn *fn)
{
	union cpu_xmm s;

	sse_check(c);
	s = sse_union(sse_src(c, i));
	c->state.xmm[i->dst & 15] = fn(&c->state.xmm[i->dst & 15], &s, (uint8_t)i->imm);
}

#define SHUFFLE_IMM(op)                                             \
	static void exec_##op(struct soft *c, const struct insn *i) \
	{                                                           \
		shuffle(c, i, do_##op);                             \
	}

static union cpu_xmm do_pshufd(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	for (unsigned int n = 0; n < 4; n++)
		r.u32[n] = s->u32[(imm >> (2 * n)) & 3];
	return r;
}

static union cpu_xmm do_pshuflw(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r = *s;

	for (unsigned int n = 0; n < 4; n++)
		r.u16[n] = s->u16[(imm >> (2 * n)) & 3];
	return r;
}

static union cpu_xmm do_pshufhw(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r = *s;

	for (unsigned int n = 0; n < 4; n++)
		r.u16[4 + n] = s->u16[4 + ((imm >> (2 * n)) & 3)];
	return r;
}

static union cpu_xmm do_shufps(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	for (unsigned int n = 0; n < 4; n++)
		r.u32[n] = (n < 2 ? d : s)->u32[(imm >> (2 * n)) & 3];
	return r;
}

static union cpu_xmm do_shufpd(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	r.u64[0] = d->u64[imm & 1];
	r.u64[1] = s->u64[(imm >> 1) & 1];
	return r;
}

static union cpu_xmm do_palignr(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	for (unsigned int n = 0; n < 16; n++) {
		unsigned int from = n + imm;

		r.u8[n] = from < 16 ? s->u8[from] : from < 32 ? d->u8[from - 16] : 0;
	}
	return r;
}

static union cpu_xmm do_blendps(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	for (unsigned int n = 0; n < 4; n++)
		r.u32[n] = (imm >> n & 1 ? s : d)->u32[n];
	return r;
}

static union cpu_xmm do_blendpd(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	for (unsigned int n = 0; n < 2; n++)
		r.u64[n] = (imm >> n & 1 ? s : d)->u64[n];
	return r;
}

static union cpu_xmm do_pblendw(const union cpu_xmm *d, const union cpu_xmm *s, unsigned int imm)
{
	union cpu_xmm r;

	for (unsigned int n = 0; n < 8; n++)
		r.u16[n] = (imm >> n & 1 ? s : d)->u16[n];
	return r;
}

SHUFFLE_IMM(pshufd)
SHUFFLE_IMM(pshuflw)
SHUFFLE_IMM(pshufhw)
SHUFFLE_IMM(shufps)
SHUFFLE_IMM(shufpd)
SHUFFLE_IMM(palignr)
SHUFFLE_IMM(blendps)
SHUFFLE_IMM(blendpd)
SHUFFLE_IMM(pblendw)

/* The mask is XMM0, by name of the instruction. */
#define BLENDV(op)                                                               \
	static void exec_##op(struct soft *c, const struct insn *i)              \
	{                                                                        \
		__m128i a, b;                                                    \
                                                                                 \
		sse_check(c);                                                    \
		b = sse_src(c, i);                                               \
		a = *sse_reg(c, i->dst);                                         \
		__asm__(#op " %1, %0" : "+x"(a) : "x"(b), "Yz"(*sse_reg(c, 0))); \
		*sse_reg(c, i->dst) = a;                                         \
	}

BLENDV(pblendvb)
BLENDV(blendvps)
BLENDV(blendvpd)

static const struct sse_row rows[] = {
	SHUFFLE_OPS(SHUFFLE_ROW) SSE_ROW(PSHUFD, pshufd, SSE_NEED_2, "XVI"),
	SSE_ROW(PSHUFLW, pshuflw, SSE_NEED_2, "XVI"),
	SSE_ROW(PSHUFHW, pshufhw, SSE_NEED_2, "XVI"),
	SSE_ROW(SHUFPS, shufps, SSE_NEED_2, "XVI"),
	SSE_ROW(SHUFPD, shufpd, SSE_NEED_2, "XVI"),
	SSE_ROW(PALIGNR, palignr, SSE_NEED_S3, "XVI"),
	SSE_ROW(BLENDPS, blendps, SSE_NEED_41, "XVI"),
	SSE_ROW(BLENDPD, blendpd, SSE_NEED_41, "XVI"),
	SSE_ROW(PBLENDW, pblendw, SSE_NEED_41, "XVI"),
	SSE_ROW(PBLENDVB, pblendvb, SSE_NEED_41, "XV"),
	SSE_ROW(BLENDVPS, blendvps, SSE_NEED_41, "XV"),
	SSE_ROW(BLENDVPD, blendvpd, SSE_NEED_41, "XV"),
};

const struct sse_table sse_shuffle_table = SSE_TABLE(rows);
