/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Where kernels differ, and what they say of themselves. */
#include "model.h"

#include <errno.h>
#include <string.h>

#define BOTH_FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define OF_ALL                                                                                \
	.vm_types = 3, .attributes = true, .prefault = true, .hypercalls = true, .spaces = 2, \
	.pins_outlive_punch = true
#define LINUX_7_2                                                                      \
	OF_ALL, .gmem_any_vm = true, .gmem_flags = BOTH_FLAGS, .cap_gmem_flags = true, \
		.gmem_flags_private = GUEST_MEMFD_FLAG_MMAP, .bind_overlap = -EEXIST
#define LINUX_6_18(since) \
	OF_ALL, .gmem_any_vm = (since), .cap_gmem_flags = (since), .bind_overlap = -EINVAL

static const struct rules all_rules[] = {
	{ .name = "linux-7.2", LINUX_7_2 },
	{ .name = "linux-6.18",
	  LINUX_6_18(true),
	  .gmem_flags = BOTH_FLAGS,
	  .gmem_flags_private = GUEST_MEMFD_FLAG_MMAP },
	{ .name = "linux-6.12", LINUX_6_18(false) },
	{ .name = "in-place",
	  LINUX_7_2,
	  .in_place = true,
	  .cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES },
	{ .name = "in-place-per-vm",
	  LINUX_7_2,
	  .asked = true,
	  .cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES },
	{ .name = "in-place-v7",
	  LINUX_7_2,
	  .in_place = true,
	  .v7 = true,
	  .cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES_V7 },
};

const struct rules *rules_find(const char *name)
{
	for (size_t i = 0; i < sizeof(all_rules) / sizeof(all_rules[0]); i++) {
		if (!strcmp(all_rules[i].name, name))
			return &all_rules[i];
	}
	return NULL;
}

int64_t rules_capability(struct model *m, const struct op *op)
{
	const struct rules *r = &m->rules;
	struct vm *vm = model_vm(m, op);

	if (!vm)
		return -EBADF;
	if (r->cap_in_place && op->n == r->cap_in_place)
		return vm->has_private && vm->in_place ? (int64_t)KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	switch (op->n) {
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return vm->has_private && !vm->in_place ? (int64_t)KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	case KVM_CAP_GUEST_MEMFD:
		return vm->has_private || r->gmem_any_vm;
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		return r->cap_gmem_flags ? (int64_t)model_legal_flags(m, vm) : 0;
	case KVM_CAP_VM_TYPES:
		return r->vm_types;
	case KVM_CAP_NR_MEMSLOTS:
		return USER_SLOTS;
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		return vm->has_private ? 1 : r->spaces > 1 ? r->spaces : 0;
	default:
		return UNDEFINED;
	}
}
