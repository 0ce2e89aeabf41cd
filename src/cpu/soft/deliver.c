/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Delivery of an interrupt or exception through the vector table of the mode.
 *
 * The frame, in the order it is pushed; the parts in brackets only where marked:
 *
 *	real		flags CS IP
 *	protected	[GS FS DS ES: from virtual-8086] [SS ESP: to an inner privilege]
 *			flags CS EIP [error]			16- or 32-bit by the gate
 *	long		SS RSP flags CS RIP [error]		always, on a 16-byte boundary
 */
#include "cpu/soft/sys.h"

static uint32_t idt_error(const struct delivery *d)
{
	return d->vector * 8u + 2;
}

static uint64_t deliver_real(struct soft *c, const struct delivery *d)
{
	struct cpu_state *s = &c->state;
	uint64_t frame[3] = { d->flags, s->seg[CPU_CS].sel, d->rip };
	struct stack st;
	uint32_t entry;

	if (d->vector * 4u + 3 > s->idt.limit)
		soft_raise_error(c, VEC_GP, idt_error(d));
	entry = soft_load_sys(c, s->idt.base + d->vector * 4u, 4);
	stack_current(c, &st);
	stack_push(c, &st, frame, 3, 2);
	stack_commit(c, &st);
	seg_set_real(c, &s->seg[CPU_CS], entry >> 16);
	soft_set_rflags(c, soft_rflags(c) &
				   ~(uint64_t)(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF));
	return entry & 0xffff;
}

static bool gate_type_ok(const struct soft *c, const struct desc *gate)
{
	if (desc_s(gate))
		return false;
	switch (desc_type(gate)) {
	case DESC_INT32:
	case DESC_TRAP32:
		return true;
	case DESC_INT16:
	case DESC_TRAP16:
	case DESC_TASK_GATE:
		return !c->long_mode;
	default:
		return false;
	}
}

static void read_gate(struct soft *c, const struct delivery *d, struct desc *gate)
{
	unsigned int size = c->long_mode ? 16 : 8;
	uint32_t at = d->vector * size;

	if (at + size - 1 > c->state.idt.limit)
		soft_raise_error(c, VEC_GP, idt_error(d));
	gate->lin = c->state.idt.base + at;
	gate->lo = soft_load_sys(c, gate->lin, 8);
	gate->hi = c->long_mode ? soft_load_sys(c, gate->lin + 8, 8) : 0;
	if (!gate_type_ok(c, gate) || (d->software && desc_dpl(gate) < c->cpl))
		soft_raise_error(c, VEC_GP, idt_error(d));
	if (!desc_p(gate))
		soft_raise_error(c, VEC_NP, idt_error(d));
}

/* The gate's code segment; returns the privilege the handler runs at. */
static unsigned int read_target(struct soft *c, uint16_t sel, struct desc *code)
{
	unsigned int cpl;

	if (sel_is_null(sel))
		soft_raise_error(c, VEC_GP, 0);
	if (!seg_read(c, sel, false, code) || !desc_is_code(code) || desc_dpl(code) > c->cpl)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (c->long_mode && (!desc_l(code) || desc_db(code)))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(code))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	cpl = desc_is_conforming(code) ? c->cpl : desc_dpl(code);
	if (sys_v86(c) && cpl != 0)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	return cpl;
}

static void enter_handler(struct soft *c, const struct desc *gate, struct desc *code,
			  const struct stack *st)
{
	struct cpu_state *s = &c->state;
	uint64_t clear = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;

	if (!(desc_type(gate) & 1))
		clear |= RFLAGS_IF;
	stack_commit(c, st);
	seg_from_desc(&s->seg[CPU_CS], (gate_selector(gate) & ~3u) | st->cpl, code);
	soft_set_rflags(c, soft_rflags(c) & ~clear);
	soft_mode_changed(c);
}

static void choose_long_stack(struct soft *c, const struct desc *gate, unsigned int cpl,
			      struct stack *st)
{
	unsigned int ist = gate->lo >> 32 & 7;
	struct cpu_seg ss = c->state.seg[CPU_SS];
	uint64_t rsp = c->state.gpr[CPU_RSP];

