/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * profile: which kernel we answer like. Data only: code asks the profile for a rule, it never tests for
 * a version. Where kernels differ: spec of the memory interface, its last section.
 */
#ifndef GMEM_KVM_PROFILE_H
#define GMEM_KVM_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_profile {
	const char *name;
	uint32_t vm_types;	     /* KVM_CAP_VM_TYPES */
	bool gmem_any_vm;	     /* guest_memfd slots on VMs without private memory too */
	uint64_t gmem_flags;	     /* legal for a VM without private memory; 0: no flag at all */
	uint64_t gmem_flags_private; /* the same for a VM with private memory */
	bool cap_gmem_flags;	     /* KVM_CAP_GUEST_MEMFD_FLAGS is known */
	int bind_overlap;	     /* errno of a file range that is bound already */
	bool gmem_own_fs;	     /* its own file system: magic and link name */
	bool prefault_waits;	     /* a prefault that meets a dying slot waits for it */
	bool hypercall_ret_zeroed;   /* run->hypercall.ret is 0 at the exit */
	uint64_t quirks;	     /* KVM_CAP_DISABLE_QUIRKS2 */
};

extern const struct kvm_profile
	*const kvm_profiles[]; /* NULL at the end; the first is the default */

#endif
