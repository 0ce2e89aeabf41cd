/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Far JMP, CALL and RET, also through call gates, to tasks and to other privileges. */
#include "cpu/soft/far.h"
#include "cpu/soft/decode.h"

static uint64_t size_mask(unsigned int size)
{
	return size == 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

static uint16_t far_pointer(struct soft *c, const struct insn *i, uint64_t *offset)
{
	uint64_t lin;

	if (!(i->flags & INSN_MEM)) {
		*offset = i->imm & size_mask(i->size);
		return i->imm2;
	}
	lin = soft_mem(c, i, i->size + 2, ACCESS_READ);
	*offset = soft_load(c, lin, i->size);
	return soft_load(c, lin + i->size, 2);
}

void far_check_rip(struct soft *c, const struct cpu_seg *cs, uint64_t rip)
{
	if (c->long_mode && cs->l ? !sys_canonical(c, rip) : (uint32_t)rip > cs->limit)
		soft_raise_error(c, VEC_GP, 0);
}

void far_commit(struct soft *c, const struct cpu_seg *cs, uint64_t rip)
{
	c->state.seg[CPU_CS] = *cs;
	soft_mode_changed(c);
	soft_attend(c);
	soft_jump(c, rip);
}

void far_real_cs(struct soft *c, struct cpu_seg *cs, uint16_t sel, uint64_t rip)
{
	*cs = c->state.seg[CPU_CS];
	seg_set_real(c, cs, sel);
	far_check_rip(c, cs, rip);
}

static void push_return(struct soft *c, struct stack *st, unsigned int size)
{
	uint64_t frame[2] = { c->state.seg[CPU_CS].sel, soft_next_rip(c) };

	stack_current(c, st);
	stack_push(c, st, frame, 2, size);
}

/* ---- to a code segment ----------------------------------------------------------------------- */

static void direct_target(struct soft *c, uint16_t sel, struct desc *d, uint64_t rip,
			  struct cpu_seg *cs)
{
	bool bad = desc_is_conforming(d) ? desc_dpl(d) > c->cpl
					 : (sel & 3u) > c->cpl || desc_dpl(d) != c->cpl;

	if (bad || (c->long_mode && desc_l(d) && desc_db(d)))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	seg_from_desc(cs, (sel & ~3u) | c->cpl, d);
	cs->type |= DESC_ACCESSED;
	far_check_rip(c, cs, rip);
}

static void go_direct(struct soft *c, const struct insn *i, bool call, uint16_t sel, struct desc *d,
		      uint64_t rip)
{
	struct cpu_seg cs;
	struct stack st;

	direct_target(c, sel, d, rip, &cs);
	seg_set_accessed(c, d);
	if (call) {
		push_return(c, &st, i->size);
		stack_commit(c, &st);
	}
	far_commit(c, &cs, rip);
}

/* ---- through a call gate --------------------------------------------------------------------- */

static void check_gate(struct soft *c, uint16_t sel, struct desc *gate)
{
	if (desc_dpl(gate) < c->cpl || desc_dpl(gate) < (sel & 3u))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(gate))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	if (!c->long_mode)
		return;
	if (!seg_read(c, sel, true, gate) || (gate->hi >> 40 & 31))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	gate->hi &= UINT32_MAX;
}

/* Returns the privilege that the gate leads to. */
static unsigned int gate_target(struct soft *c, const struct desc *gate, bool call,
				struct desc *code)
{
	uint16_t sel = gate_selector(gate);

	if (sel_is_null(sel))
		soft_raise_error(c, VEC_GP, 0);
	if (!seg_read(c, sel, false, code) || !desc_is_code(code) || desc_dpl(code) > c->cpl)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!call && !desc_is_conforming(code) && desc_dpl(code) != c->cpl)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (c->long_mode && (!desc_l(code) || desc_db(code)))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(code))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	return desc_is_conforming(code) ? c->cpl : desc_dpl(code);
}

static void push_inner_long(struct soft *c, unsigned int cpl, struct stack *st)
{
	const struct cpu_state *s = &c->state;
	uint64_t frame[4] = { s->seg[CPU_SS].sel, s->gpr[CPU_RSP], s->seg[CPU_CS].sel,
			      soft_next_rip(c) };
	struct cpu_seg ss;

	seg_set_null(&ss, cpl, cpl);
	stack_new(c, st, &ss, tss_rsp(c, cpl), cpl);
	stack_push(c, st, frame, 4, 8);
}

