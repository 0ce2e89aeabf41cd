/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Each line with a mark is told as the place of what it does, by wrapped_calls. */
#include "wrapped.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#include "gmem/uapi.h"

#define SIZE 0x10000

/* Wherever it is called it is part of the caller. */
static inline __attribute__((always_inline)) int vcpu_ioctl(int fd, unsigned long request,
							    void *arg)
{
	return vm_ioctl(fd, request, arg);
}

static __attribute__((noinline)) int convert(int vm, uint64_t start, uint64_t size)
{
	struct kvm_memory_attributes a = {
		.address = start,
		.size = size,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int ret = vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a); /* MARK convert */

	__asm__ volatile("" : : "r"(&a) : "memory");
	return ret;
}

static __attribute__((noinline)) int convert_inlined(int vm)
{
	struct kvm_memory_attributes a = { .address = 0x1000, .size = 0x1000 };
	int ret = vcpu_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a); /* MARK inlined */

	__asm__ volatile("" : : "r"(&a) : "memory");
	return ret;
}

static __attribute__((noinline)) int convert_by_own(int vm)
{
	struct kvm_memory_attributes a = { .address = 0x2000, .size = 0x1000 };
	int ret = our_own_call(vm, KVM_SET_MEMORY_ATTRIBUTES, &a); /* MARK own */

	__asm__ volatile("" : : "r"(&a) : "memory");
	return ret;
}

static __attribute__((noinline)) int convert_each(int vm)
{
	struct kvm_memory_attributes a = { .size = 0x1000 };
	int ret = 0;

	for (; !ret && a.address < SIZE; a.address += a.size)
		ret = vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a); /* MARK each */
	return ret;
}

static __attribute__((noinline)) int add_slot(int vm, int file, void *memory)
{
	struct kvm_userspace_memory_region2 r = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = SIZE,
		.userspace_addr = (uintptr_t)memory,
		.guest_memfd = (uint32_t)file,
	};
	int ret = vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r); /* MARK slot */

	__asm__ volatile("" : : "r"(&r) : "memory");
	return ret;
}

int main(void)
{
	struct kvm_create_guest_memfd make = { .size = SIZE };
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, file;

	if (memory == MAP_FAILED || kvm < 0)
		return 1;
	vm = vm_ioctl(kvm, KVM_CREATE_VM, (void *)KVM_X86_SW_PROTECTED_VM); /* MARK vm */
	file = vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &make);		    /* MARK file */
	if (vm < 0 || file < 0 || add_slot(vm, file, memory))
		return 1;
	if (convert(vm, 0, SIZE) || convert_inlined(vm) || convert_by_own(vm))
		return 1;
	if (convert_each(vm))
		return 1;
	return convert(vm, 1, SIZE) ? 0 : 1; /* is refused */
}
