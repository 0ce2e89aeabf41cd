/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Real mode: exceptions and INT through the table at 0, IRET, far transfers, limits, segments that keep
 * what protected mode gave them; back from long mode.
 */
	.include "guest.inc"

	.section .reset, "ax"
	.code16
	ljmp	$0xf000, $(real - 0xf0000)
	.balign 16, 0x90

	.text
	.code16
	.set CS_REAL, 0xf000
	/* The frame's IP is an offset in the image's segment; the log has no error code. */
	.macro TRY vector, insn:vararg
	movw	$(2f - 0xf0000), %di
	EXPECT	(1f-0xf0000), \vector, NO_ERROR, CS_REAL, 0
1:	\insn
2:
	.endm
	.macro TRAP vector, insn:vararg
	movw	$(2f - 0xf0000), %di
	EXPECT	(2f-0xf0000), \vector, NO_ERROR, CS_REAL, 0
	\insn
2:
	.endm
	.macro RESULT value, want
	WANT	\@, \want
	movl	\value, %cs:(have_\@ - 0xf0000)
	movl	$0, %cs:(have_\@ + 4 - 0xf0000)
	.endm

real:
	RESULT	%edx, 0x600			/* as reset left it */
	movl	%cr0, %eax
	RESULT	%eax, 0x60000010
	cli
	xorl	%eax, %eax
	movw	%ax, %ds
	movw	%ax, %es
	movw	$0x1000, %ax
	movw	%ax, %ss
	movl	$0x12348000, %esp
	/* vectors 0 to 31 and 80 */
	xorw	%bx, %bx
	movw	$(stubs - 0xf0000), %ax
	movw	$33, %cx
1:	movw	%ax, (%bx)
	movw	$CS_REAL, 2(%bx)
	addw	$16, %ax
	addw	$4, %bx
	loop	1b
	movw	-4(%bx), %ax			/* the last stub is vector 80's */
	movw	%ax, 0x80 * 4
	movw	$CS_REAL, 0x80 * 4 + 2

	/* ---- exceptions ---- */
	xorw	%cx, %cx
	xorw	%dx, %dx
	TRY	0, divw %cx
	TRY	6, ud2
	TRY	6, lldt %ax
	TRY	6, ltr %ax
	TRY	6, sldt %ax
	TRY	6, verr %ax
	TRY	6, .byte 0x8e, 0xc8		/* mov cs, ax */
	TRAP	3, int3
	TRAP	0x80, int $0x80
	movb	$0x7f, %al
	incb	%al
	TRAP	4, into
	movl	$1, 0x500
	movw	$2, 0x502
	movw	$3, %ax
	TRY	5, bound %ax, 0x500
	movl	%esp, %eax
	RESULT	%eax, 0x12348000		/* the upper half is untouched */

	/* ---- limits ---- */
	movw	$0xffff, %bx
	movb	(%bx), %al
	TRY	13, movw (%bx), %ax
	TRY	13, movw %ax, (%bx)
	movl	$0x10000, %ebx
	TRY	13, movb (%ebx), %al
	movw	$0xffff, %bp
	TRY	12, movw (%bp), %ax
	lidtw	%cs:(short_idtr - 0xf0000)
	TRY	13, int $0x80			/* beyond the table */
	lidtw	%cs:(idtr - 0xf0000)
	movl	$0x10000, %eax
	TRY	13, ljmpl *%cs:(far_limit - 0xf0000)

	/* ---- single step ---- */
	pushfw
	popw	%ax
	orw	$0x100, %ax
	pushw	%ax
	movw	$(1f - 0xf0000), %di
	EXPECT	(1f-0xf0000), 1, NO_ERROR, CS_REAL, 0
	popfw
	nop
1:
	/* ---- far calls, flags ---- */
	xorl	%eax, %eax
	lcall	$0xf010, $(far_target - 0xf0100)
	RESULT	%eax, 0xf010
	lcalll	*%cs:(far_wide - 0xf0000)
	RESULT	%eax, 0xf010
	pushl	$0x0024ced7
	popfl
	pushfl
	popl	%eax
	RESULT	%eax, 0x00244ed7
	pushw	$0x7002
	popfw
	pushfw
	popw	%ax
	movzwl	%ax, %eax
	RESULT	%eax, 0x7002			/* IOPL and NT can be set */
	pushfw
	pushw	%cs
	pushw	$(1f - 0xf0000)
	iretw					/* NT means nothing here */
1:	pushw	$2
	popfw
	pushl	$0x200002
	pushl	$CS_REAL
	pushl	$(1f - 0xf0000)
	iretl
