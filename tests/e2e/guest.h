/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A small VM for programs that know nothing but the KVM interface: one vCPU in real mode, RAM from gpa 0,
 * code at CODE. Programs of this folder run under "gmem run", unchanged on a real /dev/kvm too.
 */
#ifndef GMEM_TESTS_E2E_GUEST_H
#define GMEM_TESTS_E2E_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gmem/uapi.h>

#define PAGE 4096ul
#define RAM_SIZE 0x8000ul /* slot 0 */
#define CODE 0x1000
#define DATA 0x8000ul /* slot 1, made by the test; real mode reaches it as ds:0x8000 */
#define PORT 0x10

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *ram;
};

void guest_make(struct guest *g, unsigned int vm_type);
void guest_free(struct guest *g);
/* Puts code at CODE and the vCPU there. */
void guest_code(struct guest *g, const void *code, size_t size);
#define GUEST_CODE(g, ...)                                      \
	do {                                                    \
		static const uint8_t code_[] = { __VA_ARGS__ }; \
		guest_code((g), code_, sizeof(code_));          \
	} while (0)
/* KVM_RUN; 0 or -errno. */
int guest_run(struct guest *g);
void guest_regs(struct guest *g, struct kvm_regs *regs);
void guest_set_slot(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t size, void *hva);
void guest_set_gmem(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t size, void *hva, int fd);
int guest_gmem(struct guest *g, uint64_t size, uint64_t flags);
int guest_set_private(struct guest *g, uint64_t gpa, uint64_t size, int is_private);
/* Anonymous memory of the program. */
void *guest_memory(size_t size);
void guest_sleep_us(unsigned int us);

/* Real-mode instructions: ds:0x8000 and al / eax. */
#define LOAD_AL 0xa0, 0x00, 0x80  /* mov al, [0x8000] */
#define STORE_AL 0xa2, 0x00, 0x80 /* mov [0x8000], al */
#define OUT_AL 0xe6, PORT	  /* out PORT, al */
#define MOV_AL(n) 0xb0, (n)	  /* mov al, n */
#define HLT 0xf4
#define LOOP_HERE 0xeb, 0xfe		      /* jmp . */
#define INC_DATA 0x66, 0xff, 0x06, 0x00, 0x80 /* inc dword [0x8000] */

#endif
