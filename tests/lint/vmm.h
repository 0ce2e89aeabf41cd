/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A tiny VMM, without faults: what the programs of this folder have in common. Each of them is built twice: with one
 * sin that lint knows, and (TWIN) corrected. The line that is to be told has "SIN" in it.
 *
 * One vCPU in real mode. Slot 0: plain memory with the code. Slot 1: gpa MEMORY, which ds:0 is, all shared at first;
 * its shared pages are in a memfd that the host has mapped, its private ones in a guest_memfd. With a profile that
 * converts in place both are in the guest_memfd.
 *
 * It speaks to /dev/kvm alone.
 */
#ifndef GMEM_TESTS_LINT_VMM_H
#define GMEM_TESTS_LINT_VMM_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define PAGE 4096ull
#define MIB (1ull << 20)
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define MEMORY (2 * MIB)

struct memory {
	uint64_t gpa, size;
	int memfd, gmem;
	char *host;
};

struct vmm {
	int kvm, vm, vcpu;
	bool in_place;
	struct kvm_run *run;
	size_t run_size;
	char *code;
	struct memory memory;
	/* of one that is refused or has failed */
	struct kvm_memory_attributes vm_args;
	struct kvm_memory_attributes2 gmem_args;
};

/* Ends the program when it failed. */
int must(const char *what, int result);

/* /dev/kvm, a VM, slot 0, and a vCPU that is to run the code. */
void vmm_make(struct vmm *v, const void *code, size_t size);
/* All descriptors are closed. */
void vmm_free(struct vmm *v);
/* A memfd and its mapping, and the slot; gmem is there already. */
void vmm_add_memory(struct vmm *v, uint32_t slot, struct memory *m);
/* What KVM_CREATE_GUEST_MEMFD gets. */
struct kvm_create_guest_memfd *vmm_gmem_args(const struct vmm *v, uint64_t size);
/* Slot 1 of so many bytes. */
void vmm_plain_memory(struct vmm *v, uint64_t size);
/* The reason of the next exit; the program ends when there is none. */
uint32_t vmm_run(struct vmm *v);
/* Frees what the pages have on the side that is not used any more. Nothing to do in place. */
void vmm_discard(const struct vmm *v, const struct memory *m, uint64_t gpa, uint64_t size,
		 bool is_private);

/* The arguments of a conversion that was asked for by the guest's hypercall, or of another. */
void *vmm_args(struct vmm *v, const struct memory *m, uint64_t gpa, uint64_t size,
	       uint64_t attributes);
/* One call: the place is where this stands. */
#define CONVERT(v, m, gpa, size, attributes)                                          \
	ioctl((v)->in_place ? (m)->gmem : (v)->vm,                                    \
	      (v)->in_place ? KVM_SET_MEMORY_ATTRIBUTES2 : KVM_SET_MEMORY_ATTRIBUTES, \
	      vmm_args((v), (m), (gpa), (size), (attributes)))

/* What the guest asks for by its hypercall. */
struct asked {
	uint64_t gpa, size;
	bool is_private;
};
struct asked vmm_asked(const struct vmm *v);

/* ---- the guest ------------------------------------------------------------------------------------ */

#define LE32(n) (uint8_t)(n), (uint8_t)((n) >> 8), (uint8_t)((n) >> 16), (uint8_t)((n) >> 24)
/* eax, ebx, ecx, edx, vmcall */
#define ASK(gpa, pages, flags)                                                                  \
	0x66, 0xb8, LE32(KVM_HC_MAP_GPA_RANGE), 0x66, 0xbb, LE32(gpa), 0x66, 0xb9, LE32(pages), \
		0x66, 0xba, LE32(flags), 0x0f, 0x01, 0xc1
#define ASK_PRIVATE KVM_MAP_GPA_RANGE_ENCRYPTED
#define ASK_SHARED 0
/* A byte at MEMORY + offset. */
#define WRITE(offset) 0xa2, (uint8_t)(offset), (uint8_t)((offset) >> 8)
#define HLT 0xf4

#endif
