/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The guest's page tables: no paging, 32-bit, PAE, four and five levels. Every step reads guest memory
 * through mmu_walk(); what it does not map leaves the guest to be resolved, and all starts again.
 */
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)

#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_RESERVED 8u
#define PF_FETCH 16u

#define MAX_LEVELS 5

struct walk {
	uint64_t lin;
	enum soft_access access;
	uint8_t bits;	 /* of the tag: for whom */
	bool pae;	 /* entries of eight bytes */
	unsigned int nr; /* entries seen, top first */
	uint64_t entry_gpa[MAX_LEVELS];
	uint64_t entry[MAX_LEVELS];
	bool writable, user, nx;
	uint8_t shift; /* of the page */
	uint64_t gpa;
};

static uint32_t mmu_access(enum soft_access access)
{
	return access == ACCESS_READ ? MMU_READ : access == ACCESS_WRITE ? MMU_WRITE : MMU_EXEC;
}

_Noreturn static void leave_fault(struct soft *c, uint64_t gpa, uint32_t access)
{
	c->fault_gpa = gpa;
	c->fault_access = access;
	soft_leave(c, LEAVE_FAULT);
}

_Noreturn static void walk_fault(struct soft *c, const struct walk *w, uint32_t error)
{
	bool fetch_told = (c->state.cr4 & CR4_SMEP) || (w->pae && (c->state.efer & EFER_NX));

	if (w->access == ACCESS_WRITE)
		error |= PF_WRITE;
	if (w->bits & TLB_USER)
		error |= PF_USER;
	if (w->access == ACCESS_EXEC && fetch_told)
		error |= PF_FETCH;
	soft_raise_page_fault(c, w->lin, error);
}

/* Host address of a table entry; NULL: it cannot be had for this access (a device, read-only memory). */
static uint8_t *entry_host(struct soft *c, uint64_t gpa, uint32_t access)
{
	struct mmu_leaf leaf;

	if (mmu_walk(c->vcpu, gpa, access, &leaf))
		return leaf.host + (gpa & 0xfff);
	if (!mmio_is_device(c, gpa, access))
		leave_fault(c, gpa, access);
	return NULL;
}

static uint64_t reserved_bits(const struct soft *c, const struct walk *w, uint64_t entry, bool leaf,
			      unsigned int shift)
{
	uint64_t bits;

	if (!w->pae) {
		if (!leaf || shift != 22)
			return 0;
		/* 4 MiB pages have physical bits 39..32 at 20..13. */
		bits = c->phys_bits >= 40 ? 0 : 0x1fe000 & ~((1ull << (c->phys_bits - 19)) - 1);
		return entry & (bits | 1ull << 21);
	}
	bits = ((1ull << 52) - 1) & ~((1ull << c->phys_bits) - 1);
	if (!c->long_mode)
		bits |= 0x7ffull << 52;
	if (!(c->state.efer & EFER_NX))
		bits |= PTE_NX;
	if (shift >= 39)
		bits |= PTE_PS;
	else if (leaf && shift > 12)
		bits |= ((1ull << shift) - 1) & ~0x1fffull;
	return entry & bits;
}

static bool is_leaf(const struct soft *c, const struct walk *w, uint64_t entry, unsigned int shift)
{
	if (shift == 12)
		return true;
	if (!(entry & PTE_PS) || shift >= 39)
		return false;
	return w->pae || (c->state.cr4 & CR4_PSE);
}

static uint64_t leaf_gpa(const struct walk *w, uint64_t entry, unsigned int shift)
{
	uint64_t in_page = (1ull << shift) - 1;
	uint64_t base = entry & 0x000ffffffffff000ull & ~in_page;

	if (!w->pae && shift == 22)
		base = (entry & 0xffc00000) | (entry & 0x1fe000) << 19;
	return base | (w->lin & in_page);
}

static uint64_t entry_read(struct soft *c, struct walk *w, uint64_t gpa)
{
	const uint8_t *host = entry_host(c, gpa, MMU_READ);

	if (!host)
		walk_fault(c, w, 0);
	if (w->pae)
		return atomic_load_explicit((const _Atomic uint64_t *)host, memory_order_relaxed);
	return atomic_load_explicit((const _Atomic uint32_t *)host, memory_order_relaxed);
}

/* From the table at gpa down to the leaf; shift: of the first level's entries. */
static void walk_tables(struct soft *c, struct walk *w, uint64_t table, unsigned int shift)
{
	unsigned int index_bits = w->pae ? 9 : 10;

	for (;; shift -= index_bits) {
		uint64_t index = w->lin >> shift & ((1u << index_bits) - 1);
		uint64_t gpa = table + index * (w->pae ? 8 : 4);
		uint64_t entry = entry_read(c, w, gpa);
		bool leaf = is_leaf(c, w, entry, shift);

		if (!(entry & PTE_P))
			walk_fault(c, w, 0);
		if (reserved_bits(c, w, entry, leaf, shift))
			walk_fault(c, w, PF_PRESENT | PF_RESERVED);
		w->entry_gpa[w->nr] = gpa;
		w->entry[w->nr++] = entry;
		w->writable = w->writable && (entry & PTE_W);
		w->user = w->user && (entry & PTE_U);
		w->nx = w->nx || (w->pae && (entry & PTE_NX));
		if (leaf) {
			w->gpa = leaf_gpa(w, entry, shift);
			w->shift = shift;
			return;
		}
		table = entry & 0x000ffffffffff000ull;
	}
}

