/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* General, segment, control and debug registers. */
#include "kvm/state.h"
#include "kvm/vm.h"

#include <errno.h>

#define CR0_PE (1ull << 0)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NX (1ull << 11)
#define EFER_FFXSR (1ull << 14)
#define APIC_BASE_ENABLE (1ull << 11)
#define APIC_BASE_X2APIC (1ull << 10)
#define FLAG_FIXED (1ull << 1)

/* The uAPI's order of registers is not the encoding's. */
static const uint8_t gpr_order[16] = { CPU_RAX, CPU_RBX, CPU_RCX, CPU_RDX, CPU_RSI, CPU_RDI,
				       CPU_RSP, CPU_RBP, 8,	  9,	   10,	    11,
				       12,	13,	 14,	  15 };

void regs_get(struct vcpu *vcpu, struct kvm_regs *regs)
{
	const struct cpu_state *s = vcpu_state(vcpu);
	uint64_t *v = &regs->rax;
	unsigned int i;

	for (i = 0; i < 16; i++)
		v[i] = s->gpr[gpr_order[i]];
	regs->rip = s->rip;
	regs->rflags = s->rflags;
}

void regs_set(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	struct cpu_state *s = vcpu_state(vcpu);
	const uint64_t *v = &regs->rax;
	unsigned int i;

	for (i = 0; i < 16; i++)
		s->gpr[gpr_order[i]] = v[i];
	s->rip = regs->rip;
	s->rflags = regs->rflags | FLAG_FIXED;
	s->exception.pending = false;
	vcpu->ops->state_changed(vcpu->cpu);
}

static void segment_get(const struct cpu_seg *s, struct kvm_segment *k)
{
	*k = (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.type = s->type,
		.present = s->p,
		.dpl = s->dpl,
		.db = s->db,
		.s = s->s,
		.l = s->l,
		.g = s->g,
		.avl = s->avl,
		.unusable = s->unusable,
	};
}

static void segment_set(struct cpu_seg *s, const struct kvm_segment *k)
{
	*s = (struct cpu_seg){
		.base = k->base,
		.limit = k->limit,
		.sel = k->selector,
		.type = k->type & 15,
		.p = k->present & 1,
		.dpl = k->dpl & 3,
		.db = k->db & 1,
		.s = k->s & 1,
		.l = k->l & 1,
		.g = k->g & 1,
		.avl = k->avl & 1,
		.unusable = k->unusable & 1,
	};
	if (!s->p)
		s->unusable = 1;
}

/* The part that struct kvm_sregs and struct kvm_sregs2 begin with alike. */
static void common_get(struct vcpu *vcpu, struct kvm_sregs2 *k)
{
	const struct cpu_state *s = vcpu_state(vcpu);

	segment_get(&s->seg[CPU_CS], &k->cs);
	segment_get(&s->seg[CPU_DS], &k->ds);
	segment_get(&s->seg[CPU_ES], &k->es);
	segment_get(&s->seg[CPU_FS], &k->fs);
	segment_get(&s->seg[CPU_GS], &k->gs);
	segment_get(&s->seg[CPU_SS], &k->ss);
	segment_get(&s->tr, &k->tr);
	segment_get(&s->ldt, &k->ldt);
	k->gdt = (struct kvm_dtable){ .base = s->gdt.base, .limit = s->gdt.limit };
	k->idt = (struct kvm_dtable){ .base = s->idt.base, .limit = s->idt.limit };
	k->cr0 = s->cr0;
	k->cr2 = s->cr2;
	k->cr3 = s->cr3;
	k->cr4 = s->cr4;
	k->cr8 = s->cr8;
	k->efer = s->efer;
	k->apic_base = s->apic_base;
}

static int check_control(const struct kvm_sregs2 *k)
{
	if (k->cr0 >> 32 || (k->cr0 & CR0_PG && !(k->cr0 & CR0_PE)) ||
	    (k->cr0 & CR0_NW && !(k->cr0 & CR0_CD)))
		return obs_refuse(RULE_SREGS_CR0);
	if (k->efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR))
		return obs_refuse(RULE_SREGS_EFER);
	if (k->efer & EFER_LME && k->cr0 & CR0_PG) {
		if (!(k->cr4 & CR4_PAE) || !(k->efer & EFER_LMA))
			return obs_refuse(RULE_SREGS_LONG_MODE);
		if (k->cr3 >> 52 & 0x7ff)
			return obs_refuse(RULE_SREGS_CR3);
	} else if (k->efer & EFER_LMA || k->cs.l) {
		return obs_refuse(RULE_SREGS_LMA);
	}
	if (k->cr4 >> 32 || k->cr4 & (1u << 15 | 1u << 19 | 1u << 23))
		return obs_refuse(RULE_SREGS_CR4);
	if (k->apic_base >> memory_gpa_bits() || k->apic_base & 0x2ff ||
	    (k->apic_base & APIC_BASE_X2APIC && !(k->apic_base & APIC_BASE_ENABLE)))
		return obs_refuse(RULE_SREGS_APIC_BASE);
	return 0;
}

static bool in_pae_mode(const struct cpu_state *s)
{
	return s->cr0 & CR0_PG && s->cr4 & CR4_PAE && !(s->efer & EFER_LMA);
}

/* With PAE paging the processor keeps the four entries that CR3 points to; they are loaded as KVM does, from
 * the memory of the program. */