static void push_inner_legacy(struct soft *c, const struct desc *gate, unsigned int cpl,
			      struct stack *st)
{
	const struct cpu_state *s = &c->state;
	unsigned int size = desc_type(gate) == DESC_CALL32 ? 4 : 2;
	unsigned int params = gate->lo >> 32 & 31, nr = 0;
	uint64_t frame[35];
	struct stack old;
	struct cpu_seg ss;
	uint16_t sel;
	uint32_t esp;

	tss_inner_stack(c, cpl, &sel, &esp);
	if (sel_is_null(sel))
		soft_raise_error(c, VEC_TS, 0);
	seg_check_ss(c, sel, cpl, VEC_TS, &ss);
	stack_current(c, &old);
	frame[nr++] = s->seg[CPU_SS].sel;
	frame[nr++] = s->gpr[CPU_RSP];
	while (params)
		frame[nr++] = stack_peek(c, &old, --params, size);
	frame[nr++] = s->seg[CPU_CS].sel;
	frame[nr++] = soft_next_rip(c);
	stack_new(c, st, &ss, esp, cpl);
	stack_push(c, st, frame, nr, size);
}

static void go_through_gate(struct soft *c, bool call, uint16_t sel, struct desc *gate)
{
	struct desc code;
	struct cpu_seg cs;
	struct stack st;
	unsigned int cpl;
	uint64_t rip;

	check_gate(c, sel, gate);
	cpl = gate_target(c, gate, call, &code);
	rip = gate_offset(gate);
	if (desc_type(gate) == DESC_CALL16)
		rip &= 0xffff;
	seg_from_desc(&cs, (gate_selector(gate) & ~3u) | cpl, &code);
	cs.type |= DESC_ACCESSED;
	far_check_rip(c, &cs, rip);
	seg_set_accessed(c, &code);
	if (call) {
		if (cpl == c->cpl)
			push_return(c, &st,
				    c->long_mode		     ? 8
				    : desc_type(gate) == DESC_CALL32 ? 4
								     : 2);
		else if (c->long_mode)
			push_inner_long(c, cpl, &st);
		else
			push_inner_legacy(c, gate, cpl, &st);
		stack_commit(c, &st);
	}
	far_commit(c, &cs, rip);
}

/* ---- JMP and CALL ---------------------------------------------------------------------------- */

static void go_task(struct soft *c, bool call, uint16_t sel, struct desc *d)
{
	uint16_t tss = sel;
	uint64_t rip;

	if (desc_dpl(d) < c->cpl || desc_dpl(d) < (sel & 3u))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (desc_type(d) == DESC_TASK_GATE) {
		if (!desc_p(d))
			soft_raise_error(c, VEC_NP, sel_error(sel));
		tss = gate_selector(d);
	}
	rip = task_switch(c, tss, call ? TASK_CALL : TASK_JUMP, soft_next_rip(c), false, 0);
	soft_attend(c);
	soft_jump(c, rip);
}

static void go_system(struct soft *c, bool call, uint16_t sel, struct desc *d)
{
	switch (desc_type(d)) {
	case DESC_CALL16:
		if (c->long_mode)
			break;
		go_through_gate(c, call, sel, d);
		return;
	case DESC_CALL32:
		go_through_gate(c, call, sel, d);
		return;
	case DESC_TSS16:
	case DESC_TSS32:
	case DESC_TASK_GATE:
		if (c->long_mode)
			break;
		go_task(c, call, sel, d);
		return;
	default:
		break;
	}
	soft_raise_error(c, VEC_GP, sel_error(sel));
}

static void go_real(struct soft *c, const struct insn *i, bool call, uint16_t sel, uint64_t rip)
{
	struct cpu_seg cs;
	struct stack st;

	far_real_cs(c, &cs, sel, rip);
	if (call) {
		push_return(c, &st, i->size);
		stack_commit(c, &st);
	}
	far_commit(c, &cs, rip);
}

static void go_far(struct soft *c, const struct insn *i, bool call)
{
	uint64_t rip;
	uint16_t sel = far_pointer(c, i, &rip);
	struct desc d;

	if (sys_real_segments(c)) {
		go_real(c, i, call, sel, rip);
		return;
	}
	if (sel_is_null(sel))
		soft_raise_error(c, VEC_GP, 0);
	if (!seg_read(c, sel, false, &d))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (desc_is_code(&d))
		go_direct(c, i, call, sel, &d, rip);
	else if (desc_s(&d))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	else
		go_system(c, call, sel, &d);
}

static void exec_jmp_far(struct soft *c, const struct insn *i)
{
	go_far(c, i, false);
}