static void walk_start(struct soft *c, struct walk *w)
{
	uint64_t cr3 = c->state.cr3;

	w->nr = 0;
	w->writable = w->user = true;
	w->nx = false;
	w->pae = c->state.cr4 & CR4_PAE;
	if (c->long_mode) {
		walk_tables(c, w, cr3 & 0x000ffffffffff000ull, c->state.cr4 & CR4_LA57 ? 48 : 39);
	} else if (w->pae) {
		uint64_t pdpte = c->state.pdptrs[w->lin >> 30 & 3];

		if (!(pdpte & PTE_P))
			walk_fault(c, w, 0);
		walk_tables(c, w, pdpte & 0x000ffffffffff000ull, 21);
	} else {
		walk_tables(c, w, cr3 & 0xfffff000, 22);
	}
}

static bool walk_allowed(const struct soft *c, const struct walk *w)
{
	if (w->access == ACCESS_EXEC && w->nx)
		return false;
	if (w->bits & TLB_USER)
		return w->user && (w->access != ACCESS_WRITE || w->writable);
	if (w->access == ACCESS_WRITE && !w->writable && (c->state.cr0 & CR0_WP))
		return false;
	if (!w->user)
		return true;
	if (w->access == ACCESS_EXEC)
		return !(c->state.cr4 & CR4_SMEP);
	return !(c->state.cr4 & CR4_SMAP) || (w->bits & TLB_AC);
}

/* Sets bits in the nth entry; false when it is no longer what was walked. */
static bool entry_mark(struct soft *c, struct walk *w, unsigned int n, uint64_t bits)
{
	uint64_t old = w->entry[n];
	uint32_t old32 = old;
	uint8_t *host;

	if ((old & bits) == bits)
		return true;
	host = entry_host(c, w->entry_gpa[n], MMU_WRITE);
	if (!host)
		return true; /* tables in read-only memory stay as they are */
	if (w->pae)
		return atomic_compare_exchange_strong((_Atomic uint64_t *)host, &old, old | bits);
	return atomic_compare_exchange_strong((_Atomic uint32_t *)host, &old32, old32 | bits);
}

static bool walk_mark(struct soft *c, struct walk *w)
{
	for (unsigned int n = 0; n < w->nr; n++) {
		uint64_t bits = PTE_A;

		if (n + 1 == w->nr && w->access == ACCESS_WRITE)
			bits |= PTE_D;
		if (!entry_mark(c, w, n, bits))
			return false;
	}
	return true;
}

uint64_t walk_guest(struct soft *c, uint64_t lin, enum soft_access access, uint8_t bits)
{
	struct walk w = { .lin = lin, .access = access, .bits = bits };

	if (!(c->state.cr0 & CR0_PG))
		return (uint32_t)lin;
	if (c->long_mode && !sys_canonical(c, lin))
		soft_raise_error(c, VEC_GP, 0);
	do {
		walk_start(c, &w);
		if (!walk_allowed(c, &w))
			walk_fault(c, &w, PF_PRESENT);
	} while (!walk_mark(c, &w));
	if (unlikely(w.shift > c->tlb_shift))
		c->tlb_shift = w.shift;
	return w.gpa;
}

struct place place_find(struct soft *c, uint64_t lin, enum soft_access access, uint8_t bits)
{
	struct tlb_entry *e = tlb_entry(c, access, lin);
	uint32_t nested = mmu_access(access);
	struct mmu_leaf leaf;
	uint64_t gpa;

	bits &= ~TLB_ALIGN;
	if (e->tag == ((lin & PAGE_MASK_4K) | bits))
		return (struct place){ .host = e->host + (lin & 0xfff) };
	gpa = walk_guest(c, lin, access, bits);
	if (unlikely(c->nr_mmio) && mmio_was_answered(c, gpa, nested))
		return (struct place){ .gpa = gpa };
	if (mmu_walk(c->vcpu, gpa, nested, &leaf)) {
		if (likely(c->use_tlb)) {
			e->tag = (lin & PAGE_MASK_4K) | bits;
			e->host = leaf.host;
		}
		return (struct place){ .host = leaf.host + (lin & 0xfff), .gpa = gpa };
	}
	if (!mmio_is_device(c, gpa, nested))
		leave_fault(c, gpa, nested);
	return (struct place){ .gpa = gpa };
}

void soft_tlb_flush(struct soft *c)
{
	memset(c->tlb, 0xff, sizeof(c->tlb));
	c->tlb_shift = 0;
	c->code_lin = CODE_LIN_NONE;
}

/* A large page has an entry for each 4 KiB, and how large the page was nobody remembers: as any may have been. */
void soft_tlb_flush_page(struct soft *c, uint64_t gva)
{
	unsigned int shift = c->tlb_shift > 12 ? c->tlb_shift : 12;
	uint64_t nr = 1ull << (shift - 12), first = gva >> shift << shift;

	if (nr > TLB_SIZE)
		nr = TLB_SIZE;
	for (int access = 0; access < ACCESS_NR; access++) {
		for (uint64_t n = 0; n < nr; n++) {
			struct tlb_entry *e = tlb_entry(c, access, first + (n << 12));

			if ((e->tag ^ gva) >> shift == 0)
				e->tag = ~0ull;
		}
	}
	c->code_lin = CODE_LIN_NONE;
}

void soft_user_bit_changed(struct soft *c)
{
	bool ac = c->state.rflags & RFLAGS_AC;

	c->code_lin = CODE_LIN_NONE;
	if (c->cpl == 3)
		c->user_bit = TLB_USER | (ac && (c->state.cr0 & CR0_AM) ? TLB_ALIGN : 0);
	else
		c->user_bit = ac && (c->state.cr4 & CR4_SMAP) ? TLB_AC : 0;
}
