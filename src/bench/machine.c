/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/machine.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TABLES 0x1000u /* PML4, PDPT, then a directory of 2 MiB pages for each GiB */
#define TABLE_SIZE 0x1000u
#define NR_DIRECTORIES (MACHINE_END >> 30)
#define ENTRY_TABLE 0x3u /* present, writable */
#define ENTRY_PAGE 0xe3u /* and accessed, dirty, large */

#define CR0_64 0x80050033u /* PE MP ET NE WP AM PG */
#define CR4_64 0x620u	   /* PAE OSFXSR OSXMMEXCPT */
#define EFER_64 0x500u	   /* LME LMA */

#define MAX_CPUID 256

static int failed(struct bench_run *r, long err, const char *what)
{
	return bench_refuse(r, (int)err, "%s: %s", what, strerror((int)-err));
}

/* ---- the VM ------------------------------------------------------------------------------------ */

int machine_open(struct bench_run *r, struct machine *m, unsigned int type)
{
	memset(m, 0, sizeof(*m));
	m->u = r->way->data;
	m->vm = -1;
	for (unsigned int i = 0; i < MACHINE_MAX_SLOTS; i++)
		m->slots[i].gmem = -1;
	m->kvm = m->u->open();
	if (m->kvm < 0)
		return bench_refuse(r, -EOPNOTSUPP, "no /dev/kvm: %s", strerror(-m->kvm));
	m->vm = (int)m->u->ioctl(m->kvm, KVM_CREATE_VM, type);
	if (m->vm == -EINVAL && type != KVM_X86_DEFAULT_VM)
		return bench_refuse(r, -EOPNOTSUPP, "no private memory here");
	return m->vm < 0 ? failed(r, m->vm, "KVM_CREATE_VM") : 0;
}

static void close_if_open(const struct machine *m, int fd)
{
	if (fd >= 0)
		m->u->close(fd);
}

void machine_close(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_vcpus; i++) {
		m->u->unmap(m->vcpus[i].run, m->run_size);
		m->u->close(m->vcpus[i].fd);
	}
	for (unsigned int i = 0; i < MACHINE_MAX_SLOTS; i++)
		close_if_open(m, m->slots[i].gmem);
	close_if_open(m, m->vm);
	close_if_open(m, m->kvm);
	for (unsigned int i = 0; i < MACHINE_MAX_SLOTS; i++)
		if (m->slots[i].mapped)
			m->u->unmap(m->slots[i].mapped, m->slots[i].mapped_size);
	if (m->ram)
		m->u->unmap(m->ram, MACHINE_RAM);
}

void machine_teardown(struct bench_run *r)
{
	machine_close(r->own);
	free(r->own);
}

/* ---- memory ------------------------------------------------------------------------------------ */

static int map_hva(struct bench_run *r, struct machine *m, unsigned int slot, uint64_t size,
		   bool huge)
{
	uint64_t room = size + (huge ? BENCH_2M : 0);
	int err = m->u->map(-1, 0, room, &m->slots[slot].mapped);

	if (err) {
		m->slots[slot].mapped = NULL;
		return failed(r, err, "memory of a slot");
	}
	m->slots[slot].mapped_size = room;
	m->slots[slot].hva = m->slots[slot].mapped;
	if (!huge)
		return 0;
	m->slots[slot].hva += -(uintptr_t)m->slots[slot].mapped & (BENCH_2M - 1);
	err = m->u->madvise(m->slots[slot].hva, size, MADV_HUGEPAGE);
	return err ? bench_refuse(r, -EOPNOTSUPP, "no huge pages: %s", strerror(-err)) : 0;
}

static int make_gmem(struct bench_run *r, struct machine *m, unsigned int slot, uint64_t size,
		     unsigned int backing)
{
	struct kvm_create_guest_memfd args = { .size = size };
	long ret;

	if (backing & MACHINE_MMAP)
		args.flags |= GUEST_MEMFD_FLAG_MMAP;
	if (backing & MACHINE_SHARED)
		args.flags |= GUEST_MEMFD_FLAG_INIT_SHARED;
	ret = uapi_ioctl(m->u, m->vm, KVM_CREATE_GUEST_MEMFD, &args);
	if (ret == -EINVAL || ret == -ENOTTY)
		return bench_refuse(r, -EOPNOTSUPP, "no such guest_memfd here");
	if (ret < 0)
		return failed(r, ret, "KVM_CREATE_GUEST_MEMFD");
	m->slots[slot].gmem = (int)ret;
	return 0;
}

