/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The run loop.
 *
 *	soft_run ── outside: resolves guest faults, returns to the owner
 *	  run_inside ── mmu_vcpu_enter .. leave, and the catch that everything leaves to
 *	    guest_loop ── boundary? events, requests, exits : next block
 *	      run_blocks ── 64-bit code: fast handlers, from block to block
 *	      exec_block ── else, and for less than a block: one plain handler after another
 *
 * Between blocks state.rip is exact. When something has to be looked at after each instruction (TF, RF,
 * interrupt shadow, an instruction with device accesses behind it), blocks are run one instruction long.
 */
#include <errno.h>

#include "cpu/soft/block.h"
#include "cpu/soft/breakpoint.h"
#include "cpu/soft/decode.h"
#include "cpu/soft/io.h"
#include "cpu/soft/run.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"

/* Stands for the current instruction at a boundary: no length, at state.rip. */
static const struct insn no_insn = { .len = 0 };

/* The current instruction does not complete; those before it in its block have. */
static void left_behind(struct soft *c)
{
	c->state.rip = soft_rip(c);
	c->budget -= c->cur->nth;
}

void soft_leave(struct soft *c, int why)
{
	left_behind(c);
	os_catch_throw(&c->catch, why);
}

/* ---- branches ------------------------------------------------------------------------------- */

static uint64_t truncate_rip(const struct soft *c, uint64_t rip)
{
	if (likely(c->mode == 8))
		return rip;
	return c->mode == 4 ? (uint32_t)rip : (uint16_t)rip;
}

uint64_t soft_branch_target(struct soft *c, uint64_t rip)
{
	rip = truncate_rip(c, rip);
	if (c->mode == 8 ? !sys_canonical(c, rip) : rip > c->state.seg[CPU_CS].limit)
		soft_raise_error(c, VEC_GP, 0);
	return rip;
}

void soft_jump(struct soft *c, uint64_t rip)
{
	c->next_rip = soft_branch_target(c, rip);
}

/* ---- after an instruction ------------------------------------------------------------------- */

static bool keeps_rf(uint16_t mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_IRET || mnemonic == ZYDIS_MNEMONIC_IRETD ||
	       mnemonic == ZYDIS_MNEMONIC_IRETQ;
}

static bool is_int(uint16_t mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_INT || mnemonic == ZYDIS_MNEMONIC_INT1 ||
	       mnemonic == ZYDIS_MNEMONIC_INT3 || mnemonic == ZYDIS_MNEMONIC_INTO;
}

struct before {
	uint64_t rflags;
	uint8_t shadow;
};

/* What follows from an instruction that has completed with the state before it. */
static void instruction_over(struct soft *c, const struct before *old, uint16_t mnemonic)
{
	struct cpu_state *s = &c->state;

	mmio_instruction_over(c);
	if (old->shadow)
		s->interrupt_shadow &= ~old->shadow; /* MOV SS may just have begun its own */
	if ((old->rflags & RFLAGS_RF) && !keeps_rf(mnemonic))
		s->rflags &= ~(uint64_t)RFLAGS_RF;
	if (c->debug_step)
		c->debug_due = true;
	else if ((old->rflags & RFLAGS_TF) && !is_int(mnemonic) &&
		 !(s->interrupt_shadow & CPU_SHADOW_MOV_SS)) {
		s->dr6 |= DR6_BS;
		s->exception = (struct cpu_event){ .pending = true, .vector = VEC_DB };
	}
	soft_attend(c);
}

void run_instruction_over(struct soft *c, uint64_t next_rip)
{
	struct before old = { c->state.rflags, c->state.interrupt_shadow };

	c->state.rip = truncate_rip(c, next_rip);
	instruction_over(c, &old, ZYDIS_MNEMONIC_INVALID);
}

/* ---- blocks ----------------------------------------------------------------------------------- */

static inline void at_boundary(struct soft *c)
{
	c->cur = &no_insn;
	c->block_rip = c->state.rip;
}

