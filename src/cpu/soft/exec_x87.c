/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The x87 control instructions. */
#include "cpu/soft/x87.h"

#include <string.h>

#include "cpu/fpu_image.h"
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"

static void check_x87(struct soft *c)
{
	if (c->state.cr0 & (CR0_EM | CR0_TS))
		soft_raise(c, VEC_NM);
}

/* With CR0.NE clear the processor would tell an interrupt controller, which is nobody here. */
static void check_pending(struct soft *c)
{
	if ((c->state.fsw & FSW_ES) && (c->state.cr0 & CR0_NE))
		soft_raise(c, VEC_MF);
}

static unsigned int fsw_top(uint16_t fsw)
{
	return (fsw & FSW_TOP) >> 11;
}

/* The state has the registers by their place in the stack: another top, other places. */
static void x87_turn(struct cpu_state *s, unsigned int top)
{
	unsigned int by = (top - fsw_top(s->fsw)) & 7;
	uint8_t old[8][16];

	memcpy(old, s->st, sizeof(old));
	for (unsigned int n = 0; n < 8; n++)
		memcpy(s->st[n], old[(n + by) & 7], 16);
}

/* Other than the initial state of XRSTOR, FNINIT leaves the registers' contents. */
static void exec_fninit(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;

	check_x87(c);
	x87_turn(s, 0);
	s->fcw = FCW_DEFAULT;
	s->fsw = s->fop = 0;
	s->ftw = 0;
	s->fip = s->fdp = 0;
}

static void exec_fnstcw(struct soft *c, const struct insn *i)
{
	check_x87(c);
	operand_store(c, i, 2, c->state.fcw);
}

static void exec_fldcw(struct soft *c, const struct insn *i)
{
	uint16_t v;

	check_x87(c);
	check_pending(c);
	v = (uint16_t)operand_load(c, i, 2);
	c->state.fcw = (v & FCW_LEGAL) | FCW_ALWAYS;
	x87_update_summary(&c->state);
}

static void exec_fnstsw(struct soft *c, const struct insn *i)
{
	check_x87(c);
	if (i->flags & INSN_MEM)
		operand_store(c, i, 2, c->state.fsw);
	else
		reg_set(c, CPU_RAX, 2, c->state.fsw);
}

static void exec_fnclex(struct soft *c, const struct insn *i)
{
	check_x87(c);
	c->state.fsw &= (uint16_t)~FSW_CLEARED_BY_FNCLEX;
}

static void exec_fwait(struct soft *c, const struct insn *i)
{
	if ((c->state.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		soft_raise(c, VEC_NM);
	check_pending(c);
}

static void exec_emms(struct soft *c, const struct insn *i)
{
	if (c->state.cr0 & CR0_EM)
		soft_raise(c, VEC_UD);
	check_x87(c);
	check_pending(c);
	x87_turn(&c->state, 0);
	c->state.ftw = 0;
	c->state.fsw &= (uint16_t)~FSW_TOP;
}

/* ---- the environment: seven doublewords ---------------------------------------------------------- */

struct x87_env {
	uint16_t fcw, ones0, fsw, ones1, ftw, ones2;
	uint32_t fip;
	uint16_t fcs, fop;
	uint32_t fdp;
	uint16_t fds, ones3;
};

/* The two tag bits that FXSAVE's form leaves out, from the register's contents. */
static unsigned int full_tag(const uint8_t st[16])
{
	uint64_t mantissa;
	uint16_t exponent;

	memcpy(&mantissa, st, 8);
	memcpy(&exponent, st + 8, 2);
	exponent &= 0x7fff;
	if (!exponent && !mantissa)
		return TAG_ZERO;
	return exponent && exponent != 0x7fff && mantissa >> 63 ? TAG_VALID : TAG_SPECIAL;
}

static uint16_t full_tags(const struct cpu_state *s)
{
	uint16_t tags = 0;

	for (unsigned int reg = 0; reg < 8; reg++) {
		unsigned int tag = TAG_EMPTY;

		if (s->ftw >> reg & 1)
			tag = full_tag(s->st[(reg - fsw_top(s->fsw)) & 7]);
		tags |= (uint16_t)(tag << (2 * reg));
	}
	return tags;
}

static void exec_fnstenv(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	struct x87_env env = {
		.fcw = s->fcw,
		.fsw = s->fsw,
		.ftw = full_tags(s),
		.fip = (uint32_t)s->fip,
		.fop = s->fop,
		.fdp = (uint32_t)s->fdp,
		.ones0 = 0xffff,
		.ones1 = 0xffff,
		.ones2 = 0xffff,
		.ones3 = 0xffff,
	};

	check_x87(c);
	soft_store_bytes(c, soft_mem(c, i, sizeof(env), ACCESS_WRITE), &env, sizeof(env));
	s->fcw |= FSW_FLAGS;
	x87_update_summary(s);
}

static void exec_fldenv(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	struct x87_env env;

	check_x87(c);
	check_pending(c);
	soft_load_bytes(c, soft_mem(c, i, sizeof(env), ACCESS_READ), &env, sizeof(env));
	x87_turn(s, fsw_top(env.fsw));
	s->fcw = (env.fcw & FCW_LEGAL) | FCW_ALWAYS;
	s->fsw = env.fsw;
	s->ftw = 0;
	for (unsigned int reg = 0; reg < 8; reg++)
		if ((env.ftw >> (2 * reg) & 3) != TAG_EMPTY)
			s->ftw |= (uint8_t)(1u << reg);
	s->fip = env.fip;
	s->fop = env.fop & FOP_LEGAL;
	s->fdp = env.fdp;
	x87_update_summary(s);
}

static const struct sse_row rows[] = {
	SSE_ROW(FNINIT, fninit, SSE_NEED_2, ""),    SSE_ROW(FNSTCW, fnstcw, SSE_NEED_2, "M"),
	SSE_ROW(FLDCW, fldcw, SSE_NEED_2, "M"),	    SSE_ROW(FNSTSW, fnstsw, SSE_NEED_2, "E"),
	SSE_ROW(FNCLEX, fnclex, SSE_NEED_2, ""),    SSE_ROW(FWAIT, fwait, SSE_NEED_2, ""),
	SSE_ROW(FNSTENV, fnstenv, SSE_NEED_2, "M"), SSE_ROW(FLDENV, fldenv, SSE_NEED_2, "M"),
	SSE_ROW(EMMS, emms, SSE_NEED_2, ""),
};

static const struct sse_table table = SSE_TABLE(rows);

bool x87_select(const struct soft_decoded *d, struct insn *i)
{
	soft_exec *exec = sse_find(&table, d);

	/* The environment's form of 14 bytes is of 16-bit code. */
	if (!exec || i->msize == 14)
		return false;
	i->exec = exec;
	return true;
}