	if (ist)
		rsp = tss_rsp(c, 3 + ist);
	else if (cpl != c->cpl)
		rsp = tss_rsp(c, cpl);
	if (cpl != c->cpl)
		seg_set_null(&ss, cpl, cpl);
	stack_new(c, st, &ss, rsp & ~15ull, cpl);
}

static uint64_t deliver_long(struct soft *c, const struct delivery *d)
{
	struct cpu_state *s = &c->state;
	uint64_t frame[6] = { s->seg[CPU_SS].sel, s->gpr[CPU_RSP], d->flags,
			      s->seg[CPU_CS].sel, d->rip,	   d->error };
	struct desc gate, code;
	struct stack st;
	unsigned int cpl;
	uint64_t rip;

	read_gate(c, d, &gate);
	cpl = read_target(c, gate_selector(&gate), &code);
	choose_long_stack(c, &gate, cpl, &st);
	rip = gate_offset(&gate);
	if (!sys_canonical(c, rip))
		soft_raise_error(c, VEC_GP, 0);
	seg_set_accessed(c, &code);
	stack_push(c, &st, frame, d->has_error ? 6 : 5, 8);
	enter_handler(c, &gate, &code, &st);
	return rip;
}

static void choose_legacy_stack(struct soft *c, unsigned int cpl, struct stack *st)
{
	struct cpu_seg ss;
	uint16_t sel;
	uint32_t esp;

	if (cpl == c->cpl) {
		stack_current(c, st);
		return;
	}
	tss_inner_stack(c, cpl, &sel, &esp);
	if (sel_is_null(sel))
		soft_raise_error(c, VEC_TS, 0);
	seg_check_ss(c, sel, cpl, VEC_TS, &ss);
	stack_new(c, st, &ss, esp, cpl);
}

static unsigned int legacy_frame(struct soft *c, const struct delivery *d, bool inner,
				 uint64_t frame[10])
{
	const struct cpu_state *s = &c->state;
	unsigned int nr = 0;

	if (sys_v86(c)) {
		frame[nr++] = s->seg[CPU_GS].sel;
		frame[nr++] = s->seg[CPU_FS].sel;
		frame[nr++] = s->seg[CPU_DS].sel;
		frame[nr++] = s->seg[CPU_ES].sel;
	}
	if (inner) {
		frame[nr++] = s->seg[CPU_SS].sel;
		frame[nr++] = s->gpr[CPU_RSP];
	}
	frame[nr++] = d->flags;
	frame[nr++] = s->seg[CPU_CS].sel;
	frame[nr++] = d->rip;
	if (d->has_error)
		frame[nr++] = d->error;
	return nr;
}

static uint64_t deliver_legacy(struct soft *c, const struct delivery *d)
{
	bool from_v86 = sys_v86(c);
	struct desc gate, code;
	struct stack st;
	uint64_t frame[10], rip;
	unsigned int cpl, nr, seg;
	struct cpu_seg target;

	read_gate(c, d, &gate);
	if (desc_type(&gate) == DESC_TASK_GATE)
		return task_switch(c, gate_selector(&gate), TASK_CALL, d->rip, d->has_error,
				   d->error);
	cpl = read_target(c, gate_selector(&gate), &code);
	choose_legacy_stack(c, cpl, &st);
	rip = gate_offset(&gate);
	if (!(desc_type(&gate) & 8))
		rip &= 0xffff;
	seg_from_desc(&target, 0, &code);
	if (rip > target.limit)
		soft_raise_error(c, VEC_GP, 0);
	seg_set_accessed(c, &code);
	nr = legacy_frame(c, d, cpl != c->cpl, frame);
	stack_push(c, &st, frame, nr, desc_type(&gate) & 8 ? 4 : 2);
	enter_handler(c, &gate, &code, &st);
	for (seg = 0; from_v86 && seg < CPU_NR_SEGS; seg++)
		if (seg != CPU_CS && seg != CPU_SS)
			seg_set_null(&c->state.seg[seg], 0, 0);
	return rip;
}

uint64_t deliver_event(struct soft *c, const struct delivery *d)
{
	if (!sys_protected(c))
		return deliver_real(c, d);
	return c->long_mode ? deliver_long(c, d) : deliver_legacy(c, d);
}