/* The first nr instructions of the block at state.rip, bytes long. */
static inline void exec_block(struct soft *c, const struct block *b, unsigned int nr,
			      unsigned int bytes)
{
	const struct insn *i = b->insns;

	c->end = i + nr;
	c->next_rip = c->state.rip + bytes;
	do {
		c->cur = i;
		i->exec(c, i);
		if (unlikely(!c->use_flags))
			flags_sync(c);
		i++;
	} while (i != c->end);
	c->budget -= i - b->insns;
	c->state.rip = truncate_rip(c, c->next_rip);
	at_boundary(c);
}

/* Less than the whole block. */
static void exec_some(struct soft *c, const struct block *b, unsigned int nr)
{
	exec_block(c, b, nr, b->insns[nr - 1].offset + b->insns[nr - 1].len);
}

static void exec_one(struct soft *c)
{
	struct before old = { c->state.rflags, c->state.interrupt_shadow };
	const struct block *b = block_get(c);
	uint16_t mnemonic = b->insns[0].mnemonic;

	c->stepping = c->debug_step || (old.rflags & RFLAGS_TF);
	exec_some(c, b, 1);
	c->stepping = false;
	instruction_over(c, &old, mnemonic);
}

/* ---- boundaries: false when run() is to return --------------------------------------------------- */

static bool leave_with(struct soft *c, enum cpu_exit_reason reason)
{
	c->exit->reason = reason;
	return false;
}

static void flush_if_asked(struct soft *c)
{
	if (!(mmu_vcpu_requests(c->vcpu) & MMU_REQ_FLUSH))
		return;
	mmu_vcpu_flush_begin(c->vcpu);
	soft_tlb_flush(c);
	mmu_vcpu_flush_end(c->vcpu);
}

static bool look_at_requests(struct soft *c)
{
	uint32_t requests = mmu_vcpu_requests(c->vcpu);

	if (requests & MMU_REQ_EVENT)
		mmu_vcpu_clear(c->vcpu, MMU_REQ_EVENT);
	if (!(requests & MMU_REQ_KICK))
		return true;
	mmu_vcpu_clear(c->vcpu, MMU_REQ_KICK);
	return leave_with(c, CPU_EXIT_KICK);
}

static bool interrupts_open(const struct soft *c)
{
	return (c->state.rflags & RFLAGS_IF) && !c->state.interrupt_shadow;
}

/* The event that is to be delivered now, or NULL. */
static struct cpu_event *next_event(struct soft *c, bool *is_exception)
{
	struct cpu_state *s = &c->state;

	*is_exception = s->exception.pending || s->exception.injected;
	if (*is_exception)
		return &s->exception;
	if (s->nmi_injected || (s->nmi_pending && !s->nmi_masked && !s->interrupt_shadow)) {
		c->nmi = (struct cpu_event){ .pending = true, .vector = VEC_NMI };
		return &c->nmi;
	}
	if (s->interrupt.injected || (s->interrupt.pending && interrupts_open(c)))
		return &s->interrupt;
	return NULL;
}

static bool deliver_events(struct soft *c)
{
	struct cpu_event *event;
	bool is_exception;

	while ((event = next_event(c, &is_exception))) {
		if (!soft_deliver(c, event, is_exception))
			return leave_with(c, CPU_EXIT_SHUTDOWN);
		event->pending = event->injected = false;
		if (event == &c->nmi) {
			c->state.nmi_pending = c->state.nmi_pending && c->state.nmi_injected;
			c->state.nmi_injected = false;
			c->state.nmi_masked = true;
		}
		at_boundary(c);
	}
	return true;
}

static bool debug_exit(struct soft *c)
{
	struct cpu_exit *e = c->exit;

	c->debug_due = false;
	e->debug.exception = VEC_DB;
	e->debug.pc = c->state.rip;
	e->debug.dr6 = DR6_FIXED | DR6_BS;
	e->debug.dr7 = c->state.dr7;
	return leave_with(c, CPU_EXIT_DEBUG);
}

static bool ends_first(const struct soft *c)
{
	return c->half_done && c->io_rip == c->state.rip;
}