static int set_slot(struct machine *m, unsigned int slot, uint64_t gpa, uint64_t size, void *hva,
		    int gmem)
{
	struct kvm_userspace_memory_region2 args = {
		.slot = slot,
		.flags = gmem >= 0 ? KVM_MEM_GUEST_MEMFD : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = gmem >= 0 ? (uint32_t)gmem : 0,
	};

	return (int)uapi_ioctl(m->u, m->vm, KVM_SET_USER_MEMORY_REGION2, &args);
}

int machine_add_slot(struct bench_run *r, struct machine *m, unsigned int slot, uint64_t gpa,
		     uint64_t size, unsigned int backing)
{
	int err = 0;

	if (backing & MACHINE_HVA)
		err = map_hva(r, m, slot, size, backing & MACHINE_HUGE);
	if (!err && backing & MACHINE_GMEM)
		err = make_gmem(r, m, slot, size, backing);
	if (err)
		return err;
	err = set_slot(m, slot, gpa, size, m->slots[slot].hva, m->slots[slot].gmem);
	return err ? failed(r, err, "KVM_SET_USER_MEMORY_REGION2") : 0;
}

int machine_set_private(const struct machine *m, uint64_t gpa, uint64_t size, bool to_private)
{
	struct kvm_memory_attributes args = {
		.address = gpa,
		.size = size,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return (int)uapi_ioctl(m->u, m->vm, KVM_SET_MEMORY_ATTRIBUTES, &args);
}

int machine_allocate(const struct machine *m, unsigned int slot, uint64_t offset, uint64_t size)
{
	return m->u->fallocate(m->slots[slot].gmem, FALLOC_FL_KEEP_SIZE, (int64_t)offset,
			       (int64_t)size);
}

int machine_punch(const struct machine *m, unsigned int slot, uint64_t offset, uint64_t size)
{
	return m->u->fallocate(m->slots[slot].gmem, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			       (int64_t)offset, (int64_t)size);
}

/* ---- vCPUs ------------------------------------------------------------------------------------- */

/* All of the address space as it is. */
static void write_tables(uint8_t *ram)
{
	uint64_t *pml4 = (uint64_t *)(ram + TABLES), *pdpt = pml4 + TABLE_SIZE / sizeof(*pml4);
	uint64_t *entry = pdpt + TABLE_SIZE / sizeof(*pdpt);

	pml4[0] = (TABLES + TABLE_SIZE) | ENTRY_TABLE;
	for (uint64_t i = 0; i < NR_DIRECTORIES; i++)
		pdpt[i] = (TABLES + (2 + i) * TABLE_SIZE) | ENTRY_TABLE;
	for (uint64_t at = 0; at < MACHINE_END; at += BENCH_2M)
		*entry++ = at | ENTRY_PAGE;
}

static int make_ram(struct bench_run *r, struct machine *m)
{
	void *ram;
	int err = m->u->map(-1, 0, MACHINE_RAM, &ram);

	if (err)
		return failed(r, err, "RAM");
	m->ram = ram;
	write_tables(m->ram);
	memcpy(m->ram + MACHINE_CODE, guest_image, (size_t)(guest_image_end - guest_image));
	err = set_slot(m, 0, 0, MACHINE_RAM, m->ram, -1);
	return err ? failed(r, err, "a slot for RAM") : 0;
}

static void flat_segment(struct kvm_segment *s, uint16_t selector, bool code)
{
	*s = (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = code ? 0xb : 0x3, /* accessed */
		.present = 1,
		.s = 1,
		.l = code,
		.db = !code,
		.g = 1,
	};
}

static int enter_64(const struct machine *m, int vcpu)
{
	struct kvm_sregs s;
	long ret = uapi_ioctl(m->u, vcpu, KVM_GET_SREGS, &s);

	if (ret)
		return (int)ret;
	flat_segment(&s.cs, 8, true);
	flat_segment(&s.ds, 16, false);
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.cr3 = TABLES;
	s.cr4 |= CR4_64;
	s.cr0 = CR0_64;
	s.efer |= EFER_64;
	return (int)uapi_ioctl(m->u, vcpu, KVM_SET_SREGS, &s);
}

/* What the processor of the host can do. */
static int set_cpuid(const struct machine *m, int vcpu)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_CPUID * sizeof(c->entries[0]));
	long ret;

	if (!c)
		return -ENOMEM;
	c->nent = MAX_CPUID;
	ret = uapi_ioctl(m->u, m->kvm, KVM_GET_SUPPORTED_CPUID, c);
	if (!ret)
		ret = uapi_ioctl(m->u, vcpu, KVM_SET_CPUID2, c);
	free(c);
	return (int)ret;
}

