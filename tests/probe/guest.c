/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* VMs, memory slots and small guests for the probe, and KVM_RUN's outcome in words. */
#include "probe.h"

int dev_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		say("open /dev/kvm", "%s", err_str(fd));
		_exit(1);
	}
	return fd;
}

bool vm_type_exists(unsigned long type)
{
	int dev = dev_open();
	int types = ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);

	close(dev);
	return type == KVM_X86_DEFAULT_VM || (types > 0 && types & (1 << type));
}

int vm_new(unsigned long type)
{
	int dev = dev_open(), vm;

	if (!vm_type_exists(type))
		cannot_ask();
	vm = ioctl(dev, KVM_CREATE_VM, type);
	if (vm < 0) {
		say(qf("make a VM of type %lu", type), "%s", err_str(vm));
		_exit(1);
	}
	close(dev);
	return vm;
}

int gmem_new(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd c = { .size = size, .flags = flags };

	return ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);
}

int gmem_need(int vm, uint64_t size, uint64_t flags)
{
	int fd = gmem_new(vm, size, flags);

	if (fd < 0)
		cannot_ask();
	return fd;
}

void *anon_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	return p;
}

int slot_v1(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

int slot_v2(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva,
	    int fd, uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = (uint32_t)fd,
		.guest_memfd_offset = offset,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

int attr_set(int vm, uint64_t gpa, uint64_t size, uint64_t attributes)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
	};

	return ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

int cap_enable(int fd, uint32_t cap, uint64_t arg0)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg0 } };

	return ioctl(fd, KVM_ENABLE_CAP, &c);
}

/* ---- a guest ---- */

static void copy_cpuid(int vcpu)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));
	int dev = dev_open();

	c->nent = 256;
	if (ioctl(dev, KVM_GET_SUPPORTED_CPUID, c) || ioctl(vcpu, KVM_SET_CPUID2, c)) {
		say("give the vCPU the supported CPUID", "%s", err_str(-1));
		_exit(1);
	}
	close(dev);
	free(c);
}

static void put64(struct guest *g, unsigned int at, uint64_t value)
{
	memcpy(g->mem + at, &value, sizeof(value));
}

/* Page tables for GUEST_LONG64, see struct guest. */
static void make_tables(struct guest *g)
{
	static const uint64_t base[] = { 0, 4UL << 30, 3UL << 30 };

	put64(g, 0x2000, 0x3000 | 3);
	for (unsigned int i = 0; i < COUNT(base); i++) {
		put64(g, 0x3000 + i * 8, (0x4000 + i * PG) | 3);
		for (unsigned int j = 0; j < 512; j++)
			put64(g, 0x4000 + i * PG + j * 8, (base[i] + j * M2) | 0x83);
	}
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool wide)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !(wide && type == 11),
		.l = wide && type == 11,
	};
}

static void set_mode(struct guest *g, enum guest_mode mode)
{
	struct kvm_sregs s;

	ioctl(g->vcpu, KVM_GET_SREGS, &s);
	s.cs.base = 0;
	s.cs.selector = 0;
	if (mode != GUEST_REAL) {
		s.cs = flat(8, 11, mode == GUEST_LONG64);
		s.ds = s.es = s.fs = s.gs = s.ss = flat(16, 3, false);
		s.tr = (struct kvm_segment){
			.selector = 24, .limit = 0x67, .type = 11, .present = 1
		};
		s.cr0 |= 1;
		s.idt.base = GUEST_IDT;
		s.idt.limit = 0;
	}
	if (mode == GUEST_LONG64) {
		make_tables(g);
		s.cr3 = 0x2000;
		s.cr4 |= 0x620;
		s.efer |= 0x500;
		s.cr0 |= 0x80000000;
	}
	if (ioctl(g->vcpu, KVM_SET_SREGS, &s)) {
		say(qf("bring the vCPU to mode %d", mode), "%s", err_str(-1));
		_exit(1);
	}
}

void guest_make(struct guest *g, unsigned long type, enum guest_mode mode)
{
	int dev = dev_open();
	int size = ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0);

	close(dev);
	g->vm = vm_new(type);
	g->mem = anon_map(GUEST_MEM);
	g->vcpu = -1;
	if (slot_v1(g->vm, 0, 0, 0, GUEST_MEM, g->mem) == 0)
		g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	if (g->vcpu < 0) {
		say("make a guest", "%s", err_str(-1));
		_exit(1);
	}
	g->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED) {
		say("map a vCPU", "%s", err_str(-1));
		_exit(1);
	}
	copy_cpuid(g->vcpu);
	set_mode(g, mode);
}

/* Lets a port or memory access that the last exit left open complete, so that it does not end
 * up in the next question. Gives up after as many parts as an instruction can have. */
static void finish_access(struct guest *g)
{
	uint32_t reason = g->run->exit_reason;

	g->run->immediate_exit = 1;
	for (int i = 0; i < 8; i++)
		if (ioctl(g->vcpu, KVM_RUN, 0) < 0)
			break;
	g->run->immediate_exit = 0;
	g->run->exit_reason = reason;
}

