/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Descriptor tables: their registers, and instructions that only look at a descriptor. */
#include "cpu/soft/control.h"
#include "cpu/soft/decode.h"

/* ---- GDTR and IDTR --------------------------------------------------------------------------- */

static void load_table(struct soft *c, const struct insn *i, struct cpu_table *table)
{
	unsigned int wide = c->mode == 8 ? 8 : 4;
	uint64_t lin, base;
	uint16_t limit;

	sys_need_cpl0(c);
	lin = soft_mem(c, i, 2 + wide, ACCESS_READ);
	limit = soft_load(c, lin, 2);
	base = soft_load(c, lin + 2, wide);
	if (wide == 4 && i->size == 2)
		base &= 0xffffff;
	if (wide == 8 && !sys_canonical(c, base))
		soft_raise_error(c, VEC_GP, 0);
	table->base = base;
	table->limit = limit;
}

static void store_table(struct soft *c, const struct insn *i, const struct cpu_table *table)
{
	unsigned int wide = c->mode == 8 ? 8 : 4;
	uint64_t lin;

	sys_need_umip(c);
	lin = soft_mem(c, i, 2 + wide, ACCESS_WRITE);
	soft_probe_write(c, lin, 2 + wide);
	soft_store(c, lin, 2, table->limit);
	soft_store(c, lin + 2, wide, table->base);
}

static void exec_lgdt(struct soft *c, const struct insn *i)
{
	load_table(c, i, &c->state.gdt);
}

static void exec_lidt(struct soft *c, const struct insn *i)
{
	load_table(c, i, &c->state.idt);
}

static void exec_sgdt(struct soft *c, const struct insn *i)
{
	store_table(c, i, &c->state.gdt);
}

static void exec_sidt(struct soft *c, const struct insn *i)
{
	store_table(c, i, &c->state.idt);
}

/* ---- LDTR and TR ----------------------------------------------------------------------------- */

static void need_descriptors(struct soft *c)
{
	if (sys_real_segments(c))
		soft_raise(c, VEC_UD);
}

static uint16_t load_word(struct soft *c, const struct insn *i)
{
	if (i->flags & INSN_MEM)
		return soft_load(c, soft_mem(c, i, 2, ACCESS_READ), 2);
	return reg_get(c, i->dst, 2);
}

static void exec_lldt(struct soft *c, const struct insn *i)
{
	need_descriptors(c);
	sys_need_cpl0(c);
	seg_load_ldt(c, load_word(c, i));
}

static void exec_ltr(struct soft *c, const struct insn *i)
{
	need_descriptors(c);
	sys_need_cpl0(c);
	seg_load_tr(c, load_word(c, i));
}

static void exec_sldt(struct soft *c, const struct insn *i)
{
	need_descriptors(c);
	sys_need_umip(c);
	sys_store_word(c, i, c->state.ldt.sel);
}

static void exec_str(struct soft *c, const struct insn *i)
{
	need_descriptors(c);
	sys_need_umip(c);
	sys_store_word(c, i, c->state.tr.sel);
}

/* ---- LAR, LSL, VERR, VERW, ARPL -------------------------------------------------------------- */

static void set_zf(struct soft *c, bool zf)
{
	uint64_t flags = soft_rflags(c) & ~(uint64_t)RFLAGS_ZF;

	soft_set_rflags(c, flags | (zf ? RFLAGS_ZF : 0));
}

static bool visible(const struct soft *c, uint16_t sel, const struct desc *d)
{
	if (desc_is_conforming(d))
		return true;
	return desc_dpl(d) >= c->cpl && desc_dpl(d) >= (sel & 3u);
}

#define TYPES_LAR_LONG \
	(1u << DESC_LDT | 1u << DESC_TSS32 | 1u << DESC_TSS32_BUSY | 1u << DESC_CALL32)
#define TYPES_LAR                                                                        \
	(TYPES_LAR_LONG | 1u << DESC_TSS16 | 1u << DESC_TSS16_BUSY | 1u << DESC_CALL16 | \
	 1u << DESC_TASK_GATE)
#define TYPES_LSL_LONG (1u << DESC_LDT | 1u << DESC_TSS32 | 1u << DESC_TSS32_BUSY)
#define TYPES_LSL (TYPES_LSL_LONG | 1u << DESC_TSS16 | 1u << DESC_TSS16_BUSY)

