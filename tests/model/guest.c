/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "guest.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PML4 0x1000u
#define PDPT 0x2000u
#define DIRECTORIES 0x3000u /* of the first, third and fourth GiB */
#define CODE 0x8000u
#define ENTRY_TABLE 3u /* present, writable */
#define ENTRY_PAGE 0xe3u
#define M2 (2ull << 20)
#define CR0_64 0x80050033u
#define CR4_64 0x620u
#define EFER_64 0x500u
#define MAX_CPUID 256
#define MARK 0xffffu /* no exit reason */

/*
 * RDI: address, RSI: value, RCX: how many, RDX: from one to the next, RAX: the sum. A hypercall has its arguments in
 * RBX, RCX and RDX.
 */
extern const uint8_t model_guest[], model_guest_end[];
extern const uint32_t model_guest_at[];

__asm__(".pushsection .rodata\n"
	"model_guest:\n"
	"fn_read:\n"
	"1:	mov	(%rdi), %r8\n"
	"	add	%r8, %rax\n"
	"	add	%rdx, %rdi\n"
	"	dec	%rcx\n"
	"	jnz	1b\n"
	"	hlt\n"
	"fn_write:\n"
	"1:	mov	%rsi, (%rdi)\n"
	"	inc	%rsi\n"
	"	add	%rdx, %rdi\n"
	"	dec	%rcx\n"
	"	jnz	1b\n"
	"	hlt\n"
	"fn_add:\n"
	"1:	add	%rsi, (%rdi)\n"
	"	add	%rdx, %rdi\n"
	"	dec	%rcx\n"
	"	jnz	1b\n"
	"	hlt\n"
	"fn_hypercall:\n"
	"	mov	$12, %eax\n"
	"	vmcall\n"
	"	hlt\n"
	"fn_out:\n"
	"1:	mov	%rsi, %rax\n"
	"	out	%al, $0x10\n"
	"	inc	%rsi\n"
	"	dec	%rcx\n"
	"	jnz	1b\n"
	"	hlt\n"
	"fn_hypercall_amd:\n"
	"	mov	$12, %eax\n"
	"	vmmcall\n"
	"	hlt\n"
	"model_guest_end:\n"
	".balign 4\n"
	"model_guest_at:\n"
	"	.long	fn_read - model_guest\n"
	"	.long	fn_write - model_guest\n"
	"	.long	fn_add - model_guest\n"
	"	.long	fn_hypercall - model_guest\n"
	"	.long	fn_out - model_guest\n"
	"	.long	fn_hypercall_amd - model_guest\n"
	".popsection\n");

static bool failed(const char *what, int64_t err)
{
	fprintf(stderr, "%s: %s\n", what, strerror((int)-err));
	return false;
}

/* ---- a VM ------------------------------------------------------------------------------------------ */

static void write_ram(uint8_t *ram)
{
	static const unsigned int gib[] = { 0, 2, 3 };
	uint64_t *pdpt = (uint64_t *)(ram + PDPT);

	*(uint64_t *)(ram + PML4) = PDPT | ENTRY_TABLE;
	for (unsigned int i = 0; i < sizeof(gib) / sizeof(gib[0]); i++) {
		uint64_t at = DIRECTORIES + i * PAGE;

		pdpt[gib[i]] = at | ENTRY_TABLE;
		for (uint64_t j = 0; j < 512; j++)
			((uint64_t *)(ram + at))[j] =
				((uint64_t)gib[i] << 30) | (j * M2) | ENTRY_PAGE;
	}
	memcpy(ram + CODE, model_guest, (size_t)(model_guest_end - model_guest));
}

int guest_prepare(struct guest_vm *g, const struct uapi *u, int kvm)
{
	void *ram;
	long size = u->ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	int err = u->map(-1, 0, RAM_SIZE, &ram);

	if (size < 0 || err)
		return err ? err : (int)size;
	*g = (struct guest_vm){ .u = u, .kvm = kvm, .vm = -1, .ram = ram };
	g->run_size = (uint64_t)size;
	g->sync_regs = u->ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_REGS;
	write_ram(g->ram);
	return 0;
}

static void flat_segment(struct kvm_segment *s, uint16_t selector, bool code)
{
	*s = (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = code ? 0xb : 0x3,
		.present = 1,
		.s = 1,
		.l = code,
		.db = !code,
		.g = 1,
	};
}

