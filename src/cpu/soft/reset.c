/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The state after reset, as KVM gives it: the first instruction is the one at 0xfffffff0. */
#include <string.h>

#include "cpu/soft/sys.h"

#define APIC_BASE_RESET 0xfee00900ull /* enabled, boot processor */
#define PAT_RESET 0x0007040600070406ull
#define MISC_ENABLE_RESET 0x1800ull /* no branch trace, no precise event sampling */
#define FCW_RESET 0x37f
#define MXCSR_RESET 0x1f80
#define SIGNATURE_RESET 0x600 /* RDX; no CPUID is known yet */

static void reset_segments(struct cpu_state *s)
{
	unsigned int n;

	for (n = 0; n < CPU_NR_SEGS; n++)
		s->seg[n] = (struct cpu_seg){ .limit = 0xffff, .type = 3, .s = 1, .p = 1 };
	s->seg[CPU_CS].base = 0xffff0000;
	s->seg[CPU_CS].sel = 0xf000;
	s->seg[CPU_CS].type = 11;
	s->ldt = (struct cpu_seg){ .limit = 0xffff, .type = DESC_LDT, .p = 1 };
	s->tr = (struct cpu_seg){ .limit = 0xffff, .type = DESC_TSS32_BUSY, .p = 1 };
	s->gdt.limit = 0xffff;
	s->idt.limit = 0xffff;
}

void soft_reset(struct soft *c)
{
	struct cpu_state *s = &c->state;

	memset(s, 0, sizeof(*s));
	reset_segments(s);
	s->gpr[CPU_RDX] = SIGNATURE_RESET;
	s->rip = 0xfff0;
	s->cr0 = CR0_CD | CR0_NW | CR0_ET;
	s->dr6 = DR6_FIXED;
	s->dr7 = DR7_FIXED;
	s->xcr0 = 1;
	s->apic_base = APIC_BASE_RESET;
	s->pat = PAT_RESET;
	s->misc_enable = MISC_ENABLE_RESET;
	s->tsc_offset = -os_tsc();
	s->mxcsr = MXCSR_RESET;
	s->fcw = FCW_RESET;
	soft_set_rflags(c, RFLAGS_ONE);
	soft_mode_changed(c);
	soft_tlb_flush(c);
}
