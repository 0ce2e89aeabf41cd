/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * memfd: a file of the generations before guest_memfd, as the rest of kvm/ sees it; what the shim asks of one is in
 * kvm.h. Objects are counted by descriptors and slots. Any thread.
 */
#ifndef GMEM_KVM_MEMFD_H
#define GMEM_KVM_MEMFD_H

#include "kvm/object.h"

void memfd_destroy(struct kvm_object *o);

/* Of objects of type KVM_OBJECT_MEMFD. It is there as long as the object is. */
struct gmem_file *memfd_file(struct kvm_object *o);
/* Three parts of what /proc/self/fd shows. */
void memfd_link(struct kvm_object *o, const char **prefix, const char **name, const char **end);
/* -EPERM or -ENODEV. */
int memfd_mmap(void);

#endif
