/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VM as a program has it: descriptors, requests, and mappings of its guest_memfd. Everything below kvm_ioctl() and
 * host_map is the real thing, down to the system's page tables: what a page of a window says is what a system call
 * gets that touches it.
 *
 * kvm/ and map/ keep state of the process and a thread, so each schedule has a process of its own.
 */
#ifndef GMEM_TESTS_SIM_KVM_WORLD_H
#define GMEM_TESTS_SIM_KVM_WORLD_H

#include <gmem/uapi.h>

#include "kvm/kvm.h"
#include "map/host_map.h"
#include "os/fault.h"
#include "os/sim/sim.h"

#define PAGE ((uint64_t)OS_PAGE_SIZE)
#define DATA_GPA 0x10000u /* of the slot of the guest_memfd */
#define CODE_GPA 0x1000u
#define NR_PAGES 3u /* of the guest_memfd */

struct kvm_world {
	int vm, vcpu, gmem; /* -1: closed */
	void *memory;	    /* of the program: code, and the shared half */
	int memory_fd;
	struct os_mutex map_lock; /* the shim's: changes of mappings */
	uint64_t bytes;		  /* of os/, before there was a VM */
	bool has_windows;
};
extern struct kvm_world kw;

/* In setup. A VM with private memory, code in a slot, a guest_memfd in another, a vCPU that can run. */
void kw_make(const char *profile, uint64_t gmem_flags);
/* In setup. Another VM, whose slot of code stands on the same memory. */
int kw_vm_beside(void);
/* In teardown: closes what is open, and nothing is left. */
void kw_unmake(void);

/* -EBADF: closed. What is closed while a call runs lives until it returns. */
long kw_call(int fd, unsigned long cmd, const void *arg);
long kw_value(int fd, unsigned long cmd, uint64_t arg);
void kw_close(int fd);
/* Counted; NULL: closed. */
struct kvm_object *kw_object(int fd);

long kw_slot(uint32_t slot, uint64_t gpa, uint64_t size, uint32_t flags, uint64_t offset);
long kw_set_private(uint64_t page, uint64_t nr, bool is_private);
/* In place. */
long kw_convert(uint64_t page, uint64_t nr, bool is_private);
/* Maps the guest_memfd; where. */
uint64_t kw_map(void);
void kw_unmap(uint64_t addr, uint64_t size);

#endif
