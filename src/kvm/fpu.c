/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* x87 and SSE state in its three uAPI forms, and XCR0. */
#include "cpu/fpu_image.h"
#include "kvm/state.h"

#include <errno.h>

void fpu_get(struct vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct cpu_state *s = vcpu_state(vcpu);

	__builtin_memset(fpu, 0, sizeof(*fpu));
	__builtin_memcpy(fpu->fpr, s->st, sizeof(fpu->fpr));
	fpu->fcw = s->fcw;
	fpu->fsw = s->fsw;
	fpu->ftwx = s->ftw;
	fpu->last_opcode = s->fop;
	fpu->last_ip = s->fip;
	fpu->last_dp = s->fdp;
	__builtin_memcpy(fpu->xmm, s->xmm, sizeof(fpu->xmm));
	/* KVM_GET_FPU leaves mxcsr out: it copies the first 512 bytes' registers only. */
}

int fpu_set(struct vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct cpu_state *s = vcpu_state(vcpu);

	__builtin_memcpy(s->st, fpu->fpr, sizeof(s->st));
	s->fcw = fpu->fcw;
	s->fsw = fpu->fsw;
	s->ftw = fpu->ftwx;
	s->fop = fpu->last_opcode;
	s->fip = fpu->last_ip;
	s->fdp = fpu->last_dp;
	__builtin_memcpy(s->xmm, fpu->xmm, sizeof(s->xmm));
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}

void xsave_get(struct vcpu *vcpu, struct kvm_xsave *x)
{
	struct xsave_image *image = (struct xsave_image *)x->region;

	__builtin_memset(x, 0, sizeof(*x));
	fxsave_fill(vcpu_state(vcpu), true, &image->legacy);
	image->xstate_bv = XCR0_SUPPORTED;
}

/* A component that is left out gets its state of a reset. */
static void xsave_load(struct cpu_state *s, const struct xsave_image *image)
{
	if (image->xstate_bv & XCR0_X87)
		fxsave_take_x87(s, true, &image->legacy);
	else
		fxsave_init_x87(s);
	if (image->xstate_bv & XCR0_SSE)
		__builtin_memcpy(s->xmm, image->legacy.xmm, sizeof(s->xmm));
	else
		__builtin_memset(s->xmm, 0, sizeof(s->xmm));
	s->mxcsr = image->legacy.mxcsr;
}

int xsave_set(struct vcpu *vcpu, const struct kvm_xsave *x)
{
	const struct xsave_image *image = (const struct xsave_image *)x->region;

	if (image->xstate_bv & ~XCR0_SUPPORTED || image->xcomp_bv)
		return obs_refuse(RULE_XSAVE_COMPONENTS);
	if (image->legacy.mxcsr & ~MXCSR_LEGAL)
		return obs_refuse(RULE_XSAVE_MXCSR);
	xsave_load(vcpu_state(vcpu), image);
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}

void xcrs_get(struct vcpu *vcpu, struct kvm_xcrs *x)
{
	__builtin_memset(x, 0, sizeof(*x));
	x->nr_xcrs = 1;
	x->xcrs[0].value = vcpu_state(vcpu)->xcr0;
}

int xcrs_set(struct vcpu *vcpu, const struct kvm_xcrs *x)
{
	unsigned int i;

	if (x->nr_xcrs > KVM_MAX_XCRS || x->flags)
		return obs_refuse(RULE_XCRS_SHAPE);
	for (i = 0; i < x->nr_xcrs; i++) {
		if (x->xcrs[i].xcr)
			continue;
		if (!xcr0_is_legal(x->xcrs[i].value))
			return obs_refuse(RULE_XCR0_VALUE);
		vcpu_state(vcpu)->xcr0 = x->xcrs[i].value;
		vcpu->ops->state_changed(vcpu->cpu);
		break;
	}
	return 0;
}
