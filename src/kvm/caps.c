/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * KVM_CHECK_EXTENSION and KVM_ENABLE_CAP. What gmem does not do is not in the table: it answers 0, and
 * enabling it fails as on a kernel that lacks it.
 */
#include "kvm/vm.h"

#include <errno.h>

#define HYPERCALLS (1ull << KVM_HC_MAP_GPA_RANGE)

struct cap_row {
	uint32_t cap;
	uint32_t value;
};

/* The same on /dev/kvm and on every VM. */
static const struct cap_row fixed_caps[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_NR_MEMSLOTS, KVM_NR_USER_SLOTS },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_XSAVE2, 4096 },
	{ KVM_CAP_XCRS, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_MAX_VCPUS, KVM_MAX_NR_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, KVM_MAX_VCPU_ID },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_EXT_EMUL_CPUID, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET },
	{ KVM_CAP_EXIT_HYPERCALL, HYPERCALLS },
	{ KVM_CAP_USER_MEMORY2, 1 },
	{ KVM_CAP_MEMORY_FAULT_INFO, 1 },
};

static bool is_in_place(uint64_t cap)
{
	const struct kvm_profile *p = kvm_profile();

	return p->in_place != KVM_IN_PLACE_NEVER && cap == p->cap_in_place;
}

/* The attributes that can be set on guest_memfds (in place) or by guest address: in one of the two ways only. */
static long attributes_of(const struct vm *vm, bool in_place)
{
	enum kvm_in_place mode = kvm_profile()->in_place;
	bool has;

	if (vm)
		has = vm->has_private && vm_in_place(vm) == in_place;
	else
		has = mode != (in_place ? KVM_IN_PLACE_NEVER : KVM_IN_PLACE_ALWAYS);
	return has ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

/* Those that depend on the kernel we answer like, and on the VM. */
static long caps_of_profile(const struct vm *vm, uint64_t cap)
{
	const struct kvm_profile *p = kvm_profile();
	bool private_vm = vm && vm->has_private;

	switch (cap) {
	case KVM_CAP_NR_VCPUS:
		return os_nr_cpus();
	case KVM_CAP_VM_TYPES:
		return p->vm_types;
	case KVM_CAP_DISABLE_QUIRKS2:
		return (long)p->quirks;
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		return private_vm && !p->early ? 1 : MEMSLOT_NR_SPACES;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return attributes_of(vm, false);
	case KVM_CAP_GUEST_MEMFD:
		return !vm || private_vm || p->gmem_any_vm;
	case KVM_CAP_PRE_FAULT_MEMORY:
		return !p->no_prefault;
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		return p->cap_gmem_flags ? (long)gmem_legal_flags(vm) : 0;
	default:
		return is_in_place(cap) ? attributes_of(vm, true) : 0;
	}
}

#define NO_CAP UINT64_MAX

/* The number that it has today; NO_CAP: this kernel knows none of this number. */
static uint64_t settled_cap(uint64_t cap)
{
	const struct kvm_profile *p = kvm_profile();
	const struct kvm_cap_number *c = p->caps_moved;

	for (; c && c->number; c++) {
		if (c->number == cap)
			return c->settled;
	}
	return p->caps_end && cap >= p->caps_end ? NO_CAP : cap;
}

long caps_check(const struct vm *vm, uint64_t cap)
{
	unsigned int i;

	cap = settled_cap(cap);
	for (i = 0; i < NR_ROWS(fixed_caps); i++) {
		if (fixed_caps[i].cap == cap)
			return fixed_caps[i].value;
	}
	return caps_of_profile(vm, cap);
}

static long enable_dirty_protect(struct vm *vm, uint64_t value)
{
	if (value != 0 && value != KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE &&
	    value != (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET))
		return obs_refuse(RULE_CAP_DIRTY_PROTECT);
	vm->dirty_protect = value;
	return 0;
}

/* Ids stay below it. Once, before the first vCPU; 0 changes nothing. */
static long enable_max_vcpu_id(struct vm *vm, uint64_t id)
{
	if (id > KVM_MAX_VCPU_ID)
		return obs_refuse(RULE_CAP_MAX_VCPU_ID);
	if (!id || vm->max_vcpu_id == id)
		return 0;
	if (vm->max_vcpu_id || vm->nr_vcpus)
		return obs_refuse(RULE_CAP_MAX_VCPU_ID_LATE);
	vm->max_vcpu_id = (uint32_t)id;
	return 0;
}

static bool has_attributes(struct vm *vm)
{
	uint32_t now;

	return !attr_map_uniform(mmu_attributes(vm->mmu), 0, ATTR_MAP_MAX_INDEX + 1, &now) || now;
}

/* From here on the VM's guest_memfds say what a page is. For good, and before anybody has asked what one is. */
static long enable_in_place(struct vm *vm, uint64_t value)
{
	long r = 0;

	if (kvm_profile()->in_place != KVM_IN_PLACE_ASKED)
		return obs_refuse(RULE_CAP_UNKNOWN);
	if (!vm->has_private)
		return obs_refuse(RULE_CAP_IN_PLACE_NO_PRIVATE);
	if (value != 1)
		return obs_refuse(RULE_CAP_IN_PLACE_ARGUMENT);
	os_mutex_lock(&vm->slots_lock);
	if (!vm->in_place && (vm->nr_gmems || vm->nr_vcpus || has_attributes(vm)))
		r = obs_refuse(RULE_CAP_IN_PLACE_LATE);
	else
		__atomic_store_n(&vm->in_place, true, __ATOMIC_RELEASE);
	os_mutex_unlock(&vm->slots_lock);
	return r;
}

static long enable_locked(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (is_in_place(cap->cap))
		return enable_in_place(vm, cap->args[0]);
	switch (cap->cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return enable_dirty_protect(vm, cap->args[0]);
	case KVM_CAP_EXIT_HYPERCALL:
		if (cap->args[0] & ~HYPERCALLS)
			return obs_refuse(RULE_CAP_HYPERCALLS);
		vm->hypercall_exits = cap->args[0];
		return 0;
	case KVM_CAP_MAX_VCPU_ID:
		return enable_max_vcpu_id(vm, cap->args[0]);
	case KVM_CAP_DISABLE_QUIRKS:
		return 0; /* gmem has no quirk to turn off: here and below only what is legal counts */
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~kvm_profile()->quirks)
			return obs_refuse(RULE_CAP_QUIRK);
		return 0;
	default:
		return obs_refuse(RULE_CAP_UNKNOWN);
	}
}

long caps_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	long r;

	if (cap->flags)
		return obs_refuse(RULE_CAP_FLAGS);
	os_mutex_lock(&vm->lock);
	r = settled_cap(cap->cap) == NO_CAP ? obs_refuse(RULE_CAP_UNKNOWN) : enable_locked(vm, cap);
	os_mutex_unlock(&vm->lock);
	return r;
}
