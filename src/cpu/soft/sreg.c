/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Segment registers: MOV, PUSH, POP, LDS and its kin; FS and GS bases. */
#include "cpu/soft/control.h"
#include "cpu/soft/decode.h"

/* An event must not come between the load of SS and that of the stack pointer. */
static void loaded(struct soft *c, unsigned int seg)
{
	if (seg == CPU_SS) {
		c->state.interrupt_shadow |= CPU_SHADOW_MOV_SS;
		soft_mode_changed(c);
		soft_attend(c);
	}
}

static void exec_to_sreg(struct soft *c, const struct insn *i)
{
	uint16_t sel;

	if (i->dst == CPU_CS)
		soft_raise(c, VEC_UD);
	if (i->flags & INSN_MEM)
		sel = soft_load(c, soft_mem(c, i, 2, ACCESS_READ), 2);
	else
		sel = reg_get(c, i->src, 2);
	soft_load_segment(c, i->dst, sel);
	loaded(c, i->dst);
}

static void exec_from_sreg(struct soft *c, const struct insn *i)
{
	sys_store_word(c, i, c->state.seg[i->src].sel);
}

static void exec_push_sreg(struct soft *c, const struct insn *i)
{
	uint64_t lin = soft_stack_linear(c, -(int64_t)i->size, i->size, ACCESS_WRITE);

	/* 32-bit pushes write only the selector's two bytes. */
	soft_store(c, lin, i->size == 4 ? 2 : i->size, c->state.seg[i->dst].sel);
	soft_stack_move(c, -(int64_t)i->size);
}

static void exec_pop_sreg(struct soft *c, const struct insn *i)
{
	uint16_t sel = soft_load(c, soft_stack_linear(c, 0, i->size, ACCESS_READ), i->size);
	struct stack old;

	/* rSP moves with the width that the old SS gives it. */
	stack_current(c, &old);
	stack_drop(&old, i->size);
	soft_load_segment(c, i->dst, sel);
	c->state.gpr[CPU_RSP] = old.sp;
	loaded(c, i->dst);
}

static void load_far(struct soft *c, const struct insn *i, unsigned int seg)
{
	uint64_t lin = soft_mem(c, i, i->size + 2, ACCESS_READ);
	uint64_t offset = soft_load(c, lin, i->size);

	soft_load_segment(c, seg, soft_load(c, lin + i->size, 2));
	reg_set(c, i->dst, i->size, offset);
	loaded(c, seg);
}

static void exec_lds(struct soft *c, const struct insn *i)
{
	load_far(c, i, CPU_DS);
}

static void exec_les(struct soft *c, const struct insn *i)
{
	load_far(c, i, CPU_ES);
}

static void exec_lfs(struct soft *c, const struct insn *i)
{
	load_far(c, i, CPU_FS);
}

static void exec_lgs(struct soft *c, const struct insn *i)
{
	load_far(c, i, CPU_GS);
}

static void exec_lss(struct soft *c, const struct insn *i)
{
	load_far(c, i, CPU_SS);
}

/* ---- bases ----------------------------------------------------------------------------------- */

static void need_fsgsbase(struct soft *c)
{
	if (c->mode != 8 || !(c->state.cr4 & CR4_FSGSBASE))
		soft_raise(c, VEC_UD);
}

static void read_base(struct soft *c, const struct insn *i, unsigned int seg)
{
	need_fsgsbase(c);
	reg_set(c, i->dst, i->size, c->state.seg[seg].base);
}

static void write_base(struct soft *c, const struct insn *i, unsigned int seg)
{
	uint64_t base = reg_get(c, i->dst, i->size);

	need_fsgsbase(c);
	if (!sys_canonical(c, base))
		soft_raise_error(c, VEC_GP, 0);
	c->state.seg[seg].base = base;
}

static void exec_rdfsbase(struct soft *c, const struct insn *i)
{
	read_base(c, i, CPU_FS);
}

static void exec_rdgsbase(struct soft *c, const struct insn *i)
{
	read_base(c, i, CPU_GS);
}

static void exec_wrfsbase(struct soft *c, const struct insn *i)
{
	write_base(c, i, CPU_FS);
}

static void exec_wrgsbase(struct soft *c, const struct insn *i)
{
	write_base(c, i, CPU_GS);
}

static void exec_swapgs(struct soft *c, const struct insn *i)
{
	uint64_t base = c->state.seg[CPU_GS].base;

	if (c->mode != 8)
		soft_raise(c, VEC_UD);
	sys_need_cpl0(c);
	c->state.seg[CPU_GS].base = c->state.kernel_gs_base;
	c->state.kernel_gs_base = base;
}

/* ---- BOUND ----------------------------------------------------------------------------------- */

static int64_t sign_extend(uint64_t value, unsigned int size)
{
	return size == 2 ? (int16_t)value : (int32_t)value;
}

static void exec_bound(struct soft *c, const struct insn *i)
{
	uint64_t lin = soft_mem(c, i, 2 * i->size, ACCESS_READ);
	int64_t lower = sign_extend(soft_load(c, lin, i->size), i->size);
	int64_t upper = sign_extend(soft_load(c, lin + i->size, i->size), i->size);
	int64_t index = sign_extend(reg_get(c, i->dst, i->size), i->size);

	if (index < lower || index > upper)
		soft_raise(c, VEC_BR);
}

static soft_exec *select_by_operand(const struct soft_decoded *d)
{
	bool first = decoded_class(d, 0) == ZYDIS_REGCLASS_SEGMENT;

	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		if (first)
			return exec_to_sreg;
		return decoded_class(d, 1) == ZYDIS_REGCLASS_SEGMENT ? exec_from_sreg : NULL;
	case ZYDIS_MNEMONIC_PUSH:
		return first ? exec_push_sreg : NULL;
	case ZYDIS_MNEMONIC_POP:
		return first ? exec_pop_sreg : NULL;
	default:
		return NULL;
	}
}

soft_exec *segment_select(const struct soft_decoded *d)
{
	static const struct {
		uint16_t mnemonic;
		soft_exec *exec;
	} table[] = {
		{ ZYDIS_MNEMONIC_LDS, exec_lds },
		{ ZYDIS_MNEMONIC_LES, exec_les },
		{ ZYDIS_MNEMONIC_LFS, exec_lfs },
		{ ZYDIS_MNEMONIC_LGS, exec_lgs },
		{ ZYDIS_MNEMONIC_LSS, exec_lss },
		{ ZYDIS_MNEMONIC_RDFSBASE, exec_rdfsbase },
		{ ZYDIS_MNEMONIC_RDGSBASE, exec_rdgsbase },
		{ ZYDIS_MNEMONIC_WRFSBASE, exec_wrfsbase },
		{ ZYDIS_MNEMONIC_WRGSBASE, exec_wrgsbase },
		{ ZYDIS_MNEMONIC_SWAPGS, exec_swapgs },
		{ ZYDIS_MNEMONIC_BOUND, exec_bound },
	};
	unsigned int n;

	for (n = 0; n < sizeof(table) / sizeof(table[0]); n++)
		if (table[n].mnemonic == d->in->mnemonic)
			return table[n].exec;
	return select_by_operand(d);
}
