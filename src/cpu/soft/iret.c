/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* INT n, INT3, INTO, INT1 and the return from interrupts. */
#include "cpu/soft/decode.h"
#include "cpu/soft/far.h"

static void interrupt(struct soft *c, uint8_t vector, unsigned int type)
{
	struct delivery d = {
		.vector = vector,
		.software = type != EVENT_INT1,
		.rip = soft_next_rip(c),
		.flags = soft_rflags(c) & ~(uint64_t)RFLAGS_RF,
	};
	uint64_t rip;

	delivery_begin(c, NULL, vector, type);
	rip = deliver_event(c, &d);
	delivery_end(c);
	soft_attend(c);
	soft_jump(c, rip);
}

static void exec_int(struct soft *c, const struct insn *i)
{
	if (sys_v86(c) && sys_iopl(c) < 3)
		soft_raise_error(c, VEC_GP, 0);
	interrupt(c, i->imm, EVENT_INT_N);
}

static void exec_int3(struct soft *c, const struct insn *i)
{
	if (c->debug_sw) {
		c->exit->reason = CPU_EXIT_DEBUG;
		c->exit->debug.exception = VEC_BP;
		c->exit->debug.pc = soft_rip(c);
		c->exit->debug.dr6 = c->state.dr6;
		c->exit->debug.dr7 = c->state.dr7;
		soft_leave(c, LEAVE_EXIT);
	}
	interrupt(c, VEC_BP, EVENT_INT3);
}

static void exec_into(struct soft *c, const struct insn *i)
{
	if (soft_rflags(c) & RFLAGS_OF)
		interrupt(c, VEC_OF, EVENT_INT3);
}

static void exec_int1(struct soft *c, const struct insn *i)
{
	interrupt(c, VEC_DB, EVENT_INT1);
}

/* ---- IRET ------------------------------------------------------------------------------------ */

struct iret {
	unsigned int size;
	uint64_t rip, flags;
	uint16_t cs;
	struct stack st;
};

/* The new flags; what may change goes by the privilege that returns. */
static uint64_t new_flags(struct soft *c, uint64_t popped, unsigned int size)
{
	uint64_t may = RFLAGS_ANY;

	if (size > 2)
		may |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	if (c->cpl <= sys_iopl(c))
		may |= RFLAGS_IF;
	if (c->cpl == 0)
		may |= RFLAGS_IOPL;
	if (c->cpl == 0 && size > 2)
		may |= RFLAGS_VIF | RFLAGS_VIP;
	return (soft_rflags(c) & ~(may | RFLAGS_RF)) | (popped & may) | RFLAGS_ONE;
}

static void finish(struct soft *c, const struct stack *st, const struct cpu_seg *cs, uint64_t flags,
		   uint64_t rip)
{
	stack_commit(c, st);
	soft_set_rflags(c, flags);
	c->state.nmi_masked = false;
	far_commit(c, cs, rip);
}

static void iret_real(struct soft *c, struct iret *r)
{
	struct cpu_seg cs;

	if (sys_v86(c) && sys_iopl(c) < 3)
		soft_raise_error(c, VEC_GP, 0);
	far_real_cs(c, &cs, r->cs, r->rip);
	stack_drop(&r->st, 3 * r->size);
	finish(c, &r->st, &cs, new_flags(c, r->flags, r->size), r->rip);
}

static void v86_segment(struct cpu_seg *seg, uint16_t sel)
{
	*seg = (struct cpu_seg){ .base = (uint32_t)sel << 4,
				 .limit = 0xffff,
				 .sel = sel,
				 .type = 3,
				 .s = 1,
				 .dpl = 3,
				 .p = 1 };
}

static void iret_to_v86(struct soft *c, struct iret *r)
{
	static const uint8_t order[] = { CPU_SS, CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	uint16_t sel[sizeof(order)];
	struct cpu_seg cs;
	unsigned int n;
	uint32_t esp = stack_peek(c, &r->st, 3, 4);
	uint64_t flags = new_flags(c, r->flags, 4) | RFLAGS_VM;

	for (n = 0; n < sizeof(order); n++)
		sel[n] = stack_peek(c, &r->st, 4 + n, 4);
	v86_segment(&cs, r->cs);
	far_check_rip(c, &cs, r->rip);
	for (n = 0; n < sizeof(order); n++)
		v86_segment(&c->state.seg[order[n]], sel[n]);
	r->st.ss = c->state.seg[CPU_SS];
	r->st.sp = esp;
	finish(c, &r->st, &cs, flags, r->rip);
}

static void iret_protected(struct soft *c, struct iret *r)
{
	unsigned int cpl = r->cs & 3;
	uint64_t flags = new_flags(c, r->flags, r->size);
	struct cpu_seg cs;
	struct stack st;
	uint64_t sp;

	far_return_cs(c, r->cs, r->rip, &cs);
	if (cpl == c->cpl && c->mode != 8) {
		stack_drop(&r->st, 3 * r->size);
		finish(c, &r->st, &cs, flags, r->rip);
		return;
	}
	sp = stack_peek(c, &r->st, 3, r->size);
	far_return_stack(c, &cs, stack_peek(c, &r->st, 4, r->size), sp, &st);
	if (cpl != c->cpl)
		far_drop_inner(c, cpl);
	finish(c, &st, &cs, flags, r->rip);
}

static void iret_task(struct soft *c)
{
	uint16_t back;
	uint64_t rip;

	if (c->long_mode)
		soft_raise_error(c, VEC_GP, 0);
	back = soft_load_sys(c, c->state.tr.base, 2);
	rip = task_switch(c, back, TASK_RETURN, soft_next_rip(c), false, 0);
	soft_attend(c);
	soft_jump(c, rip);
}

static void exec_iret(struct soft *c, const struct insn *i)
{
	struct iret r = { .size = i->size };

	if (sys_protected(c) && !sys_v86(c) && (c->state.rflags & RFLAGS_NT)) {
		iret_task(c);
		return;
	}
	stack_current(c, &r.st);
	r.rip = stack_peek(c, &r.st, 0, r.size);
	r.cs = stack_peek(c, &r.st, 1, r.size);
	r.flags = stack_peek(c, &r.st, 2, r.size);
	if (sys_real_segments(c))
		iret_real(c, &r);
	else if (!c->long_mode && c->cpl == 0 && r.size == 4 && (r.flags & RFLAGS_VM))
		iret_to_v86(c, &r);
	else
		iret_protected(c, &r);
}

soft_exec *far_select_interrupt(const struct soft_decoded *d)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_INT:
		return exec_int;
	case ZYDIS_MNEMONIC_INT1:
		return exec_int1;
	case ZYDIS_MNEMONIC_INT3:
		return exec_int3;
	case ZYDIS_MNEMONIC_INTO:
		return exec_into;
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		return exec_iret;
	default:
		return NULL;
	}
}
