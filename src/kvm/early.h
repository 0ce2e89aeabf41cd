/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * early: VMs of the generations before guest_memfd: their requests, as operations on slots and attributes. Nothing here
 * is called in profiles without kvm_early, but for the functions that say so.
 */
#ifndef GMEM_KVM_EARLY_H
#define GMEM_KVM_EARLY_H

#include "kvm/object.h"

/* Any profile: what a VM's mmu is to be like. */
void early_configure(const struct vm *vm, struct mmu_config *config);

/* Any profile: what has no file is shared, whatever the VM says of its address. */
bool early_private_with_file(void);

/* KVM_SET_USER_MEMORY_REGION, whose structure is longer where KVM_MEM_PRIVATE is set; r is what it begins with, at arg. */
long early_set_region(struct vm *vm, const struct kvm_userspace_memory_region *r, uint64_t arg);
/* The file that a new slot names, counted, and where in it. As it is found the range can be bound. */
int early_find_file(int fd, uint64_t *offset, uint64_t size, struct kvm_object **out);

/* Any profile: requests of these generations; -NO_SUCH_REQUEST. */
long early_ioctl(struct vm *vm, unsigned int cmd, uint64_t arg);
/* Any profile: does the VM know this request of later kernels? */
bool early_lacks(unsigned int cmd);

/* Any profile: the guest says what it takes pages for; false: it cannot, here. */
bool early_guest_says(struct vm *vm, uint64_t gpa, uint64_t pages, bool is_private);

#endif
