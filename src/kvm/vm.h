/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A VM and the requests it takes, by topic. */
#ifndef GMEM_KVM_VM_H
#define GMEM_KVM_VM_H

#include "kvm/object.h"

int vm_create(uint64_t type, struct vm **out);

/* memory.c: slots and attributes. All take vm->slots_lock. */
long memory_set_region(struct vm *vm, const struct kvm_userspace_memory_region2 *r, bool v1);
long memory_set_attributes(struct vm *vm, const struct kvm_memory_attributes *a);
/* Guest physical address width, of the CPU that the guests see. */
unsigned int memory_gpa_bits(void);

/* hva.c: slots of the VM may stand on [hva, hva + size) from here on; said before the first is made, without the
 * VM's locks. hva_forget: there are no vCPUs any more, and nothing has to be told. */
void hva_note(struct vm *vm, uint64_t hva, uint64_t size);
void hva_forget(struct vm *vm);
/* May a slot of some VM stand there? */
bool hva_meets(uint64_t addr, uint64_t size);

/* dirty.c */
long dirty_get(struct vm *vm, const struct kvm_dirty_log *log);
long dirty_clear(struct vm *vm, const struct kvm_clear_dirty_log *log);

/* Does it convert in place? Lock-free: it cannot change once there is a guest_memfd. */
static inline bool vm_in_place(const struct vm *vm)
{
	return __atomic_load_n(&vm->in_place, __ATOMIC_ACQUIRE);
}

/* gmem.c */
long gmem_create(struct vm *vm, const struct kvm_create_guest_memfd *args);
/* The flags that are legal in it now; vm NULL: in some VM. */
uint64_t gmem_legal_flags(const struct vm *vm);
/* The guest_memfd behind a descriptor, counted; -EBADF, or -EINVAL when it is none of this VM. */
int gmem_lookup(struct vm *vm, int fd, struct gmem **out);
/* GMEM_FILE_* of what kvm_set_pages() chose, for files that do not know at first how long they will be. */
unsigned int gmem_page_flags(void);
/* What fallocate() refuses before it asks the file. */
int fallocate_check_vfs(int mode, int64_t offset, int64_t size);

/* ioevent.c: eventfds at addresses, and writes that are only noted in the ring. */
long ioevent_set(struct vm *vm, const struct kvm_ioeventfd *args);
long coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
long coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
/* A write of the guest: true when somebody took it and KVM_RUN need not return. */
bool ioevent_write(struct vcpu *vcpu, bool pio, uint64_t addr, const void *data, uint32_t len);
void ioevent_destroy(struct vm *vm);

/* vcpu.c */
long vcpu_create(struct vm *vm, uint64_t id);

#endif
