/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * leakvmm: a virtual machine monitor that works, and holds memory twice. docs/tutorial.md finds out where, and
 * mends it; this is the file before that, as its author left it.
 *
 *	leakvmm [--stay]
 *
 * The guest has 16 MiB. It asks for all of it to be private, uses every page, and then makes one 1 MiB buffer after the
 * other shared, fills it and has the host send it. --stay: when the guest halts, the VMM waits to be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define PAGE 4096u
#define CODE_GPA 0x1000u
#define CODE_SIZE 0x4000u
#define RAM_GPA 0x1000000u
#define RAM_SIZE 0x1000000u
#define BUFFER_SIZE 0x100000u
#define PORT_SEND 0x10
#define PORT_GIVE_UP 0x11

/* The guest, 32-bit code without paging. To convert: eax = 12, ebx = address, ecx = pages, edx = 16 for private. */
extern const char guest[], guest_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"guest:	mov	$12, %eax\n"
	"	mov	$0x1000000, %ebx\n"
	"	mov	$4096, %ecx\n"
	"	mov	$16, %edx\n"
	"	vmcall\n"
	"	test	%eax, %eax\n"
	"	jnz	4f\n"
	"1:	movl	$0x5ec3e7, (%ebx)\n" /* every page has a secret now */
	"	add	$4096, %ebx\n"
	"	cmp	$0x2000000, %ebx\n"
	"	jb	1b\n"
	"	mov	$0x1400000, %ebx\n"
	"2:	mov	$12, %eax\n"
	"	mov	$256, %ecx\n"
	"	xor	%edx, %edx\n"
	"	vmcall\n"
	"	test	%eax, %eax\n"
	"	jnz	4f\n"
	"3:	movl	$0x600d, (%ebx)\n" /* every page has a word for the network */
	"	add	$4096, %ebx\n"
	"	loop	3b\n"
	"	lea	-0x100000(%ebx), %eax\n"
	"	out	%eax, $0x10\n"
	"	cmp	$0x1c00000, %ebx\n"
	"	jb	2b\n"
	"	hlt\n"
	"4:	out	%eax, $0x11\n"
	"	hlt\n"
	"guest_end:\n"
	".code64\n"
	".popsection\n");

struct vmm {
	int kvm, vm, vcpu, guest_memfd;
	struct kvm_run *run;
	char *ram; /* the shared pages */
	unsigned int nr_sent, nr_bad;
};

static int check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "leakvmm: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static void *map(size_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	check(p == MAP_FAILED ? -1 : 0, "mmap");
	return p;
}

/* ---- conversion ---- */

static void discard_shared(struct vmm *v, uint64_t gpa, uint64_t size)
{
	check(madvise(v->ram + (gpa - RAM_GPA), size, MADV_DONTNEED), "madvise");
}