void guest_code(struct guest *g, const void *code, size_t len)
{
	struct kvm_regs r = { .rip = GUEST_CODE, .rflags = 2, .rsp = GUEST_STACK };

	finish_access(g);
	memset(g->mem + GUEST_CODE, 0xf4, PG);
	memcpy(g->mem + GUEST_CODE, code, len);
	ioctl(g->vcpu, KVM_SET_REGS, &r);
}

uint64_t guest_rip(struct guest *g)
{
	struct kvm_regs r = { 0 };

	ioctl(g->vcpu, KVM_GET_REGS, &r);
	return r.rip;
}

uint64_t guest_rax(struct guest *g)
{
	struct kvm_regs r = { 0 };

	ioctl(g->vcpu, KVM_GET_REGS, &r);
	return r.rax;
}

void guest_set_rax(struct guest *g, uint64_t value)
{
	struct kvm_regs r = { 0 };

	ioctl(g->vcpu, KVM_GET_REGS, &r);
	r.rax = value;
	ioctl(g->vcpu, KVM_SET_REGS, &r);
}

/* ---- what KVM_RUN did ---- */

const char *exit_name(uint32_t reason)
{
	static const char *const names[] = {
		[0] = "UNKNOWN",
		[2] = "IO",
		[3] = "HYPERCALL",
		[4] = "DEBUG",
		[5] = "HLT",
		[6] = "MMIO",
		[7] = "IRQ_WINDOW_OPEN",
		[8] = "SHUTDOWN",
		[9] = "FAIL_ENTRY",
		[10] = "INTR",
		[17] = "INTERNAL_ERROR",
		[24] = "SYSTEM_EVENT",
		[31] = "DIRTY_RING_FULL",
		[39] = "MEMORY_FAULT",
	};
	static char other[32];

	if (reason < COUNT(names) && names[reason])
		return names[reason];
	snprintf(other, sizeof(other), "reason %u", reason);
	return other;
}

static int put_io(char *buf, size_t room, struct guest *g)
{
	struct kvm_run *r = g->run;
	uint64_t data = 0;

	memcpy(&data, (uint8_t *)r + r->io.data_offset, r->io.size);
	if (r->io.direction == KVM_EXIT_IO_IN)
		return snprintf(buf, room, " in size %u port 0x%x count %u at %llu", r->io.size,
				r->io.port, r->io.count, (unsigned long long)r->io.data_offset);
	return snprintf(buf, room, " out size %u port 0x%x count %u data 0x%llx", r->io.size,
			r->io.port, r->io.count, (unsigned long long)data);
}

static int put_mmio(char *buf, size_t room, struct kvm_run *r)
{
	uint64_t data = 0;

	memcpy(&data, r->mmio.data, r->mmio.len <= 8 ? r->mmio.len : 8);
	if (!r->mmio.is_write)
		return snprintf(buf, room, " read 0x%llx len %u",
				(unsigned long long)r->mmio.phys_addr, r->mmio.len);
	return snprintf(buf, room, " write 0x%llx len %u data 0x%llx",
			(unsigned long long)r->mmio.phys_addr, r->mmio.len,
			(unsigned long long)data);
}

static int put_hypercall(char *buf, size_t room, struct kvm_run *r)
{
	return snprintf(buf, room, " nr %llu args 0x%llx 0x%llx 0x%llx ret %lld flags %llu",
			(unsigned long long)r->hypercall.nr,
			(unsigned long long)r->hypercall.args[0],
			(unsigned long long)r->hypercall.args[1],
			(unsigned long long)r->hypercall.args[2], (long long)r->hypercall.ret,
			(unsigned long long)r->hypercall.flags);
}

static void put_detail(char *buf, size_t room, struct guest *g)
{
	struct kvm_run *r = g->run;

	if (r->exit_reason == KVM_EXIT_IO)
		put_io(buf, room, g);
	else if (r->exit_reason == KVM_EXIT_MMIO)
		put_mmio(buf, room, r);
	else if (r->exit_reason == KVM_EXIT_HYPERCALL)
		put_hypercall(buf, room, r);
	else if (r->exit_reason == KVM_EXIT_MEMORY_FAULT)
		snprintf(buf, room, " flags %llu gpa 0x%llx size 0x%llx",
			 (unsigned long long)r->memory_fault.flags,
			 (unsigned long long)r->memory_fault.gpa,
			 (unsigned long long)r->memory_fault.size);
	else if (r->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(buf, room, " suberror %u", r->internal.suberror);
	else if (r->exit_reason == KVM_EXIT_DEBUG)
		snprintf(buf, room, " exception %u pc 0x%llx dr6 0x%llx", r->debug.arch.exception,
			 (unsigned long long)r->debug.arch.pc,
			 (unsigned long long)r->debug.arch.dr6);
}

const char *guest_exit(struct guest *g, int ret, int error)
{
	static char texts[4][240];
	static unsigned int next;
	char *text = texts[next++ % COUNT(texts)];
	int n;

	errno = error;
	n = snprintf(text, sizeof(texts[0]), "%s %s", ret < 0 ? err_str(ret) : "0",
		     exit_name(g->run->exit_reason));
	put_detail(text + n, sizeof(texts[0]) - n, g);
	return text;
}

const char *guest_go(struct guest *g)
{
	int ret = ioctl(g->vcpu, KVM_RUN, 0);

	return guest_exit(g, ret, errno);
}
