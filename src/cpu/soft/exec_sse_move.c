/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE moves: whole registers, halves, scalars, and between XMM and general registers. */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"

/* ---- whole registers -------------------------------------------------------------------------- */

static void exec_mov_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = *sse_reg(c, i->src);
}

static void exec_load_aligned(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = sse_load_aligned(c, i);
}

static void exec_load_unaligned(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = sse_load_unaligned(c, i);
}

static void exec_store_aligned(struct soft *c, const struct insn *i)
{
	sse_check(c);
	sse_store_aligned(c, i, *sse_reg(c, i->src));
}

static void exec_store_unaligned(struct soft *c, const struct insn *i)
{
	sse_check(c);
	sse_store_unaligned(c, i, *sse_reg(c, i->src));
}

/* ---- scalars and halves ----------------------------------------------------------------------- */

static void exec_load4(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = sse_load_low(c, i, 4);
}

static void exec_load8(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = sse_load_low(c, i, 8);
}

static void exec_store4(struct soft *c, const struct insn *i)
{
	sse_check(c);
	sse_store_low(c, i, 4, c->state.xmm[i->src & 15].u32[0]);
}

static void exec_store8(struct soft *c, const struct insn *i)
{
	sse_check(c);
	sse_store_low(c, i, 8, c->state.xmm[i->src & 15].u64[0]);
}

static void exec_store_high8(struct soft *c, const struct insn *i)
{
	sse_check(c);
	sse_store_low(c, i, 8, c->state.xmm[i->src & 15].u64[1]);
}

static void exec_load_into_low(struct soft *c, const struct insn *i)
{
	sse_check(c);
	c->state.xmm[i->dst & 15].u64[0] = operand_load(c, i, 8);
}

static void exec_load_into_high(struct soft *c, const struct insn *i)
{
	sse_check(c);
	c->state.xmm[i->dst & 15].u64[1] = operand_load(c, i, 8);
}

static void exec_movss_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	c->state.xmm[i->dst & 15].u32[0] = c->state.xmm[i->src & 15].u32[0];
}

static void exec_movsd_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	c->state.xmm[i->dst & 15].u64[0] = c->state.xmm[i->src & 15].u64[0];
}

static void exec_movq_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = _mm_move_epi64(*sse_reg(c, i->src));
}

static void exec_movhlps(struct soft *c, const struct insn *i)
{
	sse_check(c);
	c->state.xmm[i->dst & 15].u64[0] = c->state.xmm[i->src & 15].u64[1];
}

static void exec_movlhps(struct soft *c, const struct insn *i)
{
	sse_check(c);
	c->state.xmm[i->dst & 15].u64[1] = c->state.xmm[i->src & 15].u64[0];
}

/* ---- copies of elements ----------------------------------------------------------------------- */

static void exec_movddup(struct soft *c, const struct insn *i)
{
	__m128i v;

	sse_check(c);
	v = sse_src8(c, i);
	*sse_reg(c, i->dst) = _mm_unpacklo_epi64(v, v);
}

static void exec_movsldup(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = _mm_shuffle_epi32(sse_src(c, i), _MM_SHUFFLE(2, 2, 0, 0));
}

static void exec_movshdup(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = _mm_shuffle_epi32(sse_src(c, i), _MM_SHUFFLE(3, 3, 1, 1));
}

/* ---- general registers ------------------------------------------------------------------------ */

static void exec_movd_from_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = _mm_cvtsi64_si128((int64_t)reg_get(c, i->src, 4));
}

static void exec_movq_from_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	*sse_reg(c, i->dst) = _mm_cvtsi64_si128((int64_t)reg_get(c, i->src, 8));
}

static void exec_movd_to_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	reg_set(c, i->dst, 4, c->state.xmm[i->src & 15].u32[0]);
}

static void exec_movq_to_reg(struct soft *c, const struct insn *i)
{
	sse_check(c);
	reg_set(c, i->dst, 8, c->state.xmm[i->src & 15].u64[0]);
}

static void exec_movmskps(struct soft *c, const struct insn *i)
{
	sse_check(c);
	reg_set(c, i->dst, 4, (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(*sse_reg(c, i->src))));
}

static void exec_movmskpd(struct soft *c, const struct insn *i)
{
	sse_check(c);
	reg_set(c, i->dst, 4, (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(*sse_reg(c, i->src))));
}

static void exec_pmovmskb(struct soft *c, const struct insn *i)
{
	sse_check(c);
	reg_set(c, i->dst, 4, (uint32_t)_mm_movemask_epi8(*sse_reg(c, i->src)));
}

