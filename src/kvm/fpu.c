/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* x87 and SSE state in its three uAPI forms, and XCR0. */
#include "kvm/state.h"

#include <errno.h>

#define XFEATURE_X87 1u
#define XFEATURE_SSE 2u
#define XFEATURES (XFEATURE_X87 | XFEATURE_SSE)
#define MXCSR_MASK 0xffffu

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

/* The first 512 bytes of an XSAVE area (the FXSAVE image), then its header. */
struct xsave_image {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved0;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t reserved1[96];
	uint64_t xstate_bv, xcomp_bv;
	uint64_t header_reserved[6];
};
_Static_assert(sizeof(struct xsave_image) == 576, "512 bytes of registers and the header");

void xsave_get(struct vcpu *vcpu, struct kvm_xsave *x)
{
	const struct cpu_state *s = vcpu_state(vcpu);
	struct xsave_image *image = (struct xsave_image *)x->region;

	__builtin_memset(x, 0, sizeof(*x));
	image->fcw = s->fcw;
	image->fsw = s->fsw;
	image->ftw = s->ftw;
	image->fop = s->fop;
	image->fip = s->fip;
	image->fdp = s->fdp;
	image->mxcsr = s->mxcsr;
	image->mxcsr_mask = MXCSR_MASK;
	__builtin_memcpy(image->st, s->st, sizeof(image->st));
	__builtin_memcpy(image->xmm, s->xmm, sizeof(image->xmm));
	image->xstate_bv = XFEATURES;
}

static void xsave_load(struct cpu_state *s, const struct xsave_image *image, uint64_t features)
{
	if (features & XFEATURE_X87) {
		s->fcw = image->fcw;
		s->fsw = image->fsw;
		s->ftw = image->ftw;
		s->fop = image->fop;
		s->fip = image->fip;
		s->fdp = image->fdp;
		__builtin_memcpy(s->st, image->st, sizeof(s->st));
	} else {
		s->fcw = 0x37f;
		s->fsw = s->ftw = 0;
		s->fop = 0;
		s->fip = s->fdp = 0;
		__builtin_memset(s->st, 0, sizeof(s->st));
	}
	if (features & XFEATURE_SSE)
		__builtin_memcpy(s->xmm, image->xmm, sizeof(s->xmm));
	else
		__builtin_memset(s->xmm, 0, sizeof(s->xmm));
	s->mxcsr = image->mxcsr;
}

int xsave_set(struct vcpu *vcpu, const struct kvm_xsave *x)
{
	const struct xsave_image *image = (const struct xsave_image *)x->region;

	if (image->xstate_bv & ~(uint64_t)XFEATURES || image->xcomp_bv)
		return obs_refuse(-EINVAL, "xsave: state components this CPU does not have");
	if (image->mxcsr & ~MXCSR_MASK)
		return obs_refuse(-EINVAL, "xsave: reserved mxcsr bits");
	xsave_load(vcpu_state(vcpu), image, image->xstate_bv);
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
		return obs_refuse(-EINVAL, "kvm_xcrs: too many registers, or flags");
	for (i = 0; i < x->nr_xcrs; i++) {
		if (x->xcrs[i].xcr)
			continue;
		if (x->xcrs[i].value & ~(uint64_t)XFEATURES || !(x->xcrs[i].value & XFEATURE_X87))
			return obs_refuse(-EINVAL, "xcr0: x87, and SSE at the most");
		vcpu_state(vcpu)->xcr0 = x->xcrs[i].value;
		vcpu->ops->state_changed(vcpu->cpu);
		break;
	}
	return 0;
}
