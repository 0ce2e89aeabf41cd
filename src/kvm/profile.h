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

/* A capability under another number than it got in the end. */
struct kvm_cap_number {
	uint32_t number, settled;
};

/* What KVM_RUN tells of a page that is not what the guest takes it for. */
struct kvm_memory_exit {
	uint32_t reason;       /* kvm_run.exit_reason */
	uint32_t flag_private; /* the bit of its flags */
	int error;	       /* what KVM_RUN fails with; 0: it does not fail */
};

/* How a file with memory of guests comes, where it is not made by a VM. */
enum kvm_memfd_kind {
	KVM_MEMFD_PLAIN, /* memfd_create(MFD_INACCESSIBLE): the tmpfs file itself, which refuses */
	KVM_MEMFD_SHIM,	 /* the same, and a file without calls stands before a hidden one */
	KVM_MEMFD_RESTRICTED, /* memfd_restricted(): so, too */
};

/* Who says whether a page is private? */
enum kvm_truth {
	KVM_TRUTH_ALLOCATED, /* the file: what has memory in it is private */
	KVM_TRUTH_ENCRYPTED, /* the VM, by KVM_MEMORY_ENCRYPT_REG_REGION: all that was not made shared */
	KVM_TRUTH_ATTRIBUTES, /* the VM, by KVM_SET_MEMORY_ATTRIBUTES_V10 */
};

/* The designs before a VM made its guest_memfds (docs/generations.md): what the adapters of memfd.c and early.c go by. */
struct kvm_early {
	enum kvm_memfd_kind memfd;
	enum kvm_truth truth;
	const char *link;   /* behind /proc/self/fd; NULL: as the memfd's */
	uint64_t fs_magic;  /* statfs */
	uint32_t slot_size; /* of the structure that KVM_MEM_PRIVATE makes of the old one */
	bool any_offset;    /* nobody looks at private_offset, nor at userspace_addr */
	bool memlock;	    /* allocations count against RLIMIT_MEMLOCK (memlock.h) */
	int fd_other;	    /* errno of a slot with a file of another kind */
};

struct kvm_profile {
	const char *name;
	const char *
		kernel; /* "6.8": rules of later kernels do not hold; NULL: as the name says, or all do */
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
	uint32_t gmem_slot_flags;    /* KVM_MEM_* that are legal beside KVM_MEM_GUEST_MEMFD */
	uint64_t gmem_hugepage; /* the flag of KVM_CREATE_GUEST_MEMFD that asks for huge pages */
	bool gmem_empty;	/* a guest_memfd may have size 0 */
	bool gmem_write;	/* write() fills pages of a guest_memfd that can be mapped */
	bool no_prefault;	/* no KVM_PRE_FAULT_MEMORY */
	uint32_t
		caps_end; /* there are no capabilities from this number on; 0: all there are today */
	const struct kvm_cap_number *caps_moved;   /* these there are; ended by a 0 */
	const struct kvm_memory_exit *memory_exit; /* NULL: as it is since 6.8 */
	const struct kvm_early *early;		   /* there is no guest_memfd yet, but this */
	enum kvm_in_place in_place;
	/* Only where in_place is not NEVER: */
	uint32_t cap_in_place;	 /* the number of KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES */
	bool vm_attributes_gone; /* KVM_SET_MEMORY_ATTRIBUTES: -ENOTTY, else it knows no attribute */
	bool shared_without_private; /* to shared is legal for a VM without private memory, too */
};

extern const struct kvm_profile
	*const kvm_profiles[]; /* NULL at the end; the first is the default */

#endif