static bool one_at_a_time(const struct soft *c)
{
	return c->half_done || c->nr_mmio_pages || c->nr_mmio || c->state.interrupt_shadow ||
	       c->debug_step || (c->state.rflags & (RFLAGS_TF | RFLAGS_RF)) || breakpoint_armed(c);
}

static bool boundary(struct soft *c)
{
	c->attention = false;
	if (c->exit_after) {
		c->exit_after = false;
		return false;
	}
	if (c->debug_due)
		return debug_exit(c);
	flush_if_asked(c);
	/* A device has been read or written for it: begun again behind an interrupt, it would be twice. */
	if (ends_first(c))
		return true;
	if (!look_at_requests(c))
		return false;
	/* Exceptions of delivery alone can go on for ever: #AC on the stack of #GP, #GP at the gate of #AC. */
	if (!c->budget)
		return leave_with(c, CPU_EXIT_KICK);
	if (!deliver_events(c))
		return false;
	if (unlikely(breakpoint_armed(c))) {
		if (breakpoint_for_owner(c))
			return false;
		if (breakpoint_for_guest(c) && !deliver_events(c))
			return false;
	}
	if (c->want_irq_window && interrupts_open(c))
		return leave_with(c, CPU_EXIT_IRQ_WINDOW);
	return true;
}

static inline bool look_around(struct soft *c)
{
	return unlikely(c->attention || mmu_vcpu_requests(c->vcpu));
}

/* From block to block by fast handlers, until there is something to look at or the budget ends within one. */
static void run_blocks(struct soft *c, struct block *b)
{
	uint64_t rip;

	do {
		struct insn *end = b->insns->fast(c, b->insns);

		rip = c->next_rip;
		c->budget -= end->nth + 1u;
		c->cur = &no_insn;
		c->block_rip = rip;
		if (look_around(c))
			break;
		b = block_after(c, end, rip);
	} while (likely(b->nr <= c->budget));
	c->state.rip = rip;
}

/* Not in the function of the catch, where nothing may live in a register. */
__attribute__((noinline)) static void guest_loop(struct soft *c)
{
	for (;;) {
		struct block *b;

		at_boundary(c);
		if (look_around(c)) {
			if (!boundary(c))
				return;
			if (one_at_a_time(c) && c->budget) {
				exec_one(c);
				continue;
			}
		}
		b = block_get(c);
		if (likely(b->nr <= c->budget)) {
			if (c->mode == 8 && c->use_fast)
				run_blocks(c, b);
			else
				exec_block(c, b, b->nr, b->nr_bytes);
		} else if (c->budget) {
			exec_some(c, b, c->budget);
		} else {
			leave_with(c, CPU_EXIT_KICK);
			return;
		}
	}
}

/* ---- inside and outside -------------------------------------------------------------------------- */

/* The catch has been used up by a fault of the host's; memory may be gone for good. */
static void task_undo_caught(struct soft *c)
{
	int why = os_catch(&c->catch);

	if (!why)
		task_undo(c);
	if (why != OS_CATCH_FAULT)
		os_catch_end(&c->catch);
}

/* What a task switch raises is the new task's; anything else happens before it. */
static void leave_task(struct soft *c, int why)
{
	if (why == LEAVE_EXCEPTION) {
		c->task_undo.active = false;
	} else if (why == OS_CATCH_FAULT) {
		task_undo_caught(c);
	} else {
		task_undo(c);
		left_behind(c);
		c->io_rip = c->state.rip; /* a device's answer is for the switch as a whole */
	}
}

/* After a throw: whatever ran was left in its middle. */
static void unwind(struct soft *c, int why)
{
	if (unlikely(c->task_undo.active))
		leave_task(c, why);
	soft_split_unlock(c);
	c->stepping = false;
	c->mmio_next = 0;
	c->exit_after = false;
	if (why == LEAVE_EXCEPTION)
		mmio_instruction_over(c);
	if ((why == LEAVE_EXCEPTION || why == LEAVE_RESTART) && c->budget)
		c->budget--;
	soft_attend(c);
}