static void exec_call_far(struct soft *c, const struct insn *i)
{
	go_far(c, i, true);
}

/* ---- returns (IRET uses these too) ----------------------------------------------------------- */

void far_return_cs(struct soft *c, uint16_t sel, uint64_t rip, struct cpu_seg *cs)
{
	unsigned int rpl = sel & 3;
	struct desc d;

	if (sel_is_null(sel))
		soft_raise_error(c, VEC_GP, 0);
	if (!seg_read(c, sel, false, &d) || !desc_is_code(&d) || rpl < c->cpl)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (c->long_mode && desc_l(&d) && desc_db(&d))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	seg_from_desc(cs, sel, &d);
	far_check_rip(c, cs, rip);
	seg_set_accessed(c, &d);
	cs->type |= DESC_ACCESSED;
}

void far_return_stack(struct soft *c, const struct cpu_seg *cs, uint16_t sel, uint64_t sp,
		      struct stack *st)
{
	unsigned int cpl = cs->sel & 3;
	bool to_64 = c->long_mode && cs->l;
	struct cpu_seg ss;

	if (sel_is_null(sel)) {
		if (!to_64 || cpl == 3 || (sel & 3u) != cpl)
			soft_raise_error(c, VEC_GP, 0);
		seg_set_null(&ss, sel, cpl);
	} else {
		seg_check_ss(c, sel, cpl, VEC_GP, &ss);
	}
	stack_new(c, st, &ss, sp, cpl);
	st->size = to_64 ? 8 : ss.db ? 4 : 2;
	/* A 16-bit stack keeps what was in the upper part of ESP. */
	if (st->size == 2)
		st->sp = (c->state.gpr[CPU_RSP] & ~0xffffull) | (sp & 0xffff);
}

void far_drop_inner(struct soft *c, unsigned int cpl)
{
	static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	unsigned int n;

	for (n = 0; n < sizeof(data); n++)
		seg_drop_inner(&c->state.seg[data[n]], cpl);
}

static void exec_ret_far(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size, drop = 2 * size + (uint16_t)i->imm;
	uint64_t rip, sp;
	struct cpu_seg cs;
	struct stack st, outer;
	uint16_t sel, ss;
	unsigned int cpl;

	stack_current(c, &st);
	rip = stack_peek(c, &st, 0, size);
	sel = stack_peek(c, &st, 1, size);
	if (sys_real_segments(c))
		far_real_cs(c, &cs, sel, rip);
	else
		far_return_cs(c, sel, rip, &cs);
	cpl = sys_real_segments(c) ? c->cpl : sel & 3u;
	stack_drop(&st, drop);
	if (cpl != c->cpl) {
		sp = stack_peek(c, &st, 0, size);
		ss = stack_peek(c, &st, 1, size);
		far_return_stack(c, &cs, ss, sp, &outer);
		stack_drop(&outer, (uint16_t)i->imm);
		far_drop_inner(c, cpl);
		st = outer;
	}
	stack_commit(c, &st);
	far_commit(c, &cs, rip);
}

/* Where the operand width is not what the transfer goes by. */
static uint8_t transfer_size(const struct soft_decoded *d, uint8_t size)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_IRET:
		return 2;
	case ZYDIS_MNEMONIC_IRETD:
		return 4;
	case ZYDIS_MNEMONIC_IRETQ:
		return 8;
	case ZYDIS_MNEMONIC_SYSRET:
	case ZYDIS_MNEMONIC_SYSEXIT:
		return d->in->raw.rex.W ? 8 : 4;
	case ZYDIS_MNEMONIC_RET:
		if (d->mode == 8)
			return d->in->raw.rex.W ? 8 : size == 2 ? 2 : 4;
		return size;
	default:
		return size;
	}
}

bool soft_select_far(const struct soft_decoded *d, struct insn *i)
{
	soft_exec *exec = NULL;

	if (d->in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
		if (d->in->mnemonic == ZYDIS_MNEMONIC_JMP)
			exec = exec_jmp_far;
		else if (d->in->mnemonic == ZYDIS_MNEMONIC_CALL)
			exec = exec_call_far;
		else if (d->in->mnemonic == ZYDIS_MNEMONIC_RET)
			exec = exec_ret_far;
	}
	if (!exec)
		exec = far_select_interrupt(d);
	if (!exec)
		exec = far_select_syscall(d);
	if (!exec)
		return false;
	i->exec = exec;
	i->size = transfer_size(d, i->size);
	i->flags |= INSN_ENDS_BLOCK;
	return true;
}
