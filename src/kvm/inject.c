/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Exits and answers on purpose (obs/inject.h): what KVM may do at any time, and what machines with encrypted memory do. */
#include "obs/inject.h"

#include "kvm/exit.h"
#include "kvm/state.h"
#include "kvm/vm.h"

#include <errno.h>

/* A late memory fault: the program has been told of the page by some other vCPU, and has converted it. */
int inject_run(struct vcpu *vcpu)
{
	struct inject_key key = { .point = INJECT_RUN };
	struct mmu_fault_info info;
	struct inject what;

	key.has_gpa = mmu_last_fault(vcpu->mmu, &info);
	key.gpa = info.gpa;
	if (!obs_inject(&key, &what))
		return EXIT_GO_ON;
	if (what.action == INJECT_EXIT_MEMORY_FAULT) {
		exit_memory_fault(vcpu, &info);
		return kvm_profile()->memory_exit ? exit_memory_fault_result(what.err) : what.err;
	}
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return what.err;
}

bool inject_hypercall(struct vcpu *vcpu, uint64_t gpa, uint64_t pages, bool to_private)
{
	enum inject_kind kind = to_private ? INJECT_PRIVATE : INJECT_SHARED;
	struct inject_key key = {
		.point = INJECT_HYPERCALL,
		.kind = kind,
		.has_gpa = true,
		.gpa = gpa,
		.size = pages << OS_PAGE_SHIFT,
	};
	struct vm *vm = vcpu->vm;
	struct inject what;
	bool is_kept;

	if (!vm->has_private || !obs_inject(&key, &what))
		kind = INJECT_ANY_KIND;
	os_mutex_lock(&vm->slots_lock);
	is_kept = mmu_set_guest_kind(vm->mmu, gpa >> OS_PAGE_SHIFT, pages, kind);
	os_mutex_unlock(&vm->slots_lock);
	return is_kept && kind != INJECT_ANY_KIND;
}
