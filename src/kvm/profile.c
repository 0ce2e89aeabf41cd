/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/profile.h"

#include <gmem/early.h>
#include <gmem/uapi.h>

#include <errno.h>
#include <stddef.h>

#define BOTH_TYPES (1u << KVM_X86_DEFAULT_VM | 1u << KVM_X86_SW_PROTECTED_VM)

/* clang-format off */
#define AS_LINUX_7_2                                                           \
	.vm_types = BOTH_TYPES,                                                \
	.gmem_any_vm = true,                                                   \
	.gmem_flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,    \
	.gmem_flags_private = GUEST_MEMFD_FLAG_MMAP,                           \
	.cap_gmem_flags = true,                                                \
	.bind_overlap = -EEXIST,                                               \
	.gmem_own_fs = true,                                                   \
	.hypercall_ret_zeroed = true,                                          \
	.quirks = 0xfff
/* clang-format on */

static const struct kvm_profile linux_7_2 = {
	.name = "linux-7.2",
	AS_LINUX_7_2,
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

/*
 * In-place conversion, which no released kernel has: 7.2 with the series as it was posted. Version 8 took a
 * new number for the capability and kept the per-VM request, without any attribute.
 */
static const struct kvm_profile in_place = {
	.name = "in-place",
	AS_LINUX_7_2,
	.in_place = KVM_IN_PLACE_ALWAYS,
	.cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES,
};

/* Its capability has the number that 7.2 gave to one of another architecture, which x86 answers with 0. */
static const struct kvm_profile in_place_v7 = {
	.name = "in-place-v7",
	AS_LINUX_7_2,
	.in_place = KVM_IN_PLACE_ALWAYS,
	.cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES_V7,
	.vm_attributes_gone = true,
	.shared_without_private = true,
};

/* Ours alone: the series chooses when the module is loaded, here each VM does. */
static const struct kvm_profile in_place_per_vm = {
	.name = "in-place-per-vm",
	AS_LINUX_7_2,
	.in_place = KVM_IN_PLACE_ASKED,
	.cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES,
};

/*
 * The series by which guest_memfds are populated with write(), version 6, which no released kernel has: a loader fills
 * pages without mapping them.
 */
static const struct kvm_profile gmem_write_v6 = {
	.name = "gmem-write-v6",
	AS_LINUX_7_2,
	.gmem_write = true,
};

/*
 * guest_memfd as its thirteenth version was posted, October 2023, before 6.8 took it: capabilities one lower, and
 * three rules that were dropped or added on the way.
 */
static const struct kvm_cap_number caps_v13[] = {
	{ KVM_CAP_USER_MEMORY2 - 1, KVM_CAP_USER_MEMORY2 },
	{ KVM_CAP_MEMORY_FAULT_INFO - 1, KVM_CAP_MEMORY_FAULT_INFO },
	{ KVM_CAP_MEMORY_ATTRIBUTES - 1, KVM_CAP_MEMORY_ATTRIBUTES },
	{ KVM_CAP_GUEST_MEMFD - 1, KVM_CAP_GUEST_MEMFD },
	{ KVM_CAP_VM_TYPES - 1, KVM_CAP_VM_TYPES },
	{ 0 },
};

static const struct kvm_profile gmem_v13 = {
	.name = "gmem-v13",
	.kernel = "6.8",
	.vm_types = BOTH_TYPES,
	.gmem_flags = KVM_GUEST_MEMFD_ALLOW_HUGEPAGE,
	.gmem_flags_private = KVM_GUEST_MEMFD_ALLOW_HUGEPAGE,
	.bind_overlap = -EINVAL,
	.quirks = 0x7f,
	.gmem_slot_flags = KVM_MEM_READONLY,
	.gmem_hugepage = KVM_GUEST_MEMFD_ALLOW_HUGEPAGE,
	.gmem_empty = true,
	.no_prefault = true,
	.caps_end = KVM_CAP_USER_MEMORY2 - 1,
	.caps_moved = caps_v13,
};

/* ---- before guest_memfd, newest first ----------------------------------------------------------- */

#define BESIDE_PRIVATE (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

static const struct kvm_cap_number caps_v10[] = {
	{ KVM_CAP_MEMORY_ATTRIBUTES_V10, KVM_CAP_MEMORY_ATTRIBUTES },
	{ 0 },
};

static const struct kvm_memory_exit exit_v10 = {
	.reason = KVM_EXIT_MEMORY_FAULT_V10,
	.flag_private = KVM_MEMORY_EXIT_FLAG_PRIVATE_V5,
};

static const struct kvm_early early_v10 = {
	.memfd = KVM_MEMFD_RESTRICTED,
	.truth = KVM_TRUTH_ATTRIBUTES,
	.link = "/memfd:restrictedmem (deleted)",
	.fs_magic = RESTRICTEDMEM_MAGIC,
	.slot_size = sizeof(struct kvm_userspace_memory_region_v10),
	.fd_other = -EINVAL,
};

static const struct kvm_profile restrictedmem_v10 = {
	.name = "restrictedmem-v10",
	.kernel = "6.1",
	.vm_types = BOTH_TYPES,
	.quirks = 0x3f,
	.gmem_slot_flags = BESIDE_PRIVATE,
	.no_prefault = true,
	.caps_end = KVM_CAP_MEMORY_ATTRIBUTES_V10,
	.caps_moved = caps_v10,
	.memory_exit = &exit_v10,
	.early = &early_v10,
};

static const struct kvm_memory_exit exit_v8 = {
	.reason = KVM_EXIT_MEMORY_FAULT_V8,
	.flag_private = KVM_MEMORY_EXIT_FLAG_PRIVATE_V5,
};

static const struct kvm_early early_v8 = {
	.memfd = KVM_MEMFD_SHIM,
	.truth = KVM_TRUTH_ENCRYPTED,
	.link = "/[memfd:inaccessible] (deleted)",
	.fs_magic = INACCESSIBLE_MAGIC,
	.slot_size = sizeof(struct kvm_userspace_memory_region_v8),
	.fd_other = -EINVAL,
};

static const struct kvm_profile memfd_v8 = {
	.name = "memfd-v8",
	.kernel = "6.0",
	.vm_types = BOTH_TYPES,
	.quirks = 0x3f,
	.gmem_slot_flags = BESIDE_PRIVATE,
	.no_prefault = true,
	.caps_end = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES + 1,
	.memory_exit = &exit_v8,
	.early = &early_v8,
};

static const struct kvm_memory_exit exit_v5 = {
	.reason = KVM_EXIT_MEMORY_ERROR,
	.flag_private = KVM_MEMORY_EXIT_FLAG_PRIVATE_V5,
	.error = -EPERM,
};

static const struct kvm_early early_v5 = {
	.memfd = KVM_MEMFD_PLAIN,
	.truth = KVM_TRUTH_ALLOCATED,
	.fs_magic = 0x01021994, /* tmpfs */
	.slot_size = sizeof(struct kvm_userspace_memory_region_v5),
	.any_offset = true,
	.memlock = true,
	.fd_other = -EOPNOTSUPP,
};

static const struct kvm_profile memfd_v5 = {
	.name = "memfd-v5",
	.kernel = "5.17",
	.vm_types = BOTH_TYPES,
	.gmem_slot_flags = BESIDE_PRIVATE,
	.no_prefault = true,
	.caps_end = KVM_CAP_SYS_ATTRIBUTES + 1,
	.memory_exit = &exit_v5,
	.early = &early_v5,
};

const struct kvm_profile *const kvm_profiles[] = {
	&linux_7_2,	&linux_6_18, &linux_6_12,	 &in_place, &in_place_v7, &in_place_per_vm,
	&gmem_write_v6, &gmem_v13,   &restrictedmem_v10, &memfd_v8, &memfd_v5,	  NULL,
};