#define ALIGNED(mnem)                                                                            \
	SSE_ROW(mnem, mov_reg, SSE_NEED_2, "XX"), SSE_ROW(mnem, load_aligned, SSE_NEED_2, "XM"), \
		SSE_ROW(mnem, store_aligned, SSE_NEED_2, "MX")
#define UNALIGNED(mnem)                                                                            \
	SSE_ROW(mnem, mov_reg, SSE_NEED_2, "XX"), SSE_ROW(mnem, load_unaligned, SSE_NEED_2, "XM"), \
		SSE_ROW(mnem, store_unaligned, SSE_NEED_2, "MX")

static const struct sse_row rows[] = {
	ALIGNED(MOVAPS),
	ALIGNED(MOVAPD),
	ALIGNED(MOVDQA),
	UNALIGNED(MOVUPS),
	UNALIGNED(MOVUPD),
	UNALIGNED(MOVDQU),
	SSE_ROW(LDDQU, load_unaligned, SSE_NEED_3, "XM"),
	SSE_ROW(MOVNTDQA, load_aligned, SSE_NEED_41, "XM"),
	SSE_ROW(MOVNTDQ, store_aligned, SSE_NEED_2, "MX"),
	SSE_ROW(MOVNTPS, store_aligned, SSE_NEED_2, "MX"),
	SSE_ROW(MOVNTPD, store_aligned, SSE_NEED_2, "MX"),

	SSE_ROW(MOVSS, movss_reg, SSE_NEED_2, "XX"),
	SSE_ROW(MOVSS, load4, SSE_NEED_2, "XM"),
	SSE_ROW(MOVSS, store4, SSE_NEED_2, "MX"),
	SSE_ROW(MOVSD, movsd_reg, SSE_NEED_2, "XX"),
	SSE_ROW(MOVSD, load8, SSE_NEED_2, "XM"),
	SSE_ROW(MOVSD, store8, SSE_NEED_2, "MX"),
	SSE_ROW(MOVLPS, load_into_low, SSE_NEED_2, "XM"),
	SSE_ROW(MOVLPS, store8, SSE_NEED_2, "MX"),
	SSE_ROW(MOVLPD, load_into_low, SSE_NEED_2, "XM"),
	SSE_ROW(MOVLPD, store8, SSE_NEED_2, "MX"),
	SSE_ROW(MOVHPS, load_into_high, SSE_NEED_2, "XM"),
	SSE_ROW(MOVHPS, store_high8, SSE_NEED_2, "MX"),
	SSE_ROW(MOVHPD, load_into_high, SSE_NEED_2, "XM"),
	SSE_ROW(MOVHPD, store_high8, SSE_NEED_2, "MX"),
	SSE_ROW(MOVHLPS, movhlps, SSE_NEED_2, "XX"),
	SSE_ROW(MOVLHPS, movlhps, SSE_NEED_2, "XX"),
	SSE_ROW(MOVDDUP, movddup, SSE_NEED_3, "XV"),
	SSE_ROW(MOVSLDUP, movsldup, SSE_NEED_3, "XV"),
	SSE_ROW(MOVSHDUP, movshdup, SSE_NEED_3, "XV"),

	SSE_ROW(MOVD, movd_from_reg, SSE_NEED_2, "XR"),
	SSE_ROW(MOVD, load4, SSE_NEED_2, "XM"),
	SSE_ROW(MOVD, movd_to_reg, SSE_NEED_2, "RX"),
	SSE_ROW(MOVD, store4, SSE_NEED_2, "MX"),
	SSE_ROW(MOVQ, movq_reg, SSE_NEED_2, "XX"),
	SSE_ROW(MOVQ, movq_from_reg, SSE_NEED_2, "XR"),
	SSE_ROW(MOVQ, load8, SSE_NEED_2, "XM"),
	SSE_ROW(MOVQ, movq_to_reg, SSE_NEED_2, "RX"),
	SSE_ROW(MOVQ, store8, SSE_NEED_2, "MX"),
	SSE_ROW(MOVMSKPS, movmskps, SSE_NEED_2, "RX"),
	SSE_ROW(MOVMSKPD, movmskpd, SSE_NEED_2, "RX"),
	SSE_ROW(PMOVMSKB, pmovmskb, SSE_NEED_2, "RX"),
};

const struct sse_table sse_move_table = SSE_TABLE(rows);
