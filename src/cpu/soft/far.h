/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * far: what far transfers share (far.c, iret.c, syscall.c). Private to src/cpu/soft.
 *
 * All of them check first and commit last: new stack, flags, then far_commit() for CS and RIP.
 */
#ifndef GMEM_CPU_SOFT_FAR_H
#define GMEM_CPU_SOFT_FAR_H

#include "cpu/soft/sys.h"

/* #GP(0) when rip is no place in cs. */
void far_check_rip(struct soft *c, const struct cpu_seg *cs, uint64_t rip);
/* CS and RIP are these from now on; derives the mode and jumps. */
void far_commit(struct soft *c, const struct cpu_seg *cs, uint64_t rip);
/* CS of real and virtual-8086 mode. */
void far_real_cs(struct soft *c, struct cpu_seg *cs, uint16_t sel, uint64_t rip);
/* CS of a return, to this or an outer privilege. */
void far_return_cs(struct soft *c, uint16_t sel, uint64_t rip, struct cpu_seg *cs);
/* The stack that a return to cs pops. */
void far_return_stack(struct soft *c, const struct cpu_seg *cs, uint16_t sel, uint64_t sp,
		      struct stack *st);
/* Data segments that privilege cpl may not keep become null. */
void far_drop_inner(struct soft *c, unsigned int cpl);

soft_exec *far_select_interrupt(const struct soft_decoded *d);
soft_exec *far_select_syscall(const struct soft_decoded *d);

#endif
