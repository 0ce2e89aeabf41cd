/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Modes: what CR0, CR3, CR4 and EFER may become, and what follows from them.
 *
 *	CR0.PE	RFLAGS.VM  EFER.LMA  CS.L  CS.D		code	CPL
 *	0	-	   -	     -	   D		16, 32	0
 *	1	1	   0	     -	   -		16	3
 *	1	0	   0	     -	   D		16, 32	SS.DPL
 *	1	-	   1	     0	   D		16, 32	SS.DPL
 *	1	-	   1	     1	   -		64	SS.DPL
 *
 * EFER.LMA = EFER.LME && CR0.PG, set and cleared with CR0.PG.
 */
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR4_ALWAYS                                                                         \
	(CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | \
	 CR4_OSXMMEXCPT)
#define PDPTE_P 1ull
/* Bits 1, 2 and 5 to 8 of a PAE page directory pointer, and all above the physical address. */
#define PDPTE_RESERVED 0x1e6ull

static uint8_t code_size(const struct soft *c)
{
	const struct cpu_seg *cs = &c->state.seg[CPU_CS];

	if (c->long_mode && cs->l)
		return 8;
	return cs->db && !sys_v86(c) ? 4 : 2;
}

void soft_mode_changed(struct soft *c)
{
	c->long_mode = c->state.efer & EFER_LMA;
	c->mode = code_size(c);
	if (!sys_protected(c))
		c->cpl = 0;
	else
		c->cpl = sys_v86(c) ? 3 : c->state.seg[CPU_SS].dpl;
	soft_user_bit_changed(c);
	soft_attend(c);
}

/* A page directory pointer; false when it does not lie in memory. */
static bool load_physical(struct soft *c, uint64_t gpa, uint64_t *value)
{
	struct mmu_leaf leaf;

	if (mmu_walk(c->vcpu, gpa, MMU_READ, &leaf)) {
		*value = host_load(leaf.host + (gpa & 0xfff), 8);
		return true;
	}
	if (mmio_is_device(c, gpa, MMU_READ))
		return false;
	c->fault_gpa = gpa;
	c->fault_access = MMU_READ;
	soft_leave(c, LEAVE_FAULT);
}

static bool load_pdptrs(struct soft *c, uint64_t cr3)
{
	uint64_t reserved = PDPTE_RESERVED | ~((1ull << c->phys_bits) - 1);
	uint64_t pdpte[4];
	int n;

	for (n = 0; n < 4; n++) {
		if (!load_physical(c, (cr3 & 0xffffffe0) + n * 8, &pdpte[n]))
			return false;
		if ((pdpte[n] & PDPTE_P) && (pdpte[n] & reserved))
			return false;
	}
	memcpy(c->state.pdptrs, pdpte, sizeof(pdpte));
	return true;
}

static bool start_paging(struct soft *c, uint64_t *efer)
{
	const struct cpu_state *s = &c->state;

	if (!(s->efer & EFER_LME))
		return !(s->cr4 & CR4_PAE) || load_pdptrs(c, s->cr3);
	if (!(s->cr4 & CR4_PAE) || s->seg[CPU_CS].l)
		return false;
	if (s->tr.type == DESC_TSS16 || s->tr.type == DESC_TSS16_BUSY)
		return false;
	*efer |= EFER_LMA;
	return true;
}

static bool stop_paging(struct soft *c, uint64_t *efer)
{
	if (c->mode == 8 || (c->state.cr4 & CR4_PCIDE))
		return false;
	*efer &= ~EFER_LMA;
	return true;
}

