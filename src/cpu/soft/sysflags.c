/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* System flags: interrupts, PUSHF and POPF, access to user pages. */
#include "cpu/soft/control.h"
#include "cpu/soft/decode.h"

static void need_iopl(struct soft *c)
{
	if (sys_protected(c) && c->cpl > sys_iopl(c))
		soft_raise_error(c, VEC_GP, 0);
}

static void exec_cli(struct soft *c, const struct insn *i)
{
	need_iopl(c);
	soft_set_rflags(c, soft_rflags(c) & ~(uint64_t)RFLAGS_IF);
	soft_attend(c);
}

static void exec_sti(struct soft *c, const struct insn *i)
{
	uint64_t flags = soft_rflags(c);

	need_iopl(c);
	if (!(flags & RFLAGS_IF))
		c->state.interrupt_shadow |= CPU_SHADOW_STI;
	soft_set_rflags(c, flags | RFLAGS_IF);
	soft_attend(c);
}

/* Virtual-8086 code may see its flags only with IOPL 3. */
static void need_v86_iopl(struct soft *c)
{
	if (sys_v86(c) && sys_iopl(c) < 3)
		soft_raise_error(c, VEC_GP, 0);
}

static void exec_pushf(struct soft *c, const struct insn *i)
{
	uint64_t flags = soft_rflags(c) & ~(uint64_t)(RFLAGS_VM | RFLAGS_RF);
	uint64_t lin;

	need_v86_iopl(c);
	lin = soft_stack_linear(c, -(int64_t)i->size, i->size, ACCESS_WRITE);
	soft_store(c, lin, i->size, flags);
	soft_stack_move(c, -(int64_t)i->size);
}

static void exec_popf(struct soft *c, const struct insn *i)
{
	uint64_t may = RFLAGS_ANY, popped;

	need_v86_iopl(c);
	popped = soft_load(c, soft_stack_linear(c, 0, i->size, ACCESS_READ), i->size);
	if (i->size > 2)
		may |= RFLAGS_AC | RFLAGS_ID;
	if (c->cpl == 0)
		may |= RFLAGS_IOPL;
	if (!sys_protected(c) || c->cpl <= sys_iopl(c))
		may |= RFLAGS_IF;
	soft_stack_move(c, i->size);
	soft_set_rflags(c, (soft_rflags(c) & ~(may | RFLAGS_RF)) | (popped & may) | RFLAGS_ONE);
	soft_attend(c);
}

static void need_smap(struct soft *c)
{
	if (c->cpl || !soft_has(c, FEATURE_SMAP))
		soft_raise(c, VEC_UD);
}

static void exec_stac(struct soft *c, const struct insn *i)
{
	need_smap(c);
	soft_set_rflags(c, soft_rflags(c) | RFLAGS_AC);
}

static void exec_clac(struct soft *c, const struct insn *i)
{
	need_smap(c);
	soft_set_rflags(c, soft_rflags(c) & ~(uint64_t)RFLAGS_AC);
}

soft_exec *flag_select(const struct soft_decoded *d)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
		return exec_cli;
	case ZYDIS_MNEMONIC_STI:
		return exec_sti;
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return exec_pushf;
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		return exec_popf;
	case ZYDIS_MNEMONIC_STAC:
		return exec_stac;
	case ZYDIS_MNEMONIC_CLAC:
		return exec_clac;
	default:
		return NULL;
	}
}
