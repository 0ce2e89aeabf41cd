/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void *guest_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* The old request, which every kernel has. */
void guest_set_slot(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	assert_int_equal(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
}

void guest_set_gmem(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t size, void *hva, int fd)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = (uint32_t)fd,
	};

	assert_int_equal(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
}

int guest_gmem(struct guest *g, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd c = { .size = size, .flags = flags };
	int fd = ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &c);

	assert_true(fd >= 0);
	return fd;
}

int guest_set_private(struct guest *g, uint64_t gpa, uint64_t size, int is_private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &a) ? -errno : 0;
}

static void real_mode(struct guest *g)
{
	struct kvm_sregs s;

	assert_int_equal(ioctl(g->vcpu, KVM_GET_SREGS, &s), 0);
	s.cs.base = 0;
	s.cs.selector = 0;
	assert_int_equal(ioctl(g->vcpu, KVM_SET_SREGS, &s), 0);
}

void guest_make(struct guest *g, unsigned int vm_type)
{
	memset(g, 0, sizeof(*g));
	g->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	assert_true(g->kvm >= 0);
	g->vm = ioctl(g->kvm, KVM_CREATE_VM, vm_type);
	assert_true(g->vm >= 0);
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	assert_true(g->vcpu >= 0);
	g->run_size = (size_t)ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	assert_ptr_not_equal(g->run, MAP_FAILED);
	g->ram = guest_memory(RAM_SIZE);
	guest_set_slot(g, 0, 0, RAM_SIZE, g->ram);
	real_mode(g);
}

void guest_free(struct guest *g)
{
	munmap(g->run, g->run_size);
	assert_int_equal(close(g->vcpu), 0);
	assert_int_equal(close(g->vm), 0);
	assert_int_equal(close(g->kvm), 0);
	munmap(g->ram, RAM_SIZE);
}

void guest_code(struct guest *g, const void *code, size_t size)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = 0x7000, .rflags = 2 };

	memcpy(g->ram + CODE, code, size);
	assert_int_equal(ioctl(g->vcpu, KVM_SET_REGS, &regs), 0);
}

int guest_run(struct guest *g)
{
	return ioctl(g->vcpu, KVM_RUN, 0) ? -errno : 0;
}

void guest_regs(struct guest *g, struct kvm_regs *regs)
{
	assert_int_equal(ioctl(g->vcpu, KVM_GET_REGS, regs), 0);
}

void guest_sleep_us(unsigned int us)
{
	struct timespec t = { .tv_nsec = us * 1000l };

	nanosleep(&t, NULL);
}
