/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * KVM_PRE_FAULT_MEMORY: guest faults made by the program. As much as was done is told in the structure, so
 * that a call either failed or made progress, never both.
 */
#include "core/range.h"
#include "kvm/exit.h"
#include "kvm/state.h"
#include "obs/inject.h"

#include <errno.h>

static int check(const struct kvm_pre_fault_memory *p)
{
	if (p->flags)
		return obs_refuse(RULE_PREFAULT_FLAGS);
	if ((p->gpa | p->size) & (OS_PAGE_SIZE - 1) || !p->size || range_wraps(p->gpa, p->size))
		return obs_refuse(RULE_PREFAULT_RANGE);
	return 0;
}

/* One mapping: 0 and where it ends, or why not. */
static int step(struct vcpu *vcpu, uint64_t gpa, uint64_t *end)
{
	struct mmu_fault_info info = { 0 };

	switch (mmu_fault(vcpu->mmu, gpa, MMU_READ, true, &info)) {
	case MMU_FAULT_OK:
		*end = info.mapped_end;
		return 0;
	case MMU_FAULT_MMIO:
		return obs_refuse(RULE_PREFAULT_NO_SLOT);
	case MMU_FAULT_AGAIN:
		return obs_refuse(RULE_PREFAULT_SLOT_LEAVES);
	case MMU_FAULT_MEMORY:
		exit_memory_fault(vcpu, &info);
		return obs_refuse_as(RULE_PREFAULT_KIND, info.error);
	default:
		return obs_refuse_as(RULE_PREFAULT_HOST, info.error);
	}
}

/* Where it shall end, on purpose, before all is done. */
static int fall_short(const struct kvm_pre_fault_memory *p, uint64_t *stop)
{
	struct inject_key key = {
		.point = INJECT_PREFAULT,
		.has_gpa = true,
		.gpa = p->gpa,
		.size = p->size,
	};
	struct inject what;

	if (!obs_inject(&key, &what))
		return 0;
	if (what.action == INJECT_SHORT && what.value < p->size >> OS_PAGE_SHIFT)
		*stop = p->gpa + (what.value << OS_PAGE_SHIFT);
	return what.err;
}

/* Advances p over what is done; 0 when that was all. */
static int fault_in(struct vcpu *vcpu, struct kvm_pre_fault_memory *p)
{
	uint64_t end = 0, stop = p->gpa + p->size;
	int err = check(p);

	if (!err && obs_injects(INJECT_PREFAULT))
		err = fall_short(p, &stop);
	while (!err && p->gpa < stop) {
		if (os_signal_pending())
			return obs_refuse_quietly(RULE_PREFAULT_SIGNAL);
		err = step(vcpu, p->gpa, &end);
		if (err)
			break;
		end = range_done(p->gpa, stop - p->gpa, end);
		p->size -= end - p->gpa;
		p->gpa = end;
	}
	return err;
}

/* The structure goes back whatever happened: that it cannot outweighs every other error. */
long vcpu_pre_fault(struct vcpu *vcpu, uint64_t arg)
{
	struct kvm_pre_fault_memory p;
	uint64_t full;
	int err;

	if (os_copy_in(&p, arg, sizeof(p)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	full = p.size;
	err = fault_in(vcpu, &p);
	if (os_copy_out(arg, &p, sizeof(p)))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return p.size != full ? 0 : err;
}
