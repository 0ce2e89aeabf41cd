/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE: one element into a register or out of it (PINSR, PEXTR, INSERTPS, EXTRACTPS). */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"

/* ---- in --------------------------------------------------------------------------------------- */

static uint64_t element_in(struct soft *c, const struct insn *i, unsigned int size)
{
	sse_check(c);
	if (i->flags & INSN_MEM)
		return operand_load(c, i, size);
	return c->state.gpr[i->src & 15];
}

static void exec_pinsrb(struct soft *c, const struct insn *i)
{
	uint64_t v = element_in(c, i, 1);

	c->state.xmm[i->dst & 15].u8[i->imm & 15] = (uint8_t)v;
}

static void exec_pinsrw(struct soft *c, const struct insn *i)
{
	uint64_t v = element_in(c, i, 2);

	c->state.xmm[i->dst & 15].u16[i->imm & 7] = (uint16_t)v;
}

static void exec_pinsrd(struct soft *c, const struct insn *i)
{
	uint64_t v = element_in(c, i, 4);

	c->state.xmm[i->dst & 15].u32[i->imm & 3] = (uint32_t)v;
}

static void exec_pinsrq(struct soft *c, const struct insn *i)
{
	uint64_t v = element_in(c, i, 8);

	c->state.xmm[i->dst & 15].u64[i->imm & 1] = v;
}

/* Bits 7:6 choose the source's element (memory has only one), 5:4 the place, 3:0 what becomes zero. */
static void exec_insertps(struct soft *c, const struct insn *i)
{
	union cpu_xmm *r = &c->state.xmm[i->dst & 15];
	unsigned int imm = (uint8_t)i->imm;
	uint32_t v;

	sse_check(c);
	if (i->flags & INSN_MEM)
		v = (uint32_t)operand_load(c, i, 4);
	else
		v = c->state.xmm[i->src & 15].u32[imm >> 6];
	r->u32[(imm >> 4) & 3] = v;
	for (unsigned int n = 0; n < 4; n++)
		if (imm >> n & 1)
			r->u32[n] = 0;
}

/* ---- out: a general register is cleared above the element -------------------------------------- */

static void element_out(struct soft *c, const struct insn *i, unsigned int size, uint64_t v)
{
	sse_check(c);
	if (i->flags & INSN_MEM)
		sse_store_low(c, i, size, v);
	else
		reg_set(c, i->dst, 8, v);
}

static void exec_pextrb(struct soft *c, const struct insn *i)
{
	element_out(c, i, 1, c->state.xmm[i->src & 15].u8[i->imm & 15]);
}

static void exec_pextrw(struct soft *c, const struct insn *i)
{
	element_out(c, i, 2, c->state.xmm[i->src & 15].u16[i->imm & 7]);
}

static void exec_pextrd(struct soft *c, const struct insn *i)
{
	element_out(c, i, 4, c->state.xmm[i->src & 15].u32[i->imm & 3]);
}

static void exec_pextrq(struct soft *c, const struct insn *i)
{
	element_out(c, i, 8, c->state.xmm[i->src & 15].u64[i->imm & 1]);
}

static const struct sse_row rows[] = {
	SSE_ROW(PINSRB, pinsrb, SSE_NEED_41, "XEI"),
	SSE_ROW(PINSRW, pinsrw, SSE_NEED_2, "XEI"),
	SSE_ROW(PINSRD, pinsrd, SSE_NEED_41, "XEI"),
	SSE_ROW(PINSRQ, pinsrq, SSE_NEED_41, "XEI"),
	SSE_ROW(INSERTPS, insertps, SSE_NEED_41, "XVI"),
	SSE_ROW(PEXTRB, pextrb, SSE_NEED_41, "EXI"),
	SSE_ROW(PEXTRW, pextrw, SSE_NEED_2, "RXI"),
	SSE_ROW(PEXTRW, pextrw, SSE_NEED_41, "MXI"),
	SSE_ROW(PEXTRD, pextrd, SSE_NEED_41, "EXI"),
	SSE_ROW(PEXTRQ, pextrq, SSE_NEED_41, "EXI"),
	SSE_ROW(EXTRACTPS, pextrd, SSE_NEED_41, "EXI"),
};

const struct sse_table sse_element_table = SSE_TABLE(rows);