static int add_vcpu(struct machine *m)
{
	struct machine_vcpu *v = &m->vcpus[m->nr_vcpus];
	long fd = m->u->ioctl(m->vm, KVM_CREATE_VCPU, m->nr_vcpus);
	void *run;
	int err;

	if (fd < 0)
		return (int)fd;
	err = m->u->map((int)fd, 0, m->run_size, &run);
	if (err) {
		m->u->close((int)fd);
		return err;
	}
	*v = (struct machine_vcpu){ (int)fd, run };
	m->nr_vcpus++;
	err = set_cpuid(m, v->fd);
	if (!err)
		err = enter_64(m, v->fd);
	return err ? err : machine_begin(m, m->nr_vcpus - 1, GUEST_EXIT, 0, 0, 0);
}

int machine_add_vcpus(struct bench_run *r, struct machine *m, unsigned int nr)
{
	long size = m->u->ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	int err = size < 0 ? failed(r, size, "KVM_GET_VCPU_MMAP_SIZE") : 0;

	if (!err && !m->ram)
		err = make_ram(r, m);
	if (err)
		return err;
	m->run_size = (uint64_t)size;
	if (m->nr_vcpus + nr > MACHINE_MAX_VCPUS)
		return bench_refuse(r, -EINVAL, "more than %d vCPUs", MACHINE_MAX_VCPUS);
	for (unsigned int i = 0; i < nr; i++) {
		err = add_vcpu(m);
		if (err)
			return failed(r, err, "a vCPU");
	}
	return 0;
}

/* ---- calls ------------------------------------------------------------------------------------- */

static uint64_t address_of(enum guest_function fn)
{
	return MACHINE_CODE + guest_offsets[fn];
}

int machine_begin_at(const struct machine *m, unsigned int vcpu, struct kvm_regs regs)
{
	regs.rsp = MACHINE_STACKS + (vcpu + 1) * MACHINE_STACK - sizeof(uint64_t);
	regs.rflags = 2;
	*(uint64_t *)(m->ram + regs.rsp) = address_of(GUEST_EXIT);
	return (int)uapi_ioctl(m->u, m->vcpus[vcpu].fd, KVM_SET_REGS, &regs);
}

int machine_begin(const struct machine *m, unsigned int vcpu, enum guest_function fn, uint64_t a,
		  uint64_t b, uint64_t c)
{
	struct kvm_regs regs = { .rip = address_of(fn), .rdi = a, .rsi = b, .rdx = c };

	return machine_begin_at(m, vcpu, regs);
}

int machine_run(const struct machine *m, unsigned int vcpu)
{
	return (int)m->u->ioctl(m->vcpus[vcpu].fd, KVM_RUN, 0);
}

int machine_finish(const struct machine *m, unsigned int vcpu)
{
	int err;

	do
		err = machine_run(m, vcpu);
	while (err == -EINTR);
	if (err)
		return err;
	return m->vcpus[vcpu].run->exit_reason == KVM_EXIT_HLT ? 0 : -EPROTO;
}

static int say_fault(struct bench_run *r, const struct kvm_run *run)
{
	return bench_refuse(r, -EPROTO, "memory-fault exit at 0x%llx, where none should be",
			    (unsigned long long)run->memory_fault.gpa);
}

int machine_say(struct bench_run *r, const struct machine *m, unsigned int vcpu, int err)
{
	const struct kvm_run *run = m->vcpus[vcpu].run;

	if (err == -EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		return say_fault(r, run);
	if (err != -EPROTO)
		return err;
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return bench_refuse(r, err, "this KVM has no memory at 0x%llx: MMIO exit",
				    (unsigned long long)run->mmio.phys_addr);
	case KVM_EXIT_INTERNAL_ERROR:
		return bench_refuse(r, err, "this KVM cannot run an instruction: internal error %u",
				    run->internal.suberror);
	case KVM_EXIT_SHUTDOWN:
		return bench_refuse(r, err, "the guest shut down: triple fault");
	default:
		return bench_refuse(r, err, "the guest ended with exit %u", run->exit_reason);
	}
}

int machine_call(const struct machine *m, unsigned int vcpu, enum guest_function fn, uint64_t a,
		 uint64_t b, uint64_t c)
{
	int err = machine_begin(m, vcpu, fn, a, b, c);

	return err ? err : machine_finish(m, vcpu);
}
