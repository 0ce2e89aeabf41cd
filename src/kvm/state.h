/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What KVM_GET_* and KVM_SET_* of a vCPU carry: between the uAPI's structures and struct cpu_state.
 * Everything on a vCPU is called with vcpu->lock held.
 */
#ifndef GMEM_KVM_STATE_H
#define GMEM_KVM_STATE_H

#include "kvm/object.h"

static inline struct cpu_state *vcpu_state(struct vcpu *vcpu)
{
	return vcpu->ops->state(vcpu->cpu);
}

/* regs.c */
void regs_get(struct vcpu *vcpu, struct kvm_regs *regs);
void regs_set(struct vcpu *vcpu, const struct kvm_regs *regs);
void sregs_get(struct vcpu *vcpu, struct kvm_sregs *sregs);
int sregs_set(struct vcpu *vcpu, const struct kvm_sregs *sregs);
void sregs2_get(struct vcpu *vcpu, struct kvm_sregs2 *sregs);
int sregs2_set(struct vcpu *vcpu, const struct kvm_sregs2 *sregs);
void debugregs_get(struct vcpu *vcpu, struct kvm_debugregs *d);
int debugregs_set(struct vcpu *vcpu, const struct kvm_debugregs *d);

/* fpu.c */
void fpu_get(struct vcpu *vcpu, struct kvm_fpu *fpu);
int fpu_set(struct vcpu *vcpu, const struct kvm_fpu *fpu);
void xsave_get(struct vcpu *vcpu, struct kvm_xsave *x);
int xsave_set(struct vcpu *vcpu, const struct kvm_xsave *x);
void xcrs_get(struct vcpu *vcpu, struct kvm_xcrs *x);
int xcrs_set(struct vcpu *vcpu, const struct kvm_xcrs *x);

/* events.c */
void events_get(struct vcpu *vcpu, struct kvm_vcpu_events *e);
int events_set(struct vcpu *vcpu, const struct kvm_vcpu_events *e);
int mp_state_set(struct vcpu *vcpu, uint32_t mp_state);
int interrupt_queue(struct vcpu *vcpu, uint32_t irq);
int guest_debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *d);

/* cpuid.c; arg: the program's structure */
long cpuid_list_supported(uint64_t arg);
long cpuid_list_emulated(uint64_t arg);
long cpuid_set(struct vcpu *vcpu, uint64_t arg);
long cpuid_set_old(struct vcpu *vcpu, uint64_t arg);
long cpuid_get(struct vcpu *vcpu, uint64_t arg);

/* msr.c; arg: the program's structure */
long msr_list(uint64_t arg);
long msr_feature_list(uint64_t arg);
long msr_get_features(uint64_t arg);
long msr_get(struct vcpu *vcpu, uint64_t arg);
long msr_set(struct vcpu *vcpu, uint64_t arg);

/* run.c */
long vcpu_run(struct vcpu *vcpu);
/* prefault.c */
long vcpu_pre_fault(struct vcpu *vcpu, uint64_t arg);

#endif
