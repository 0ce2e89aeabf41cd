/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * profile: which kernel we answer like. Data only: code asks the profile for a rule, it never tests for
 * a version. Where kernels differ: spec of the memory interface, its last section.
 */
#ifndef GMEM_KVM_PROFILE_H
#define GMEM_KVM_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

/* Who says what a page is: the VM, by guest address, or each guest_memfd itself (conversion in place)? */
enum kvm_in_place {
	KVM_IN_PLACE_NEVER,
	KVM_IN_PLACE_ALWAYS, /* every VM's guest_memfds */
	KVM_IN_PLACE_ASKED,  /* those of a VM that asked for it first */
};

struct kvm_profile {
	const char *name;
	uint32_t vm_types;   /* KVM_CAP_VM_TYPES */
	bool gmem_any_vm;    /* guest_memfd slots on VMs without private memory too */
	uint64_t gmem_flags; /* legal without private memory, and in place; 0: no flag at all */
	uint64_t gmem_flags_private; /* legal with private memory, not in place */
	bool cap_gmem_flags;	     /* KVM_CAP_GUEST_MEMFD_FLAGS is known */
	int bind_overlap;	     /* errno of a file range that is bound already */
	bool gmem_own_fs;	     /* its own file system: magic and link name */
	bool prefault_waits;	     /* a prefault that meets a dying slot waits for it */
	bool hypercall_ret_zeroed;   /* run->hypercall.ret is 0 at the exit */
	uint64_t quirks;	     /* KVM_CAP_DISABLE_QUIRKS2 */
	enum kvm_in_place in_place;
	/* Only where in_place is not NEVER: */
	uint32_t cap_in_place;	 /* the number of KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES */
	bool vm_attributes_gone; /* KVM_SET_MEMORY_ATTRIBUTES: -ENOTTY, else it knows no attribute */
	bool shared_without_private; /* to shared is legal for a VM without private memory, too */
};

extern const struct kvm_profile
	*const kvm_profiles[]; /* NULL at the end; the first is the default */

#endif