static long enter_64(const struct guest_vm *g, int vcpu)
{
	struct kvm_sregs s;
	long ret = uapi_ioctl(g->u, vcpu, KVM_GET_SREGS, &s);

	if (ret)
		return ret;
	flat_segment(&s.cs, 8, true);
	flat_segment(&s.ds, 16, false);
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.cr3 = PML4;
	s.cr4 |= CR4_64;
	s.cr0 = CR0_64;
	s.efer |= EFER_64;
	return uapi_ioctl(g->u, vcpu, KVM_SET_SREGS, &s);
}

static long set_cpuid(const struct guest_vm *g, int vcpu)
{
	static uint64_t
		room[(sizeof(struct kvm_cpuid2) + MAX_CPUID * sizeof(struct kvm_cpuid_entry2)) /
		     sizeof(uint64_t)];
	struct kvm_cpuid2 *c = (struct kvm_cpuid2 *)room;
	long ret = 0;

	if (!c->nent) {
		c->nent = MAX_CPUID;
		ret = uapi_ioctl(g->u, g->kvm, KVM_GET_SUPPORTED_CPUID, c);
	}
	return ret ? ret : uapi_ioctl(g->u, vcpu, KVM_SET_CPUID2, c);
}

static long add_vcpu(struct guest_vm *g, unsigned int i)
{
	struct guest_vcpu *v = &g->vcpus[i];
	long ret = g->u->ioctl(g->vm, KVM_CREATE_VCPU, i);
	void *run;

	if (ret < 0)
		return ret;
	*v = (struct guest_vcpu){ .fd = (int)ret };
	ret = g->u->map(v->fd, 0, g->run_size, &run);
	if (ret) {
		g->u->close(v->fd);
		return ret;
	}
	v->run = run;
	v->run->kvm_valid_regs = g->sync_regs ? KVM_SYNC_X86_REGS : 0;
	ret = set_cpuid(g, v->fd);
	return ret ? ret : enter_64(g, v->fd);
}