static bool look_up(struct soft *c, uint16_t sel, uint32_t system_types, struct desc *d)
{
	if (sel_is_null(sel) || !seg_read(c, sel, false, d))
		return false;
	if (!desc_s(d) && !(system_types >> desc_type(d) & 1))
		return false;
	return visible(c, sel, d);
}

/* The selector of LAR and LSL is the source operand. */
static uint16_t source_word(struct soft *c, const struct insn *i)
{
	if (i->flags & INSN_MEM)
		return soft_load(c, soft_mem(c, i, 2, ACCESS_READ), 2);
	return reg_get(c, i->src, 2);
}

static void exec_lar(struct soft *c, const struct insn *i)
{
	struct desc d;
	bool ok;

	need_descriptors(c);
	ok = look_up(c, source_word(c, i), c->long_mode ? TYPES_LAR_LONG : TYPES_LAR, &d);
	if (ok)
		reg_set(c, i->dst, i->size, d.lo >> 32 & (i->size == 2 ? 0xff00 : 0x00ffff00));
	set_zf(c, ok);
}

static void exec_lsl(struct soft *c, const struct insn *i)
{
	struct cpu_seg seg;
	struct desc d;
	bool ok;

	need_descriptors(c);
	ok = look_up(c, source_word(c, i), c->long_mode ? TYPES_LSL_LONG : TYPES_LSL, &d);
	if (ok) {
		d.hi = 0;
		seg_from_desc(&seg, 0, &d);
		reg_set(c, i->dst, i->size, seg.limit);
	}
	set_zf(c, ok);
}

static void exec_verr(struct soft *c, const struct insn *i)
{
	struct desc d;
	bool ok;

	need_descriptors(c);
	ok = look_up(c, load_word(c, i), 0, &d);
	set_zf(c, ok && (!desc_is_code(&d) || (desc_type(&d) & DESC_RW)));
}

static void exec_verw(struct soft *c, const struct insn *i)
{
	struct desc d;
	bool ok;

	need_descriptors(c);
	ok = look_up(c, load_word(c, i), 0, &d);
	set_zf(c, ok && desc_is_writable_data(&d));
}

static void exec_arpl(struct soft *c, const struct insn *i)
{
	uint16_t dst, rpl = reg_get(c, i->src, 2) & 3;
	uint64_t lin = 0;

	need_descriptors(c);
	if (i->flags & INSN_MEM) {
		lin = soft_mem(c, i, 2, ACCESS_WRITE);
		dst = soft_load(c, lin, 2);
	} else {
		dst = reg_get(c, i->dst, 2);
	}
	if ((dst & 3) >= rpl) {
		set_zf(c, false);
		return;
	}
	dst = (dst & ~3) | rpl;
	if (i->flags & INSN_MEM)
		soft_store(c, lin, 2, dst);
	else
		reg_set(c, i->dst, 2, dst);
	set_zf(c, true);
}

soft_exec *table_select(const struct soft_decoded *d)
{
	static const struct {
		uint16_t mnemonic;
		soft_exec *exec;
	} table[] = {
		{ ZYDIS_MNEMONIC_LGDT, exec_lgdt }, { ZYDIS_MNEMONIC_LIDT, exec_lidt },
		{ ZYDIS_MNEMONIC_SGDT, exec_sgdt }, { ZYDIS_MNEMONIC_SIDT, exec_sidt },
		{ ZYDIS_MNEMONIC_LLDT, exec_lldt }, { ZYDIS_MNEMONIC_LTR, exec_ltr },
		{ ZYDIS_MNEMONIC_SLDT, exec_sldt }, { ZYDIS_MNEMONIC_STR, exec_str },
		{ ZYDIS_MNEMONIC_LAR, exec_lar },   { ZYDIS_MNEMONIC_LSL, exec_lsl },
		{ ZYDIS_MNEMONIC_VERR, exec_verr }, { ZYDIS_MNEMONIC_VERW, exec_verw },
		{ ZYDIS_MNEMONIC_ARPL, exec_arpl },
	};
	unsigned int n;

	for (n = 0; n < sizeof(table) / sizeof(table[0]); n++)
		if (table[n].mnemonic == d->in->mnemonic)
			return table[n].exec;
	return NULL;
}