/* Runs until something has to be done outside, and tells what; LEAVE_EXIT: c->exit is filled. */
static int run_inside(struct soft *c)
{
	int why;

	mmu_vcpu_enter(c->vcpu);
	soft_attend(c);
	why = os_catch(&c->catch);
	if (why)
		unwind(c, why);
	if (why == 0 || why == LEAVE_EXCEPTION || why == LEAVE_RESTART) {
		guest_loop(c);
		why = LEAVE_EXIT;
	}
	if (why == OS_CATCH_FAULT)
		left_behind(c);
	else
		os_catch_end(&c->catch);
	sse_fp_home(c);
	mmu_vcpu_leave(c->vcpu);
	return why;
}

/* The fault is a device's. */
static bool device_fault(struct soft *c)
{
	if (c->delivering) {
		c->exit->delivery.gpa = c->fault_gpa;
		c->exit->delivery.vector_info = c->delivery_info;
		return leave_with(c, CPU_EXIT_DELIVERY);
	}
	if (c->fault_access == MMU_EXEC) {
		c->exit->insn.nr_bytes = 0;
		return leave_with(c, CPU_EXIT_EMULATION);
	}
	mmio_add_device(c, c->fault_gpa, c->fault_access);
	return true;
}

/* Outside: true to go on. */
static bool resolve_fault(struct soft *c)
{
	struct mmu_fault_info info = { 0 };
	bool go_on;

	switch (mmu_fault(c->vcpu, c->fault_gpa, c->fault_access, false, &info)) {
	case MMU_FAULT_MMIO:
		go_on = device_fault(c);
		break;
	case MMU_FAULT_MEMORY:
		c->exit->fault = info;
		go_on = leave_with(c, CPU_EXIT_MEMORY_FAULT);
		break;
	case MMU_FAULT_ERROR:
		c->exit->fault = info;
		go_on = leave_with(c, CPU_EXIT_ERROR);
		break;
	default:
		go_on = true;
		break;
	}
	/* The event is still pending: its delivery starts again. */
	delivery_end(c);
	return go_on;
}

void run_guest(struct soft *c, uint64_t budget, struct cpu_exit *exit)
{
	c->exit = exit;
	c->budget = budget ? budget : UINT64_MAX;
	/* The owner may have made memory of a device since, and need not have answered. */
	c->nr_mmio_pages = 0;
	if (c->io_pending) {
		c->io_pending = IO_NONE;
		c->half_done = false;
		mmio_forget(c);
	}
	for (;;) {
		switch (run_inside(c)) {
		case LEAVE_EXIT:
			return;
		case LEAVE_FAULT:
			if (!resolve_fault(c))
				return;
			break;
		default:
			delivery_end(c);
			exit->reason = CPU_EXIT_ERROR;
			exit->fault = (struct mmu_fault_info){ .error = -EFAULT };
			return;
		}
	}
}

/* ---- a look from outside ---------------------------------------------------------------------------- */

static int translate_inside(struct soft *c, uint64_t gva, uint64_t *gpa)
{
	int why;

	mmu_vcpu_enter(c->vcpu);
	at_boundary(c);
	why = os_catch(&c->catch);
	if (!why)
		*gpa = walk_guest(c, gva, ACCESS_READ, 0);
	if (why != OS_CATCH_FAULT)
		os_catch_end(&c->catch);
	mmu_vcpu_leave(c->vcpu);
	return why;
}

int run_translate(struct soft *c, uint64_t gva, uint64_t *gpa)
{
	/* An instruction that waits for complete() must be found there again. */
	const struct insn *cur = c->cur;
	uint64_t block_rip = c->block_rip, rip = c->state.rip, cr2 = c->state.cr2;
	struct cpu_event exception = c->state.exception;
	struct mmu_fault_info info;
	struct cpu_exit exit;
	int why;

	c->exit = &exit;
	do {
		why = translate_inside(c, gva, gpa);
	} while (why == LEAVE_FAULT &&
		 mmu_fault(c->vcpu, c->fault_gpa, c->fault_access, false, &info) == MMU_FAULT_OK);
	c->exit = NULL;
	c->cur = cur;
	c->block_rip = block_rip;
	c->state.rip = rip;
	c->state.exception = exception;
	c->state.cr2 = cr2;
	return why ? -EFAULT : 0;
}