static void load_pdptrs(struct vcpu *vcpu)
{
	struct cpu_state *s = vcpu_state(vcpu);
	uint64_t gpa = s->cr3 & ~31ull;
	struct memslot *slot;

	__builtin_memset(s->pdptrs, 0, sizeof(s->pdptrs));
	os_mutex_lock(&vcpu->vm->slots_lock);
	slot = memslot_lookup(vcpu->vm->mmu, 0, gpa >> OS_PAGE_SHIFT);
	if (slot)
		os_copy_in(s->pdptrs, slot->hva + gpa - (slot->gfn << OS_PAGE_SHIFT),
			   sizeof(s->pdptrs));
	os_mutex_unlock(&vcpu->vm->slots_lock);
}

static int common_set(struct vcpu *vcpu, const struct kvm_sregs2 *k)
{
	struct cpu_state *s = vcpu_state(vcpu);
	int err = check_control(k);

	if (err)
		return err;
	segment_set(&s->seg[CPU_CS], &k->cs);
	segment_set(&s->seg[CPU_DS], &k->ds);
	segment_set(&s->seg[CPU_ES], &k->es);
	segment_set(&s->seg[CPU_FS], &k->fs);
	segment_set(&s->seg[CPU_GS], &k->gs);
	segment_set(&s->seg[CPU_SS], &k->ss);
	segment_set(&s->tr, &k->tr);
	segment_set(&s->ldt, &k->ldt);
	s->gdt = (struct cpu_table){ .base = k->gdt.base, .limit = k->gdt.limit };
	s->idt = (struct cpu_table){ .base = k->idt.base, .limit = k->idt.limit };
	s->cr0 = k->cr0 | 1u << 4;
	s->cr2 = k->cr2;
	s->cr3 = k->cr3;
	s->cr4 = k->cr4;
	s->cr8 = k->cr8 & 15;
	s->efer = k->efer;
	s->apic_base = k->apic_base;
	if (in_pae_mode(s))
		load_pdptrs(vcpu);
	return 0;
}

void sregs_get(struct vcpu *vcpu, struct kvm_sregs *k)
{
	const struct cpu_state *s = vcpu_state(vcpu);
	struct kvm_sregs2 k2 = { 0 };

	common_get(vcpu, &k2);
	__builtin_memset(k, 0, sizeof(*k));
	__builtin_memcpy(k, &k2, offsetof(struct kvm_sregs, interrupt_bitmap));
	if (s->interrupt.injected && !s->interrupt.soft)
		k->interrupt_bitmap[s->interrupt.vector / 64] |= 1ull << s->interrupt.vector % 64;
}

int sregs_set(struct vcpu *vcpu, const struct kvm_sregs *k)
{
	struct kvm_sregs2 k2 = { 0 };
	unsigned int i;
	int err;

	__builtin_memcpy(&k2, k, offsetof(struct kvm_sregs, interrupt_bitmap));
	err = common_set(vcpu, &k2);
	if (err)
		return err;
	for (i = 0; i < NR_ROWS(k->interrupt_bitmap) && !vcpu->vm->irqchip; i++) {
		if (k->interrupt_bitmap[i])
			return interrupt_queue(vcpu, i * 64 + (unsigned int)__builtin_ctzll(
								      k->interrupt_bitmap[i]));
	}
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}

void sregs2_get(struct vcpu *vcpu, struct kvm_sregs2 *k)
{
	const struct cpu_state *s = vcpu_state(vcpu);

	__builtin_memset(k, 0, sizeof(*k));
	common_get(vcpu, k);
	if (!in_pae_mode(s))
		return;
	__builtin_memcpy(k->pdptrs, s->pdptrs, sizeof(k->pdptrs));
	k->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

int sregs2_set(struct vcpu *vcpu, const struct kvm_sregs2 *k)
{
	bool pdptrs = k->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	bool pae = k->cr0 & CR0_PG && k->cr4 & CR4_PAE && !(k->efer & EFER_LMA);
	struct cpu_state *s = vcpu_state(vcpu);
	int err;

	if (k->flags & ~(uint64_t)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return obs_refuse(RULE_SREGS2_FLAGS);
	if (pdptrs && !pae)
		return obs_refuse(RULE_SREGS2_PDPTRS);
	err = common_set(vcpu, k);
	if (err)
		return err;
	if (pdptrs)
		__builtin_memcpy(s->pdptrs, k->pdptrs, sizeof(s->pdptrs));
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}

void debugregs_get(struct vcpu *vcpu, struct kvm_debugregs *d)
{
	const struct cpu_state *s = vcpu_state(vcpu);

	__builtin_memset(d, 0, sizeof(*d));
	__builtin_memcpy(d->db, s->dr, sizeof(d->db));
	d->dr6 = s->dr6;
	d->dr7 = s->dr7;
}

int debugregs_set(struct vcpu *vcpu, const struct kvm_debugregs *d)
{
	struct cpu_state *s = vcpu_state(vcpu);

	if (d->flags)
		return obs_refuse(RULE_DEBUGREGS_FLAGS);
	if (d->dr6 >> 32 || d->dr7 >> 32)
		return obs_refuse(RULE_DEBUGREGS_VALUE);
	__builtin_memcpy(s->dr, d->db, sizeof(s->dr));
	s->dr6 = d->dr6;
	s->dr7 = d->dr7;
	vcpu->ops->state_changed(vcpu->cpu);
	return 0;
}