static long add_ram(struct guest_vm *g)
{
	struct kvm_userspace_memory_region r = {
		.memory_size = RAM_SIZE,
		.userspace_addr = (uintptr_t)g->ram,
	};

	/* Who lacks it is not asked for it. */
	guest_enable(g, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE, 0);
	return uapi_ioctl(g->u, g->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

int64_t guest_enable(struct guest_vm *g, uint64_t cap, uint64_t value, uint64_t flags)
{
	struct kvm_enable_cap args = { .cap = (uint32_t)cap, .flags = (uint32_t)flags };

	args.args[0] = value;
	return uapi_ioctl(g->u, g->vm, KVM_ENABLE_CAP, &args);
}

bool guest_begin(struct guest_vm *g, const struct op *op, uint32_t in_place, struct answer *a)
{
	long err;

	a->ret = g->u->ioctl(g->kvm, KVM_CREATE_VM, op->type);
	if (a->ret < 0)
		return true;
	g->vm = (int)a->ret;
	a->ret = 0;
	if (op->n)
		a->value = (uint64_t)guest_enable(g, in_place, op->n, 0);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		g->vcpus[i].fd = -1;
	err = add_ram(g);
	for (unsigned int i = 0; !err && i < NR_VCPUS; i++)
		err = add_vcpu(g, i);
	return err ? failed("a guest cannot be made", err) : true;
}

void guest_end(struct guest_vm *g)
{
	if (g->vm < 0)
		return;
	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		if (g->vcpus[i].fd < 0)
			continue;
		g->u->unmap(g->vcpus[i].run, g->run_size);
		g->u->close(g->vcpus[i].fd);
	}
	g->u->close(g->vm);
	g->vm = -1;
}

/* ---- a vCPU ---------------------------------------------------------------------------------------- */

/* What the program has to say to the last exit. */
static void answer_exit(struct guest_vcpu *v)
{
	const uint64_t value = MMIO_VALUE;

	if (v->pending == KVM_EXIT_MMIO)
		memcpy(v->run->mmio.data, &value, sizeof(value));
	if (v->pending == KVM_EXIT_HYPERCALL)
		v->run->hypercall.ret = 0;
	v->pending = 0;
}

/* The guest's instruction is completed, and no other begins. */
static bool finish(struct guest_vm *g, struct guest_vcpu *v)
{
	long ret = 0;

	v->run->immediate_exit = 1;
	for (int i = 0; i < 8 && ret != -EINTR; i++) {
		answer_exit(v);
		ret = g->u->ioctl(v->fd, KVM_RUN, 0);
		v->pending = v->run->exit_reason;
	}
	v->run->immediate_exit = 0;
	v->pending = 0;
	return ret == -EINTR ? true : failed("an exit cannot be completed", ret);
}

static bool vendor_is_amd(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && (c == 0x444d4163 || c == 0x656e6975);
}

static long begin(struct guest_vm *g, struct guest_vcpu *v, const struct op *op)
{
	bool call = op->fn == FN_HYPERCALL;
	struct kvm_regs r = {
		.rip = CODE + model_guest_at[call && vendor_is_amd() ? NR_FNS : op->fn],
		.rflags = 2,
		.rdi = op->gpa + WORD_AT(op->word),
		.rsi = op->value,
		.rcx = op->n,
		.rdx = call ? op->value : PAGE,
		.rbx = op->gpa,
	};

	v->fn = op->fn;
	if (!g->sync_regs)
		return uapi_ioctl(g->u, v->fd, KVM_SET_REGS, &r);
	v->run->s.regs.regs = r;
	v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return 0;
}

static void say_exit(const struct guest_vcpu *v, struct answer *a)
{
	const struct kvm_run *run = v->run;
	uint64_t data;

	a->exit = run->exit_reason;
	switch (run->exit_reason) {
	case KVM_EXIT_MEMORY_FAULT:
		a->a = run->memory_fault.gpa;
		a->b = run->memory_fault.size;
		a->c = run->memory_fault.flags;
		break;
	case KVM_EXIT_MMIO:
		memcpy(&data, run->mmio.data, sizeof(data));
		a->a = run->mmio.phys_addr;
		a->b = run->mmio.len | (uint64_t)run->mmio.is_write << 8;
		a->c = run->mmio.is_write ? data : 0;
		break;
	case KVM_EXIT_IO:
		a->a = run->io.port;
		a->b = run->io.size * run->io.count;
		a->c = *((const uint8_t *)run + run->io.data_offset);
		break;
	case KVM_EXIT_HYPERCALL:
		a->a = run->hypercall.args[0];
		a->b = run->hypercall.args[1];
		a->c = run->hypercall.args[2];
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		a->a = run->internal.suberror;
		break;
	default:
		break;
	}
}

static long say_regs(struct guest_vm *g, const struct guest_vcpu *v, struct answer *a)
{
	struct kvm_regs r = v->run->s.regs.regs;
	long ret = g->sync_regs ? 0 : uapi_ioctl(g->u, v->fd, KVM_GET_REGS, &r);

	a->at = r.rdi | r.rcx << 48;
	a->value = v->fn == FN_OUT ? 0 : r.rax;
	return ret;
}

bool guest_run(struct guest_vm *g, const struct op *op, struct answer *a)
{
	struct guest_vcpu *v = &g->vcpus[op->vcpu];
	long err = 0;

	if (op->kind == OP_RUN) {
		if (v->pending && !finish(g, v))
			return false;
		err = begin(g, v, op);
	}
	answer_exit(v);
	if (err)
		return failed("registers cannot be set", err);
	do
		a->ret = g->u->ioctl(v->fd, KVM_RUN, 0);
	while (a->ret == -EINTR);
	say_exit(v, a);
	if (!a->ret &&
	    (a->exit == KVM_EXIT_MMIO || a->exit == KVM_EXIT_IO || a->exit == KVM_EXIT_HYPERCALL))
		v->pending = v->run->exit_reason;
	err = say_regs(g, v, a);
	return err ? failed("registers cannot be read", err) : true;
}

void guest_prefault(struct guest_vm *g, const struct op *op, struct answer *a)
{
	struct guest_vcpu *v = &g->vcpus[op->vcpu];
	struct kvm_pre_fault_memory p = { .gpa = op->gpa, .size = op->size, .flags = op->flags };

	v->run->exit_reason = MARK;
	a->ret = uapi_ioctl(g->u, v->fd, KVM_PRE_FAULT_MEMORY, &p);
	if (v->run->exit_reason != MARK)
		say_exit(v, a);
	a->at = p.gpa;
	a->value = p.size;
}
