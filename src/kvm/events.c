/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Exceptions, interrupts, NMIs and the run state of a vCPU, as the program sets and sees them. */
#include "kvm/state.h"

#include <errno.h>

#define EVENT_FLAGS                                                          \
	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
	 KVM_VCPUEVENT_VALID_SHADOW)

void events_get(struct vcpu *vcpu, struct kvm_vcpu_events *e)
{
	const struct cpu_state *s = vcpu_state(vcpu);

	__builtin_memset(e, 0, sizeof(*e));
	e->exception.injected = s->exception.injected || s->exception.pending;
	e->exception.nr = s->exception.vector;
	e->exception.has_error_code = s->exception.has_error;
	e->exception.error_code = s->exception.error;
	e->interrupt.injected = s->interrupt.injected && !s->interrupt.soft;
	e->interrupt.nr = s->interrupt.vector;
	e->interrupt.shadow =
		(s->interrupt_shadow & CPU_SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
		(s->interrupt_shadow & CPU_SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
	e->nmi.injected = s->nmi_injected;
	e->nmi.pending = s->nmi_pending;
	e->nmi.masked = s->nmi_masked;
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
}

int events_set(struct vcpu *vcpu, const struct kvm_vcpu_events *e)
{
	struct cpu_state *s = vcpu_state(vcpu);

	if (e->flags & ~(uint32_t)EVENT_FLAGS)
		return obs_refuse(RULE_EVENTS_FLAGS);
	if ((e->exception.injected || e->exception.pending) &&
	    (e->exception.nr > 31 || e->exception.nr == 2))
		return obs_refuse(RULE_EVENTS_EXCEPTION);
	s->exception = (struct cpu_event){
		.pending = e->exception.injected,
		.injected = e->exception.injected,
		.vector = e->exception.nr,
		.has_error = e->exception.has_error_code,
		.error = e->exception.error_code,
	};
	s->interrupt = (struct cpu_event){
		.pending = e->interrupt.injected,
		.injected = e->interrupt.injected,
		.vector = e->interrupt.nr,
		.soft = e->interrupt.soft,
	};
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		s->interrupt_shadow =
			(e->interrupt.shadow & KVM_X86_SHADOW_INT_STI ? CPU_SHADOW_STI : 0) |
			(e->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? CPU_SHADOW_MOV_SS : 0);
	s->nmi_injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		s->nmi_pending = e->nmi.pending;
	s->nmi_masked = e->nmi.masked;
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}

int mp_state_set(struct vcpu *vcpu, uint32_t mp_state)
{
	switch (mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_AP_RESET_HOLD:
		if (!vcpu->vm->irqchip)
			return obs_refuse(RULE_MP_STATE_IRQCHIP);
		break;
	default:
		return obs_refuse(RULE_MP_STATE_UNKNOWN);
	}
	vcpu->mp_state = mp_state;
	vcpu_state(vcpu)->halted = mp_state == KVM_MP_STATE_HALTED;
	return 0;
}

int interrupt_queue(struct vcpu *vcpu, uint32_t irq)
{
	if (irq >= KVM_NR_INTERRUPTS)
		return obs_refuse(RULE_INTERRUPT_VECTOR);
	if (vcpu->vm->irqchip)
		return obs_refuse(RULE_INTERRUPT_IRQCHIP);
	vcpu_state(vcpu)->interrupt = (struct cpu_event){
		.pending = true,
		.injected = true,
		.vector = (uint8_t)irq,
	};
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}

int guest_debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *d)
{
	bool on = d->control & KVM_GUESTDBG_ENABLE;
	bool hw = on && d->control & KVM_GUESTDBG_USE_HW_BP;
	struct cpu_state *s = vcpu_state(vcpu);

	if (d->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (s->exception.pending)
			return obs_refuse(RULE_DEBUG_PENDING);
		s->exception = (struct cpu_event){
			.pending = true,
			.vector = d->control & KVM_GUESTDBG_INJECT_DB ? 1 : 3,
		};
	}
	vcpu->ops->set_debug(vcpu->cpu, on && d->control & KVM_GUESTDBG_SINGLESTEP,
			     on && d->control & KVM_GUESTDBG_USE_SW_BP, d->arch.debugreg,
			     hw ? d->arch.debugreg[7] : 0);
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}
