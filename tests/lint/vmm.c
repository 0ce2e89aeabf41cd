/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "vmm.h"

#include <string.h>

#define CODE 0x1000

int must(const char *what, int result)
{
	if (result < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(3);
	}
	return result;
}

static void *map(size_t size, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	must("mmap", p == MAP_FAILED ? -1 : 0);
	return p;
}

static void set_slot(struct vmm *v, uint32_t slot, uint64_t gpa, uint64_t size, void *host,
		     int gmem)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = gmem < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
		.guest_memfd = gmem < 0 ? 0 : (uint32_t)gmem,
	};

	must("KVM_SET_USER_MEMORY_REGION2", ioctl(v->vm, KVM_SET_USER_MEMORY_REGION2, &r));
}

static void make_vcpu(struct vmm *v)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = 0x1000, .rflags = 2 };
	struct kvm_sregs s;

	v->vcpu = must("KVM_CREATE_VCPU", ioctl(v->vm, KVM_CREATE_VCPU, 0));
	v->run_size = (size_t)ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	v->run = map(v->run_size, v->vcpu);
	must("KVM_GET_SREGS", ioctl(v->vcpu, KVM_GET_SREGS, &s));
	s.cs.base = s.cs.selector = 0;
	s.ds.base = MEMORY;
	must("KVM_SET_SREGS", ioctl(v->vcpu, KVM_SET_SREGS, &s));
	must("KVM_SET_REGS", ioctl(v->vcpu, KVM_SET_REGS, &regs));
}

void vmm_make(struct vmm *v, const void *code, size_t size)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL,
				      .args = { 1 << KVM_HC_MAP_GPA_RANGE } };

	memset(v, 0, sizeof(*v));
	v->memory.gmem = v->memory.memfd = -1;
	v->kvm = must("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	v->vm = must("KVM_CREATE_VM", ioctl(v->kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM));
	must("KVM_ENABLE_CAP", ioctl(v->vm, KVM_ENABLE_CAP, &cap));
	v->in_place =
		ioctl(v->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0 ||
		ioctl(v->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES_V7) > 0;
	v->code = map(MEMORY, -1);
	set_slot(v, 0, 0, MEMORY, v->code, -1);
	memcpy(v->code + CODE, code, size);
	make_vcpu(v);
}

static void free_memory(struct memory *m)
{
	if (m->host)
		munmap(m->host, m->size);
	if (m->memfd >= 0)
		close(m->memfd);
	if (m->gmem >= 0)
		close(m->gmem);
}

void vmm_free(struct vmm *v)
{
	munmap(v->run, v->run_size);
	close(v->vcpu);
	free_memory(&v->memory);
	close(v->vm);
	close(v->kvm);
}

struct kvm_create_guest_memfd *vmm_gmem_args(const struct vmm *v, uint64_t size)
{
	static struct kvm_create_guest_memfd args;

	args = (struct kvm_create_guest_memfd){
		.size = size,
		.flags = v->in_place ? GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED : 0,
	};
	return &args;
}

void vmm_add_memory(struct vmm *v, uint32_t slot, struct memory *m)
{
	m->memfd = -1;
	if (!v->in_place) {
		m->memfd = must("memfd_create", memfd_create("memory", MFD_CLOEXEC));
		must("ftruncate", ftruncate(m->memfd, (off_t)m->size));
	}
	m->host = map(m->size, v->in_place ? m->gmem : m->memfd);
	set_slot(v, slot, m->gpa, m->size, m->host, m->gmem);
}

void vmm_plain_memory(struct vmm *v, uint64_t size)
{
	v->memory.gpa = MEMORY;
	v->memory.size = size;
	v->memory.gmem = must("KVM_CREATE_GUEST_MEMFD",
			      ioctl(v->vm, KVM_CREATE_GUEST_MEMFD, vmm_gmem_args(v, size)));
	vmm_add_memory(v, 1, &v->memory);
}

uint32_t vmm_run(struct vmm *v)
{
	if (ioctl(v->vcpu, KVM_RUN, 0) && v->run->exit_reason != KVM_EXIT_MEMORY_FAULT)
		must("KVM_RUN", -1);
	return v->run->exit_reason;
}

void vmm_discard(const struct vmm *v, const struct memory *m, uint64_t gpa, uint64_t size,
		 bool is_private)
{
	if (v->in_place)
		return;
	must("fallocate",
	     fallocate(is_private ? m->memfd : m->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       (off_t)(gpa - m->gpa), (off_t)size));
}

void *vmm_args(struct vmm *v, const struct memory *m, uint64_t gpa, uint64_t size,
	       uint64_t attributes)
{
	v->vm_args = (struct kvm_memory_attributes){ .address = gpa,
						     .size = size,
						     .attributes = attributes };
	v->gmem_args = (struct kvm_memory_attributes2){ .offset = gpa - m->gpa,
							.size = size,
							.attributes = attributes };
	return v->in_place ? (void *)&v->gmem_args : (void *)&v->vm_args;
}

struct asked vmm_asked(const struct vmm *v)
{
	return (struct asked){ .gpa = v->run->hypercall.args[0],
			       .size = v->run->hypercall.args[1] * PAGE,
			       .is_private =
				       v->run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED };
}
