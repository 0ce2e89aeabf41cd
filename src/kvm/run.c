/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * KVM_RUN. First what the program answered is completed, then immediate_exit is looked at, then the guest
 * runs until there is something for the program or a signal for this thread.
 *
 * No wake-up is lost: a signal that arrives from here on is held by the shim, which sets the pending flag
 * before it kicks the vCPU; the flag is read after KICK was cleared, so either the flag is seen here or the
 * kick is seen by the engine.
 */
#include "kvm/exit.h"
#include "kvm/state.h"
#include "obs/inject.h"
#include "os/signal.h"

#include <errno.h>

#define FLAG_IF (1ull << 9)
#define HALT_POLL_NS 100000000ll

static int sync_in(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int err = 0;

	if ((run->kvm_valid_regs | run->kvm_dirty_regs) & ~(uint64_t)KVM_SYNC_X86_VALID_FIELDS)
		return obs_refuse(RULE_RUN_SYNC_FIELDS);
	if (!run->kvm_dirty_regs)
		return 0;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_REGS)
		regs_set(vcpu, &run->s.regs.regs);
	if (run->kvm_dirty_regs & KVM_SYNC_X86_SREGS)
		err = sregs_set(vcpu, &run->s.regs.sregs);
	if (!err && run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS)
		err = events_set(vcpu, &run->s.regs.events);
	run->kvm_dirty_regs = 0;
	return err ? -EINVAL : 0;
}

static void sync_out(struct vcpu *vcpu)
{
	const struct cpu_state *s = vcpu_state(vcpu);
	struct kvm_run *run = vcpu->run;

	run->if_flag = (s->rflags & FLAG_IF) != 0;
	run->cr8 = s->cr8;
	run->apic_base = s->apic_base;
	run->flags = 0;
	run->ready_for_interrupt_injection =
		vcpu->vm->irqchip ||
		(!s->interrupt.injected && vcpu->ops->can_take_interrupt(vcpu->cpu));
	if (run->kvm_valid_regs & KVM_SYNC_X86_REGS)
		regs_get(vcpu, &run->s.regs.regs);
	if (run->kvm_valid_regs & KVM_SYNC_X86_SREGS)
		sregs_get(vcpu, &run->s.regs.sregs);
	if (run->kvm_valid_regs & KVM_SYNC_X86_EVENTS)
		events_get(vcpu, &run->s.regs.events);
}

static bool runnable(struct vcpu *vcpu)
{
	struct cpu_state *s = vcpu_state(vcpu);

	if (vcpu->mp_state == KVM_MP_STATE_HALTED && (s->nmi_pending || s->interrupt.injected))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	if (vcpu->mp_state != KVM_MP_STATE_RUNNABLE)
		return false;
	s->halted = false;
	return true;
}

/* A halted vCPU sleeps until an event, a kick or a signal. */
static void sleep_halted(struct vcpu *vcpu)
{
	struct mmu_vcpu_head *head = (struct mmu_vcpu_head *)vcpu->mmu;
	uint32_t seen = atomic_load(&head->requests);

	if (!(seen & MMU_REQ_KICK))
		os_wait(&head->requests, seen, HALT_POLL_NS);
}

static int run_guest(struct vcpu *vcpu)
{
	int r;

	do {
		/* Whoever kicks from here on is seen by the engine. */
		if (mmu_vcpu_requests(vcpu->mmu) & MMU_REQ_KICK)
			mmu_vcpu_clear(vcpu->mmu, MMU_REQ_KICK);
		if (os_signal_pending()) {
			vcpu->run->exit_reason = KVM_EXIT_INTR;
			return obs_refuse_quietly(RULE_RUN_SIGNAL);
		}
		if (!runnable(vcpu)) {
			sleep_halted(vcpu);
			r = EXIT_GO_ON;
			continue;
		}
		vcpu->ops->run(vcpu->cpu, 0, &vcpu->exit);
		r = exit_handle(vcpu);
	} while (r == EXIT_GO_ON);
	return r;
}