bool mode_set_cr0(struct soft *c, uint64_t value)
{
	struct cpu_state *s = &c->state;
	uint64_t efer = s->efer, changed;

	if (value >> 32)
		return false;
	value = (value & CR0_KNOWN) | CR0_ET;
	if ((value & CR0_PG) && !(value & CR0_PE))
		return false;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return false;
	changed = value ^ s->cr0;
	if (changed & CR0_PG) {
		if (!(value & CR0_PG ? start_paging(c, &efer) : stop_paging(c, &efer)))
			return false;
	} else if ((value & CR0_PG) && (changed & (CR0_CD | CR0_NW)) && (s->cr4 & CR4_PAE) &&
		   !c->long_mode && !load_pdptrs(c, s->cr3)) {
		return false;
	}
	s->cr0 = value;
	s->efer = efer;
	if (changed & CR0_PE)
		s->seg[CPU_SS].dpl = 0;
	if (changed & (CR0_PG | CR0_PE | CR0_WP))
		soft_tlb_flush(c);
	soft_mode_changed(c);
	return true;
}

bool mode_set_cr3(struct soft *c, uint64_t value)
{
	struct cpu_state *s = &c->state;

	if (s->cr4 & CR4_PCIDE)
		value &= ~(1ull << 63);
	if (value >> c->phys_bits)
		return false;
	if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !c->long_mode && !load_pdptrs(c, value))
		return false;
	s->cr3 = value;
	soft_tlb_flush(c);
	return true;
}

static uint64_t cr4_allowed(struct soft *c)
{
	static const struct {
		enum soft_feature feature;
		uint64_t bits;
	} need[] = {
		{ FEATURE_VME, CR4_VME | CR4_PVI }, { FEATURE_UMIP, CR4_UMIP },
		{ FEATURE_LA57, CR4_LA57 },	    { FEATURE_FSGSBASE, CR4_FSGSBASE },
		{ FEATURE_PCID, CR4_PCIDE },	    { FEATURE_XSAVE, CR4_OSXSAVE },
		{ FEATURE_SMEP, CR4_SMEP },	    { FEATURE_SMAP, CR4_SMAP },
	};
	uint64_t bits = CR4_ALWAYS;
	unsigned int n;

	for (n = 0; n < sizeof(need) / sizeof(need[0]); n++)
		if (soft_has(c, need[n].feature))
			bits |= need[n].bits;
	return bits;
}

static bool cr4_long_mode_ok(const struct soft *c, uint64_t value, uint64_t changed)
{
	if (c->long_mode && (!(value & CR4_PAE) || (changed & CR4_LA57)))
		return false;
	if (changed & value & CR4_PCIDE)
		return c->long_mode && !(c->state.cr3 & 0xfff);
	return true;
}

bool mode_set_cr4(struct soft *c, uint64_t value)
{
	const uint64_t paging = CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP;
	struct cpu_state *s = &c->state;
	uint64_t changed = value ^ s->cr4;

	if ((value & ~cr4_allowed(c)) || !cr4_long_mode_ok(c, value, changed))
		return false;
	if ((s->cr0 & CR0_PG) && (value & CR4_PAE) && !c->long_mode && (changed & paging) &&
	    !load_pdptrs(c, s->cr3))
		return false;
	s->cr4 = value;
	if (changed & (paging | CR4_PCIDE | CR4_SMAP | CR4_LA57))
		soft_tlb_flush(c);
	soft_mode_changed(c);
	return true;
}

bool mode_set_efer(struct soft *c, uint64_t value)
{
	struct cpu_state *s = &c->state;
	uint64_t allowed = EFER_LMA;

	if (soft_has(c, FEATURE_SYSCALL))
		allowed |= EFER_SCE;
	if (soft_has(c, FEATURE_LM))
		allowed |= EFER_LME;
	if (soft_has(c, FEATURE_NX))
		allowed |= EFER_NX;
	if (value & ~allowed)
		return false;
	if ((s->cr0 & CR0_PG) && ((value ^ s->efer) & EFER_LME))
		return false;
	s->efer = (value & ~EFER_LMA) | (s->efer & EFER_LMA);
	soft_tlb_flush(c);
	soft_mode_changed(c);
	return true;
}