1:	pushfl
	popl	%eax
	RESULT	%eax, 0x200002
	pushl	$2
	popfl

	/* ---- segments ---- */
	movw	$0x1234, %ax
	movw	%ax, %fs
	movl	$0xaabbccdd, %ecx
	movl	%ecx, %fs:8
	xorl	%eax, %eax
	movw	$0x1000, %ax
	movw	%ax, %es
	movl	%es:0x2348, %eax
	RESULT	%eax, 0xaabbccdd
	pushw	%fs
	popw	%gs
	movl	%gs, %eax
	RESULT	%eax, 0x1234
	movl	$0x00500777, 0x600
	lgs	0x600, %bx
	movzwl	%bx, %ebx
	RESULT	%ebx, 0x777
	movl	%gs, %eax
	RESULT	%eax, 0x50

	/* ---- big real mode: limits stay ---- */
	lgdtl	%cs:(gdtr - 0xf0000)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$0x10, %bx
	movw	%bx, %ds
	andb	$0xfe, %al
	movl	%eax, %cr0
	movl	$0xf0000, %ebx
	movl	(%ebx), %eax			/* the selector is 10, the base still 0 */
	cmpl	%cs:0, %eax
	sete	%al
	movzbl	%al, %eax
	RESULT	%eax, 1
	xorw	%bx, %bx
	movw	%bx, %ds
	movl	$0xfff0, %ebx
	movl	0xe0010(%ebx), %eax		/* and so is the limit of 4 GiB */
	cmpl	%cs:0, %eax
	sete	%al
	movzbl	%al, %eax
	RESULT	%eax, 1

	/* ---- LMSW sets PE and cannot clear it ---- */
	smsww	%ax
	orw	$1, %ax
	lmsw	%ax
	andw	$0xfffe, %ax
	lmsw	%ax
	smsww	%si
	movzwl	%si, %esi
	ljmpl	$8, $protected

	.code32
protected:
	movw	$0x10, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$KERNEL_STACK, %esp
	/* long mode with compatibility code only, and all the way back */
	movl	$TABLES + 0x1003, TABLES
	movl	$0x83, TABLES + 0x1000		/* 1 GiB */
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$0x20, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80000011, %eax
	movl	%eax, %cr0
	rdmsr
	movl	%eax, %ebx			/* LMA */
	movl	$0x11, %eax
	movl	%eax, %cr0
	rdmsr
	movl	%eax, %ebp
	ljmpl	$0x18, $(protected16 - 0xf0000)
	.code16
protected16:
	movw	$0x20, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movl	$0x10, %eax
	movl	%eax, %cr0
	ljmp	$CS_REAL, $(real_again - 0xf0000)
real_again:
	RESULT	%esi, 0x11
	RESULT	%ebx, 0x500
	RESULT	%ebp, 0x100
	movw	$0, %ax
	movw	%ax, %ds
	movw	$0x1000, %ax
	movw	%ax, %ss
	movw	$0x8000, %sp
	movl	$0x10000, %ebx
	TRY	13, movb (%ebx), %al		/* the limits are real mode's again */
	TRY	6, ud2

	movl	$0x600d, %eax
	hlt

	.set vector_nr, 0
	.macro STUB n
	.balign 16
	pushl	$\n
	jmp	log_event
	.endm
	.balign 16
stubs:
	.altmacro
	.rept 32
	STUB	%vector_nr
	.set vector_nr, vector_nr + 1
	.endr
	.noaltmacro
	STUB	0x80

log_event:					/* vector (4), IP CS FLAGS */
	pushl	%eax
	pushl	%ebx
	pushw	%ds
	pushw	%bp
	movw	%sp, %bp
	xorl	%eax, %eax
	movw	%ax, %ds
	movw	LOG, %bx
	incw	LOG
	shlw	$6, %bx
	movl	12(%bp), %eax
	movl	%eax, LOG + 72(%bx)
	movl	$NO_ERROR, LOG + 80(%bx)
	movzwl	16(%bp), %eax
	movl	%eax, LOG + 64(%bx)
	movzwl	18(%bp), %eax
	movl	%eax, LOG + 88(%bx)
	movzwl	20(%bp), %eax
	movl	%eax, LOG + 96(%bx)
	andw	$0xfeff, 20(%bp)
	movw	%di, 16(%bp)
	popw	%bp
	popw	%ds
	popl	%ebx
	popl	%eax
	addw	$4, %sp
	iretw

far_target:
	movw	%cs, %ax
	lretw

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 08 code */
	.quad 0x00cf93000000ffff	/* 10 data */
	.quad 0x00009b0f0000ffff	/* 18 16-bit code at f0000 */
	.quad 0x000093000000ffff	/* 20 16-bit data */
gdt_end:
	.balign 4
gdtr:
	.word gdt_end - gdt - 1
	.long gdt
idtr:
	.word 0x3ff
	.long 0
short_idtr:
	.word 0x80 * 4 + 2
	.long 0
far_limit:
	.long 0x10000
	.word CS_REAL
far_wide:
	.long far_wide_target - 0xf0100
	.word 0xf010
far_wide_target:
	movw	%cs, %ax
	lretl
