/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Model specific registers. Most are a field of the state with a rule for its values; the rest have
 * a function. What a guest's operating system reads without asking CPUID answers a constant, as
 * under KVM. Anything else is -ENOENT, and #GP in the guest.
 */
#include <errno.h>
#include <stddef.h>

#include "cpu/soft/sys.h"

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_TSC_ADJUST 0x3b
#define MSR_PAT 0x277
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_MTRR_VAR0 0x200
#define MSR_EFER 0xc0000080
#define MSR_TSC_AUX 0xc0000103

enum rule {
	RULE_ANY,
	RULE_32BIT, /* the upper half must be zero */
	RULE_CANONICAL,
	RULE_CONSTANT, /* value; writes are refused */
	RULE_IGNORED,  /* value; writes change nothing */
	RULE_ZERO,     /* only zero can be written */
	RULE_TYPES,    /* eight memory types, one a byte */
	RULE_PAT,
	RULE_MTRR_DEF,
	RULE_TSC_AUX,
};

struct msr {
	uint32_t index;
	uint8_t rule;
	uint16_t offset; /* in cpu_state */
	uint64_t value;	 /* of a constant */
};

#define FIELD(i, r, f)                                          \
	{                                                       \
		(i), RULE_##r, offsetof(struct cpu_state, f), 0 \
	}
#define FIXED(i, r, v)                \
	{                             \
		(i), RULE_##r, 0, (v) \
	}

static const struct msr msrs[] = {
	FIELD(0x174, 32BIT, sysenter_cs),
	FIELD(0x175, CANONICAL, sysenter_esp),
	FIELD(0x176, CANONICAL, sysenter_eip),
	FIELD(0x1a0, ANY, misc_enable),
	FIELD(0x250, TYPES, mtrr_fixed[0]),
	FIELD(0x258, TYPES, mtrr_fixed[1]),
	FIELD(0x259, TYPES, mtrr_fixed[2]),
	FIELD(0x268, TYPES, mtrr_fixed[3]),
	FIELD(0x269, TYPES, mtrr_fixed[4]),
	FIELD(0x26a, TYPES, mtrr_fixed[5]),
	FIELD(0x26b, TYPES, mtrr_fixed[6]),
	FIELD(0x26c, TYPES, mtrr_fixed[7]),
	FIELD(0x26d, TYPES, mtrr_fixed[8]),
	FIELD(0x26e, TYPES, mtrr_fixed[9]),
	FIELD(0x26f, TYPES, mtrr_fixed[10]),
	FIELD(MSR_PAT, PAT, pat),
	FIELD(MSR_MTRR_DEF_TYPE, MTRR_DEF, mtrr_def_type),
	FIELD(0xc0000081, ANY, star),
	FIELD(0xc0000082, CANONICAL, lstar),
	FIELD(0xc0000083, CANONICAL, cstar),
	FIELD(0xc0000084, ANY, sfmask),
	FIELD(0xc0000100, CANONICAL, seg[CPU_FS].base),
	FIELD(0xc0000101, CANONICAL, seg[CPU_GS].base),
	FIELD(0xc0000102, CANONICAL, kernel_gs_base),
	FIELD(MSR_TSC_AUX, TSC_AUX, tsc_aux),

	FIXED(0x0, IGNORED, 0), /* machine check address, Pentium */
	FIXED(0x1, IGNORED, 0),
	FIXED(0x17, CONSTANT, 0),	   /* platform id */
	FIXED(0x2a, ZERO, 0),		   /* power-on configuration */
	FIXED(0x34, CONSTANT, 0),	   /* SMI count */
	FIXED(0x79, IGNORED, 0),	   /* microcode update */
	FIXED(0x8b, IGNORED, 0x100000000), /* microcode revision */
	FIXED(0xce, CONSTANT, 0),	   /* platform info */
	FIXED(0xfe, CONSTANT, 0x508),	   /* MTRRs: write combining, fixed, 8 variable */
	FIXED(0x140, ZERO, 0),		   /* CPUID faulting and the like */
	FIXED(0x179, CONSTANT, 0),	   /* machine check: no banks */
	FIXED(0x17a, ZERO, 0),
	FIXED(0x198, CONSTANT, 0x400000003e8), /* performance state */
	FIXED(0x199, IGNORED, 0),
	FIXED(0x1d9, ZERO, 0), /* debug control: no branch records */
	FIXED(0x1db, IGNORED, 0),
	FIXED(0x1dc, IGNORED, 0),
	FIXED(0x1dd, IGNORED, 0),
	FIXED(0x1de, IGNORED, 0),
	FIXED(0x1fc, IGNORED, 0),      /* power control */
	FIXED(0xc0010010, IGNORED, 0), /* AMD: system configuration */
	FIXED(0xc0010015, IGNORED, 0), /* AMD: hardware configuration */
	FIXED(0xc001001f, IGNORED, 0), /* AMD: north bridge */
	FIXED(0xc0010055, IGNORED, 0), /* AMD: pending interrupts */
	FIXED(0xc0010058, IGNORED, 0), /* AMD: configuration space */
};