static int convert(struct vmm *v, uint64_t gpa, uint64_t size, bool to_private)
{
	struct kvm_memory_attributes attributes = {
		.address = gpa,
		.size = size,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(v->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
}

static void on_hypercall(struct vmm *v)
{
	uint64_t gpa = v->run->hypercall.args[0];
	uint64_t size = v->run->hypercall.args[1] * PAGE;
	bool to_private = v->run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED;

	if (gpa < RAM_GPA || size > RAM_SIZE || gpa - RAM_GPA > RAM_SIZE - size) {
		v->run->hypercall.ret = (uint64_t)-EINVAL;
		return;
	}
	if (convert(v, gpa, size, to_private) < 0)
		perror("leakvmm: conversion");
	if (to_private)
		discard_shared(v, gpa, size);
	v->run->hypercall.ret = 0;
}

/* The guest has touched a page as what it is not. Make it that; the guest touches it again. */
static void on_memory_fault(struct vmm *v)
{
	bool to_private = v->run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	check(convert(v, v->run->memory_fault.gpa, v->run->memory_fault.size, to_private),
	      "conversion");
}

/* ---- the machine ---- */

static void send_buffer(struct vmm *v, uint32_t gpa)
{
	const char *buffer = v->ram + (gpa - RAM_GPA);
	bool good = true;

	for (size_t i = 0; i < BUFFER_SIZE; i += PAGE)
		good = good && memcmp(buffer + i, "\x0d\x60", 2) == 0;
	v->nr_sent++;
	v->nr_bad += !good;
}

/* false when the guest has halted. */
static bool on_exit_reason(struct vmm *v)
{
	const void *data = (const char *)v->run + v->run->io.data_offset;

	switch (v->run->exit_reason) {
	case KVM_EXIT_HYPERCALL:
		on_hypercall(v);
		return true;
	case KVM_EXIT_IO:
		if (v->run->io.port == PORT_SEND)
			send_buffer(v, *(const uint32_t *)data);
		else if (v->run->io.port == PORT_GIVE_UP)
			printf("leakvmm: the guest gives up: %s\n", strerror(-*(const int *)data));
		return true;
	case KVM_EXIT_HLT:
		return false;
	default:
		fprintf(stderr, "leakvmm: exit for reason %u\n", v->run->exit_reason);
		exit(1);
	}
}

static void run(struct vmm *v)
{
	bool goes_on = true;

	while (goes_on) {
		if (ioctl(v->vcpu, KVM_RUN, 0) == 0)
			goes_on = on_exit_reason(v);
		else if (errno == EFAULT && v->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
			on_memory_fault(v);
		else if (errno != EINTR)
			check(-1, "KVM_RUN");
	}
}

static void add_slot(struct vmm *v, uint32_t slot, uint64_t gpa, uint64_t size, void *memory,
		     int guest_memfd)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = guest_memfd < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
		.guest_memfd = (uint32_t)guest_memfd,
	};

	check(ioctl(v->vm, KVM_SET_USER_MEMORY_REGION2, &region), "memory slot");
}

static void create_vm(struct vmm *v)
{
	struct kvm_enable_cap hypercalls = { .cap = KVM_CAP_EXIT_HYPERCALL,
					     .args = { 1 << KVM_HC_MAP_GPA_RANGE } };
	struct kvm_create_guest_memfd create = { .size = RAM_SIZE };
	char *code = map(CODE_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	v->kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	v->vm = check(ioctl(v->kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM), "VM");
	check(ioctl(v->vm, KVM_ENABLE_CAP, &hypercalls), "hypercalls");
	v->guest_memfd = check(ioctl(v->vm, KVM_CREATE_GUEST_MEMFD, &create), "guest_memfd");
	v->ram = map(RAM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memcpy(code, guest, (size_t)(guest_end - guest));
	add_slot(v, 0, CODE_GPA, CODE_SIZE, code, -1);
	add_slot(v, 1, RAM_GPA, RAM_SIZE, v->ram, v->guest_memfd);
}

static void create_vcpu(struct vmm *v)
{
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct kvm_sregs sregs;
	int size = check(ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "size of a vCPU's page");

	v->vcpu = check(ioctl(v->vm, KVM_CREATE_VCPU, 0), "vCPU");
	v->run = map((size_t)size, MAP_SHARED, v->vcpu);
	check(ioctl(v->vcpu, KVM_GET_SREGS, &sregs), "segments");
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cs = data;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cr0 |= 1; /* protected mode */
	check(ioctl(v->vcpu, KVM_SET_SREGS, &sregs), "segments");
	check(ioctl(v->vcpu, KVM_SET_REGS, &regs), "registers");
}

int main(int argc, char **argv)
{
	struct vmm v = { 0 };

	create_vm(&v);
	create_vcpu(&v);
	run(&v);
	printf("leakvmm: sent %u buffers, %u of them bad\n", v.nr_sent, v.nr_bad);
	fflush(stdout);
	while (argc > 1 && strcmp(argv[1], "--stay") == 0)
		pause();
	return v.nr_bad ? 1 : 0;
}
