/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Hypercalls: VMCALL or VMMCALL at CPL 0, number in RAX. KVM_HC_MAP_GPA_RANGE goes to the program, which
 * converts the pages and answers; nothing is converted here.
 */
#include "core/range.h"
#include "kvm/early.h"
#include "kvm/exit.h"
#include "kvm/state.h"
#include "obs/inject.h"

#include <errno.h>

#define EFER_LMA (1ull << 10)

static bool in_64bit(const struct cpu_state *s)
{
	return s->efer & EFER_LMA && s->seg[CPU_CS].l;
}

static uint64_t argument(const struct cpu_state *s, unsigned int reg)
{
	return in_64bit(s) ? s->gpr[reg] : (uint32_t)s->gpr[reg];
}

static int answer(struct vcpu *vcpu, int64_t value)
{
	uint64_t rax = (uint64_t)value;

	if (kvm_profile()->hypercall_ret_zeroed)
		vcpu->run->hypercall.ret = rax;
	vcpu->ops->complete(vcpu->cpu, &rax);
	return EXIT_GO_ON;
}

static bool said_by_guest(struct vcpu *vcpu, const struct cpu_state *s)
{
	uint64_t gpa = argument(s, CPU_RBX), pages = argument(s, CPU_RCX);

	return !(gpa & (OS_PAGE_SIZE - 1)) && pages && !range_wraps(gpa >> OS_PAGE_SHIFT, pages) &&
	       early_guest_says(vcpu->vm, gpa, pages,
				argument(s, CPU_RDX) & KVM_MAP_GPA_RANGE_ENCRYPTED);
}

static int map_gpa_range(struct vcpu *vcpu, const struct cpu_state *s)
{
	struct kvm_run *run = vcpu->run;
	uint64_t gpa = argument(s, CPU_RBX), pages = argument(s, CPU_RCX);
	uint64_t gfn = gpa >> OS_PAGE_SHIFT;

	if (!(vcpu->vm->hypercall_exits >> KVM_HC_MAP_GPA_RANGE & 1))
		return answer(vcpu, said_by_guest(vcpu, s) ? 0 : -KVM_ENOSYS);
	if (gpa & (OS_PAGE_SIZE - 1) || !pages || gfn + pages <= gfn)
		return answer(vcpu, -EINVAL);
	if (obs_injects(INJECT_HYPERCALL) &&
	    inject_hypercall(vcpu, gpa, pages, argument(s, CPU_RDX) & KVM_MAP_GPA_RANGE_ENCRYPTED))
		return answer(vcpu, 0);
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = pages;
	run->hypercall.args[2] = argument(s, CPU_RDX);
	run->hypercall.flags = in_64bit(s) ? KVM_EXIT_HYPERCALL_LONG_MODE : 0;
	if (kvm_profile()->hypercall_ret_zeroed)
		run->hypercall.ret = 0;
	vcpu->pending = PENDING_HYPERCALL;
	return 0;
}

int hypercall(struct vcpu *vcpu)
{
	const struct cpu_state *s = vcpu_state(vcpu);

	switch (argument(s, CPU_RAX)) {
	case KVM_HC_MAP_GPA_RANGE:
		return map_gpa_range(vcpu, s);
	case KVM_HC_VAPIC_POLL_IRQ:
	case KVM_HC_KICK_CPU:
	case KVM_HC_SCHED_YIELD:
		return answer(vcpu, 0);
	case KVM_HC_CLOCK_PAIRING:
	case KVM_HC_SEND_IPI:
		return answer(vcpu, -KVM_EOPNOTSUPP);
	default:
		return answer(vcpu, -KVM_ENOSYS);
	}
}