/* Registers with a function of their own, and the variable MTRRs, which are a row of pairs. */
static const uint32_t others[] = { MSR_EFER, MSR_TSC, MSR_TSC_ADJUST, MSR_APIC_BASE };

#define NR_MSRS (sizeof(msrs) / sizeof(msrs[0]))
#define NR_OTHERS (sizeof(others) / sizeof(others[0]))
#define NR_MTRR_VAR (2 * CPU_NR_MTRR_VAR)

static const struct msr *find(uint32_t index)
{
	unsigned int n;

	for (n = 0; n < NR_MSRS; n++)
		if (msrs[n].index == index)
			return &msrs[n];
	return NULL;
}

static uint64_t *field(struct soft *c, const struct msr *m)
{
	return (uint64_t *)((uint8_t *)&c->state + m->offset);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static bool mtrr_type_ok(unsigned int type)
{
	return type < 7 && (0x73u >> type & 1); /* UC WC WT WP WB */
}

static bool types_ok(uint64_t value, bool pat)
{
	unsigned int n;

	for (n = 0; n < 64; n += 8) {
		unsigned int type = value >> n & 0xff;

		if (!mtrr_type_ok(type) && !(pat && type == 7))
			return false;
	}
	return true;
}

static bool value_ok(struct soft *c, const struct msr *m, uint64_t value)
{
	switch (m->rule) {
	case RULE_32BIT:
	case RULE_TSC_AUX:
		return !(value >> 32);
	case RULE_CANONICAL:
		return sys_canonical(c, value);
	case RULE_CONSTANT:
		return value == m->value;
	case RULE_ZERO:
		return !value;
	case RULE_TYPES:
		return types_ok(value, false);
	case RULE_PAT:
		return types_ok(value, true);
	case RULE_MTRR_DEF:
		return !(value & ~0xcffull) && mtrr_type_ok(value & 0xff);
	default:
		return true;
	}
}

static bool is_field(const struct msr *m)
{
	return m->rule != RULE_CONSTANT && m->rule != RULE_IGNORED && m->rule != RULE_ZERO;
}

/* The guest has only what its CPUID says. */
static bool guest_has(struct soft *c, const struct msr *m)
{
	if (m->rule == RULE_TSC_AUX)
		return soft_has(c, FEATURE_RDTSCP) || soft_has(c, FEATURE_RDPID);
	return true;
}

/* ---- variable MTRRs -------------------------------------------------------------------------- */

static bool is_mtrr_var(uint32_t index)
{
	return index >= MSR_MTRR_VAR0 && index < MSR_MTRR_VAR0 + NR_MTRR_VAR;
}

static int set_mtrr_var(struct soft *c, unsigned int n, uint64_t value)
{
	uint64_t reserved = ~((1ull << c->phys_bits) - 1);

	if (n & 1)
		reserved |= 0x7ff;
	else
		reserved |= 0xf00;
	if ((value & reserved) || (!(n & 1) && !mtrr_type_ok(value & 0xff)))
		return -EINVAL;
	c->state.mtrr_var[n] = value;
	return 0;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void set_tsc(struct soft *c, uint64_t value, bool by_guest)
{
	uint64_t offset = value - os_tsc();

	if (by_guest)
		c->state.tsc_adjust += offset - c->state.tsc_offset;
	c->state.tsc_offset = offset;
}

static void set_tsc_adjust(struct soft *c, uint64_t value, bool by_guest)
{
	if (by_guest)
		c->state.tsc_offset += value - c->state.tsc_adjust;
	c->state.tsc_adjust = value;
}

#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLED (1ull << 11)

static int set_apic_base(struct soft *c, uint64_t value)
{
	uint64_t reserved = ~((1ull << c->phys_bits) - 1) | 0x2ff | APIC_BASE_X2APIC;

	if (value & reserved)
		return -EINVAL;
	c->state.apic_base = value;
	return 0;
}

/* ---- access ---------------------------------------------------------------------------------- */

static int get_other(struct soft *c, uint32_t index, uint64_t *value)
{
	switch (index) {
	case MSR_EFER:
		*value = c->state.efer;
		return 0;
	case MSR_TSC:
		*value = os_tsc() + c->state.tsc_offset;
		return 0;
	case MSR_TSC_ADJUST:
		*value = c->state.tsc_adjust;
		return 0;
	case MSR_APIC_BASE:
		*value = c->state.apic_base;
		return 0;
	default:
		if (!is_mtrr_var(index))
			return -ENOENT;
		*value = c->state.mtrr_var[index - MSR_MTRR_VAR0];
		return 0;
	}
}

static int set_efer_by_host(struct soft *c, uint64_t value)
{
	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
		return -EINVAL;
	c->state.efer = (value & ~EFER_LMA) | (c->state.efer & EFER_LMA);
	soft_tlb_flush(c);
	soft_mode_changed(c);
	return 0;
}

static int set_other(struct soft *c, uint32_t index, uint64_t value, bool by_guest)
{
	switch (index) {
	case MSR_EFER:
		if (!by_guest)
			return set_efer_by_host(c, value);
		return mode_set_efer(c, value) ? 0 : -EINVAL;
	case MSR_TSC:
		set_tsc(c, value, by_guest);
		return 0;
	case MSR_TSC_ADJUST:
		set_tsc_adjust(c, value, by_guest);
		return 0;
	case MSR_APIC_BASE:
		return set_apic_base(c, value);
	default:
		if (!is_mtrr_var(index))
			return -ENOENT;
		return set_mtrr_var(c, index - MSR_MTRR_VAR0, value);
	}
}

int soft_msr_get(struct soft *c, uint32_t index, uint64_t *value, bool by_guest)
{
	const struct msr *m = find(index);

	if (!m)
		return get_other(c, index, value);
	if (by_guest && !guest_has(c, m))
		return -ENOENT;
	*value = is_field(m) ? *field(c, m) : m->value;
	return 0;
}

int soft_msr_set(struct soft *c, uint32_t index, uint64_t value, bool by_guest)
{
	const struct msr *m = find(index);

	if (!m)
		return set_other(c, index, value, by_guest);
	if (by_guest && (!guest_has(c, m) || m->rule == RULE_CONSTANT))
		return -ENOENT;
	if (!value_ok(c, m, value))
		return -EINVAL;
	if (is_field(m))
		*field(c, m) = value;
	return 0;
}

unsigned int cpu_soft_msr_list(uint32_t *indices, unsigned int max)
{
	unsigned int n, nr = 0;

	for (n = 0; n < NR_MSRS && nr < max; n++)
		indices[nr++] = msrs[n].index;
	for (n = 0; n < NR_OTHERS && nr < max; n++)
		indices[nr++] = others[n];
	for (n = 0; n < NR_MTRR_VAR && nr < max; n++)
		indices[nr++] = MSR_MTRR_VAR0 + n;
	return nr;
}