static bool immediate_exit(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_ACQUIRE);
}

static int run_locked(struct vcpu *vcpu)
{
	int err = sync_in(vcpu);

	if (err)
		return err;
	err = exit_complete(vcpu, immediate_exit(vcpu));
	if (err != EXIT_GO_ON)
		return err;
	vcpu->has_run = true;
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	vcpu->ops->request_irq_window(vcpu->cpu,
				      vcpu->run->request_interrupt_window && !vcpu->vm->irqchip);
	err = obs_injects(INJECT_RUN) ? inject_run(vcpu) : EXIT_GO_ON;
	return err == EXIT_GO_ON ? run_guest(vcpu) : err;
}

static enum obs_detail detail_of(uint32_t reason, int r)
{
	if (r == -EINTR)
		return OBS_EXIT_INTR;
	if (r < 0 && reason != KVM_EXIT_MEMORY_FAULT)
		return OBS_EXIT_ERROR;
	switch (reason) {
	case KVM_EXIT_IO:
		return OBS_EXIT_IO;
	case KVM_EXIT_MMIO:
		return OBS_EXIT_MMIO;
	case KVM_EXIT_HYPERCALL:
		return OBS_EXIT_HYPERCALL;
	case KVM_EXIT_HLT:
		return OBS_EXIT_HLT;
	case KVM_EXIT_MEMORY_FAULT:
		return OBS_EXIT_MEMORY_FAULT;
	default:
		return OBS_EXIT_OTHER;
	}
}

/* Who observes is told of each by the number and the flag that it has now. */
static void tell_exit(const struct kvm_run *run, uint64_t start, int r)
{
	const struct kvm_memory_exit *memory = kvm_memory_exit();
	uint64_t reason = run->exit_reason, b = 0, c = 0;

	if (reason == memory->reason) {
		reason = KVM_EXIT_MEMORY_FAULT;
		b = run->memory_fault.gpa;
		c = run->memory_fault.flags & memory->flag_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE
								   : 0;
	} else if (reason == KVM_EXIT_HYPERCALL) {
		b = run->hypercall.nr;
		c = run->hypercall.args[0];
		if (b == KVM_HC_MAP_GPA_RANGE && obs_looks_closer())
			obs_count(OBS_GUEST_ASKED, c, run->hypercall.args[1],
				  run->hypercall.args[2]);
	} else if (reason == KVM_EXIT_MMIO) {
		b = run->mmio.phys_addr;
		c = run->mmio.len;
	} else if (reason == KVM_EXIT_IO) {
		b = run->io.port;
		c = run->io.size;
	}
	obs_span(OBS_RUN_EXIT, start, r, reason, b, c);
	obs_detail(detail_of((uint32_t)reason, r), start, r);
}

static void tell_enter(struct vcpu *vcpu)
{
	bool at_once_out = immediate_exit(vcpu);
	uint64_t answers = 0;

	if (vcpu->pending == PENDING_HYPERCALL)
		answers = OBS_ANSWERS_CALL | (vcpu->run->hypercall.ret ? OBS_ANSWERS_NO : 0);
	/* The guest does not run: who completes an exit may let go of memory afterwards. */
	if (!at_once_out)
		leftover_look(vcpu);
	obs_count(OBS_RUN_ENTER, at_once_out, answers, 0);
}

long vcpu_run(struct vcpu *vcpu)
{
	uint64_t old = 0, start = obs_start();
	int r;

	if (start)
		tell_enter(vcpu);

	if (vcpu->has_sigmask)
		os_signal_mask_swap(vcpu->sigmask, &old);
	r = run_locked(vcpu);
	sync_out(vcpu);
	if (vcpu->has_sigmask)
		os_signal_mask_swap(old, NULL);
	if (start) {
		tell_exit(vcpu->run, start, r);
		account_exit(vcpu, r);
	}
	return r;
}
