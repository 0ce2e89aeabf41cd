/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/profile.h"

#include <gmem/uapi.h>

#include <errno.h>
#include <stddef.h>

#define BOTH_TYPES (1u << KVM_X86_DEFAULT_VM | 1u << KVM_X86_SW_PROTECTED_VM)

static const struct kvm_profile linux_7_2 = {
	.name = "linux-7.2",
	.vm_types = BOTH_TYPES,
	.gmem_any_vm = true,
	.gmem_flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	.gmem_flags_private = GUEST_MEMFD_FLAG_MMAP,
	.cap_gmem_flags = true,
	.bind_overlap = -EEXIST,
	.gmem_own_fs = true,
	.hypercall_ret_zeroed = true,
	.quirks = 0xfff,
};

static const struct kvm_profile linux_6_18 = {
	.name = "linux-6.18",
	.vm_types = BOTH_TYPES,
	.gmem_any_vm = true,
	.gmem_flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	.gmem_flags_private = GUEST_MEMFD_FLAG_MMAP,
	.cap_gmem_flags = true,
	.bind_overlap = -EINVAL,
	.hypercall_ret_zeroed = true,
	.quirks = 0x1ff,
};

static const struct kvm_profile linux_6_12 = {
	.name = "linux-6.12",
	.vm_types = BOTH_TYPES,
	.bind_overlap = -EINVAL,
	.prefault_waits = true,
	.quirks = 0xff,
};

const struct kvm_profile *const kvm_profiles[] = { &linux_7_2, &linux_6_18, &linux_6_12, NULL };
