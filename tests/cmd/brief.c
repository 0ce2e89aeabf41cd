/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * brief: VMs that live for a moment, each with a page that is held twice, or, "clean", none. What ends first is the
 * argument: the "file", the "vm", the "slot", the "memory" or the process ("exit"). "many": 40 clean VMs come after it.
 * "processes": it lives in a process, and 200 others with a clean one come after it; "clean-processes": these alone.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define PAGE 4096ull
#define GPA (1ull << 32)

static int kvm, vm, vcpu, file;
static char *memory;

static int must(const char *what, long ret)
{
	if (ret < 0) {
		perror(what);
		exit(9);
	}
	return (int)ret;
}

static void set_slot(uint64_t size)
{
	struct kvm_userspace_memory_region2 r = {
		.flags = size ? KVM_MEM_GUEST_MEMFD : 0,
		.guest_phys_addr = GPA,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
		.guest_memfd = size ? (uint32_t)file : 0,
	};

	must("slot", ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r));
}

static void live(int is_clean)
{
	struct kvm_create_guest_memfd g = { .size = PAGE };
	struct kvm_memory_attributes a = { .address = GPA,
					   .size = PAGE,
					   .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
	struct kvm_pre_fault_memory f = { .gpa = GPA, .size = PAGE };

	vm = must("vm", ioctl(kvm, KVM_CREATE_VM, 1UL));
	vcpu = must("vcpu", ioctl(vm, KVM_CREATE_VCPU, 0));
	file = must("file", ioctl(vm, KVM_CREATE_GUEST_MEMFD, &g));
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	set_slot(PAGE);
	must("private", ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a));
	must("contents", ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &f));
	if (!is_clean)
		memory[0] = 1;
}

static void end(const char *first)
{
	close(vcpu);
	if (!strcmp(first, "exit"))
		exit(0);
	if (!strcmp(first, "slot"))
		set_slot(0);
	if (!strcmp(first, "memory"))
		munmap(memory, PAGE);
	if (!strcmp(first, "vm"))
		close(vm);
	close(file);
	if (strcmp(first, "vm") != 0)
		close(vm);
	if (strcmp(first, "memory") != 0)
		munmap(memory, PAGE);
}

static void live_in_process(int is_clean)
{
	if (!must("fork", fork())) {
		kvm = must("kvm", open("/dev/kvm", O_RDWR));
		live(is_clean);
		_exit(0);
	}
	wait(NULL);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "clean";

	if (strstr(how, "processes")) {
		if (!strcmp(how, "processes"))
			live_in_process(0);
		for (int i = 0; i < 200; i++)
			live_in_process(1);
		return 0;
	}
	kvm = must("kvm", open("/dev/kvm", O_RDWR));
	live(!strcmp(how, "clean"));
	end(how);
	for (int i = 0; i < 40 && !strcmp(how, "many"); i++) {
		live(1);
		end(how);
	}
	/* What ends in order is looked at once more; here there is nothing left to see. */
	return 0;
}
