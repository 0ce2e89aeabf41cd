/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Control and debug registers; the cached translations that go with them. */
#include "cpu/soft/control.h"
#include "cpu/soft/decode.h"

static void gp_unless(struct soft *c, bool ok)
{
	if (!ok)
		soft_raise_error(c, VEC_GP, 0);
}

static void exec_from_cr(struct soft *c, const struct insn *i)
{
	const struct cpu_state *s = &c->state;
	uint64_t value;

	sys_need_cpl0(c);
	switch (i->src) {
	case 0:
		value = s->cr0;
		break;
	case 2:
		value = s->cr2;
		break;
	case 3:
		value = s->cr3;
		break;
	case 4:
		value = s->cr4;
		break;
	case 8:
		value = s->cr8;
		break;
	default:
		soft_raise(c, VEC_UD);
	}
	reg_set(c, i->dst, c->mode == 8 ? 8 : 4, value);
}

static bool set_cr8(struct soft *c, uint64_t value)
{
	if (value & ~15ull)
		return false;
	c->state.cr8 = value;
	return true;
}

static void exec_to_cr(struct soft *c, const struct insn *i)
{
	uint64_t value = reg_get(c, i->src, c->mode == 8 ? 8 : 4);

	sys_need_cpl0(c);
	switch (i->dst) {
	case 0:
		gp_unless(c, mode_set_cr0(c, value));
		break;
	case 2:
		c->state.cr2 = value;
		break;
	case 3:
		gp_unless(c, mode_set_cr3(c, value));
		break;
	case 4:
		gp_unless(c, mode_set_cr4(c, value));
		break;
	case 8:
		gp_unless(c, set_cr8(c, value));
		break;
	default:
		soft_raise(c, VEC_UD);
	}
	soft_attend(c);
}

static void exec_clts(struct soft *c, const struct insn *i)
{
	sys_need_cpl0(c);
	c->state.cr0 &= ~CR0_TS;
	soft_attend(c);
}

/* Loads PE, MP, EM and TS; PE can be set this way but not cleared. */
static void exec_lmsw(struct soft *c, const struct insn *i)
{
	uint64_t value, low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

	sys_need_cpl0(c);
	if (i->flags & INSN_MEM)
		value = soft_load(c, soft_mem(c, i, 2, ACCESS_READ), 2);
	else
		value = reg_get(c, i->dst, 2);
	value = (value & low) | (c->state.cr0 & (CR0_PE | ~low));
	gp_unless(c, mode_set_cr0(c, value));
	soft_attend(c);
}

static void exec_smsw(struct soft *c, const struct insn *i)
{
	sys_need_umip(c);
	sys_store_word(c, i, c->state.cr0);
}

/* ---- debug registers ------------------------------------------------------------------------- */

/* Number after the aliases of DR4 and DR5; leaves for whoever may not touch it now. */
static unsigned int debug_register(struct soft *c, unsigned int n)
{
	struct cpu_state *s = &c->state;

	sys_need_cpl0(c);
	if (n == 4 || n == 5) {
		if (s->cr4 & CR4_DE)
			soft_raise(c, VEC_UD);
		n += 2;
	}
	if (s->dr7 & DR7_GD) {
		s->dr6 |= DR6_BD;
		soft_raise(c, VEC_DB);
	}
	return n;
}

static void exec_from_dr(struct soft *c, const struct insn *i)
{
	const struct cpu_state *s = &c->state;
	unsigned int n;

	if (i->src > 7)
		soft_raise(c, VEC_UD);
	n = debug_register(c, i->src);
	reg_set(c, i->dst, c->mode == 8 ? 8 : 4, n == 6 ? s->dr6 : n == 7 ? s->dr7 : s->dr[n]);
}

static void exec_to_dr(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	uint64_t value = reg_get(c, i->src, c->mode == 8 ? 8 : 4);
	unsigned int n;

	if (i->dst > 7)
		soft_raise(c, VEC_UD);
	n = debug_register(c, i->dst);
	if (n < 4) {
		s->dr[n] = value;
		return;
	}
	gp_unless(c, !(value >> 32));
	if (n == 6)
		s->dr6 = (value & DR6_SETTABLE) | DR6_FIXED;
	else
		s->dr7 = (value & 0xffff2bff) | DR7_FIXED;
	soft_attend(c);
}

/* ---- translations ---------------------------------------------------------------------------- */

static void exec_invlpg(struct soft *c, const struct insn *i)
{
	uint64_t lin = soft_ea(c, i);

	sys_need_cpl0(c);
	if (c->mode != 8)
		lin = (uint32_t)(lin + c->state.seg[i->seg].base);
	else if (i->seg >= CPU_FS)
		lin += c->state.seg[i->seg].base;
	soft_tlb_flush_page(c, lin);
}

/* The cache knows no PCID: every kind drops all. */
static void exec_invpcid(struct soft *c, const struct insn *i)
{
	uint64_t type = reg_get(c, i->dst, c->mode == 8 ? 8 : 4);
	uint64_t lin, pcid, addr;

	if (!soft_has(c, FEATURE_INVPCID))
		soft_raise(c, VEC_UD);
	sys_need_cpl0(c);
	lin = soft_mem(c, i, 16, ACCESS_READ);
	pcid = soft_load(c, lin, 8);
	addr = soft_load(c, lin + 8, 8);
	gp_unless(c, type <= 3 && !(pcid >> 12));
	if (type < 2)
		gp_unless(c, !pcid || (c->state.cr4 & CR4_PCIDE));
	if (type == 0)
		gp_unless(c, sys_canonical(c, addr));
	soft_tlb_flush(c);
}

static soft_exec *select_mov(const struct soft_decoded *d)
{
	if (decoded_class(d, 0) == ZYDIS_REGCLASS_CONTROL)
		return exec_to_cr;
	if (decoded_class(d, 1) == ZYDIS_REGCLASS_CONTROL)
		return exec_from_cr;
	if (decoded_class(d, 0) == ZYDIS_REGCLASS_DEBUG)
		return exec_to_dr;
	if (decoded_class(d, 1) == ZYDIS_REGCLASS_DEBUG)
		return exec_from_dr;
	return NULL;
}

soft_exec *control_select(const struct soft_decoded *d)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return select_mov(d);
	case ZYDIS_MNEMONIC_CLTS:
		return exec_clts;
	case ZYDIS_MNEMONIC_LMSW:
		return exec_lmsw;
	case ZYDIS_MNEMONIC_SMSW:
		return exec_smsw;
	case ZYDIS_MNEMONIC_INVLPG:
		return exec_invlpg;
	case ZYDIS_MNEMONIC_INVPCID:
		return exec_invpcid;
	default:
		return NULL;
	}
}
