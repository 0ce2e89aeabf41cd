/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * control: the files system.c picks the privileged instructions from. Private to src/cpu/soft.
 *
 * Each *_select() returns the handler of an instruction it implements, or NULL; system.c marks all
 * of them as ends of their block.
 */
#ifndef GMEM_CPU_SOFT_CONTROL_H
#define GMEM_CPU_SOFT_CONTROL_H

#include "cpu/soft/sys.h"

soft_exec *control_select(const struct soft_decoded *d);   /* CRn, DRn, translations */
soft_exec *table_select(const struct soft_decoded *d);	   /* GDT, IDT, LDT, TR, LAR and the like */
soft_exec *segment_select(const struct soft_decoded *d);   /* segment registers and bases */
soft_exec *flag_select(const struct soft_decoded *d);	   /* PUSHF, POPF, CLI, STI, STAC, CLAC */
soft_exec *processor_select(const struct soft_decoded *d); /* CPUID, MSRs, TSC, HLT, hypercalls */

/* #GP(0) for code outside CPL 0 when CR4.UMIP hides the tables. */
void sys_need_umip(struct soft *c);
/* SMSW, SLDT, STR, MOV from Sreg: 16 bits to memory, the operand size to a register. */
void sys_store_word(struct soft *c, const struct insn *i, uint64_t value);

#endif
