/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* CPUID: what the guest sees, by the owner's table and KVM's rules for what is not in it. */
#include "cpu/soft/sys.h"

#define LEAF_KVM 0x40000000u
#define LEAF_EXTENDED 0x80000000u
#define APIC_ENABLED (1ull << 11)

enum { EAX, EBX, ECX, EDX };

static const struct cpu_cpuid *find(const struct soft *c, uint32_t function, uint32_t index)
{
	unsigned int n;

	for (n = 0; n < c->nr_cpuid; n++) {
		const struct cpu_cpuid *e = &c->cpuid[n];

		if (e->function == function && (!e->index_matters || e->index == index))
			return e;
	}
	return NULL;
}

static bool vendor_is_amd(const struct cpu_cpuid *basic)
{
	return basic->ebx == 0x68747541 || basic->ebx == 0x6f677948; /* "Auth", "Hygo" */
}

/* Intel processors answer a leaf above the last one with the last basic leaf. */
static const struct cpu_cpuid *find_beyond(const struct soft *c, uint32_t function, uint32_t index)
{
	const struct cpu_cpuid *basic = find(c, 0, 0), *first;

	if (!basic || vendor_is_amd(basic))
		return NULL;
	if (function >= LEAF_KVM && function < 0x50000000)
		first = find(c, function & 0xffffff00, 0);
	else
		first = find(c, function & LEAF_EXTENDED, 0);
	if (first && function <= first->eax)
		return NULL;
	return find(c, basic->eax, index);
}

/* Bits that follow the state of the processor. */
static void make_current(const struct soft *c, uint32_t function, uint32_t out[4])
{
	const uint32_t osxsave = 1u << 27, apic = 1u << 9;

	if (function != 1)
		return;
	out[ECX] &= ~osxsave;
	if (c->state.cr4 & CR4_OSXSAVE)
		out[ECX] |= osxsave;
	if (!(c->state.apic_base & APIC_ENABLED))
		out[EDX] &= ~apic;
}

/* Sub-leaves of the topology leaves go on for ever, with the number and the APIC id alone. */
static void topology_tail(const struct soft *c, uint32_t function, uint32_t index, uint32_t out[4])
{
	const struct cpu_cpuid *e;

	if (function != 0xb && function != 0x1f)
		return;
	e = find(c, function, 1);
	if (e) {
		out[ECX] = index & 0xff;
		out[EDX] = e->edx;
	}
}

void soft_cpuid(struct soft *c, uint32_t function, uint32_t index, uint32_t out[4])
{
	const struct cpu_cpuid *e = find(c, function, index);

	if (!e)
		e = find_beyond(c, function, index);
	out[EAX] = out[EBX] = out[ECX] = out[EDX] = 0;
	if (!e) {
		topology_tail(c, function, index, out);
		return;
	}
	out[EAX] = e->eax;
	out[EBX] = e->ebx;
	out[ECX] = e->ecx;
	out[EDX] = e->edx;
	make_current(c, e->function, out);
}

bool soft_vendor_is_amd(struct soft *c)
{
	const struct cpu_cpuid *basic = find(c, 0, 0);

	return basic && vendor_is_amd(basic);
}

bool soft_has(struct soft *c, enum soft_feature feature)
{
	static const struct {
		uint32_t function;
		uint8_t reg, bit;
	} where[] = {
		[FEATURE_VME] = { 1, EDX, 1 },
		[FEATURE_SEP] = { 1, EDX, 11 },
		[FEATURE_PGE] = { 1, EDX, 13 },
		[FEATURE_PCID] = { 1, ECX, 17 },
		[FEATURE_XSAVE] = { 1, ECX, 26 },
		[FEATURE_FSGSBASE] = { 7, EBX, 0 },
		[FEATURE_SMEP] = { 7, EBX, 7 },
		[FEATURE_INVPCID] = { 7, EBX, 10 },
		[FEATURE_SMAP] = { 7, EBX, 20 },
		[FEATURE_UMIP] = { 7, ECX, 2 },
		[FEATURE_LA57] = { 7, ECX, 16 },
		[FEATURE_RDPID] = { 7, ECX, 22 },
		[FEATURE_SYSCALL] = { 0x80000001, EDX, 11 },
		[FEATURE_NX] = { 0x80000001, EDX, 20 },
		[FEATURE_RDTSCP] = { 0x80000001, EDX, 27 },
		[FEATURE_LM] = { 0x80000001, EDX, 29 },
	};
	const struct cpu_cpuid *e = find(c, where[feature].function, 0);
	uint32_t regs[4];

	if (!e)
		return false;
	regs[EAX] = e->eax;
	regs[EBX] = e->ebx;
	regs[ECX] = e->ecx;
	regs[EDX] = e->edx;
	return regs[where[feature].reg] >> where[feature].bit & 1;
}
