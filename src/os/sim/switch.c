/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * From one stack to another. Kept are the registers that a function call keeps, and the arithmetic modes:
 * an engine may have the guest's in the processor.
 */
#include "os/sim/sim_private.h"

__asm__(".text\n"
	".globl sim_context_switch\n"
	".hidden sim_context_switch\n"
	".type sim_context_switch, @function\n"
	"sim_context_switch:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	sub $8, %rsp\n"
	"	stmxcsr (%rsp)\n"
	"	fnstcw 4(%rsp)\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n"
	"	add $8, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size sim_context_switch, . - sim_context_switch\n");
