/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * 32-bit protected mode: segment limits and types, gates of both sizes, rings, call gates with
 * parameters, virtual-8086 mode, tasks, 32-bit and PAE paging.
 */
	.include "guest.inc"

	.set K_CODE, 0x08
	.set K_DATA, 0x10
	.set U_CODE, 0x1b
	.set U_DATA, 0x23
	.set TSS, 0x28
	.set TASK, 0x30
	.set GATE, 0x38
	.set GATE16, 0x40
	.set SMALL, 0x48
	.set DOWN, 0x50
	.set CONFORMING, 0x58
	.set CODE16, 0x60
	.set EXEC_ONLY, 0x68
	.set TASK_GATE, 0x70
	.set R1_CODE, 0x79
	.set R1_DATA, 0x81
	.set ABSENT, 0x88
	.set DATA16, 0x90
	.set GATE_ABSENT, 0x98
	.set GATE_R1, 0xa0
	.set SHORT_CODE, 0xa8
	.set GDT_END, 0xb0
	.set TASK_STACK, 0x38000
	.set RING1_STACK, 0x3c000

	.section .reset, "ax"
	.code16
	ljmp	$0xf000, $(real - 0xf0000)
	.balign 16, 0x90

	.text
	.code16
real:
	lgdtl	%cs:(gdtr - 0xf0000)
	lidtl	%cs:(idtr - 0xf0000)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$K_CODE, $protected

	.code32
	.macro TRY vector, error, insn:vararg
	movl	$2f, %edi
	EXPECT	1f, \vector, \error, TRY_CS, 0
1:	\insn
2:
	.endm
	.macro TRAP vector, error, insn:vararg
	movl	$2f, %edi
	EXPECT	2f, \vector, \error, TRY_CS, 0
	\insn
2:
	.endm
	.macro TRY_PF address, error, insn:vararg
	movl	$2f, %edi
	EXPECT	1f, 14, \error, TRY_CS, \address
1:	\insn
2:
	.endm
	.macro RESULT value, want
	WANT	\@, \want
	movl	\value, have_\@
	movl	$0, have_\@ + 4
	.endm

	.set TRY_CS, K_CODE
protected:
	movw	$K_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$KERNEL_STACK, %esp
	movw	$TSS, %ax
	ltr	%ax
	call	idt_fill

	/* ---- segments ---- */
	movw	$SMALL, %ax
	movw	%ax, %fs
	movb	%fs:0xff, %al
	TRY	13, 0, movb %fs:0x100, %al
	TRY	13, 0, movw %fs:0xff, %ax
	movl	%fs:0xfc, %eax
	TRY	13, 0, movl %fs:0xfd, %eax
	movw	$DOWN, %ax			/* valid above 0xfff */
	movw	%ax, %gs
	TRY	13, 0, movb %gs:0xfff, %al
	movb	%gs:0x1000, %al
	TRY	13, 0, movl %gs:0xffd, %eax
	movw	$EXEC_ONLY, %ax
	TRY	13, EXEC_ONLY, movw %ax, %fs
	movw	$K_CODE, %ax
	movw	%ax, %fs
	movl	%fs:0xf0000, %eax		/* readable */
	TRY	13, 0, movl %eax, %fs:0xf0000	/* never writable */
	xorl	%eax, %eax
	movw	%ax, %fs
	TRY	13, 0, movl %fs:0, %eax		/* null */
	TRY	13, 0, movw %ax, %ss
	movw	$ABSENT, %ax
	TRY	11, ABSENT, movw %ax, %fs
	TRY	12, ABSENT, movw %ax, %ss
	movw	$SMALL, %ax
	movl	%esp, %ebx
	movw	%ax, %ss
	movl	$0x102, %esp
	movl	$2f, %edi
	EXPECT	1f, 12, 0, K_CODE, 0
	/* the handler needs a stack: its gate is a task's for this one */
	movl	$0x8500, idt + 12 * 8 + 4
	movw	$TASK, idt + 12 * 8 + 2
	movl	$stack_task, task + 32
1:	popl	%eax
2:	movw	$K_DATA, %ax
	movw	%ax, %ss
	movl	%ebx, %esp
	call	idt_fill

	/* ---- instructions of this mode only ---- */
	movl	$5, bounds
	movl	$7, bounds + 4
	movl	$5, %eax
	bound	%eax, bounds
	movl	$8, %eax
	TRY	5, NO_ERROR, bound %eax, bounds
	into
	movb	$0x7f, %al
	addb	$1, %al
	TRAP	4, NO_ERROR, into
	movw	$0x08, %ax
	movw	$0x03, %cx
	arpl	%cx, %ax
	setz	%dl
	movzwl	%ax, %eax
	RESULT	%eax, 0x0b
	arpl	%cx, %ax
	setz	%dh
	movzwl	%dx, %edx
	RESULT	%edx, 1
	les	far_data, %ecx
	RESULT	%ecx, 0x12345678
	movl	%es, %eax
	RESULT	%eax, K_DATA
	pushl	$0x11223344
	pushw	%es				/* two bytes */
	popw	%ax
	movzwl	%ax, %eax
	RESULT	%eax, K_DATA
	pushl	%es
	popl	%eax
	movzwl	%ax, %eax
	RESULT	%eax, K_DATA
	popl	%eax
	TRY	6, NO_ERROR, syscall		/* 64-bit code only */
	smsw	%ax

	/* ---- far transfers ---- */
	ljmp	$K_CODE, $1f
1:	lcall	$K_CODE, $far_ret
	TRY	13, 0, ljmp $0, $protected
	TRY	13, K_DATA, lcall $K_DATA, $protected
	TRY	13, (U_CODE&~3), ljmp $U_CODE, $protected
	TRY	11, GATE_ABSENT, lcall $GATE_ABSENT, $0
	TRY	13, 0, ljmp $SHORT_CODE, $0x100
	lcall	$CONFORMING, $far_ret
	movl	%esp, %ebp
	lcall	$CODE16, $(code16 - 0xf0000)
	RESULT	%eax, 0x22221616
	RESULT	%ecx, 0x1681
	lcall	$GATE, $0			/* same ring: no parameters copied */
	RESULT	%eax, K_CODE
	subl	%esp, %ebp
	RESULT	%ebp, 0

	/* ---- IRET refuses ---- */
	.macro TRY_IRET error, cs, rip
	pushfl
	pushl	$\cs
	pushl	$\rip
	TRY	13, \error, iretl
	addl	$12, %esp
	.endm
	TRY_IRET 0, 0, protected
	TRY_IRET K_DATA, K_DATA, protected
	TRY_IRET (U_CODE&~3), (U_CODE&~3), protected
	TRY_IRET GDT_END, GDT_END, protected
	TRY_IRET 0, SHORT_CODE, 0x100

	/* ---- tasks ---- */
	movl	$task_entry, task + 32
	movl	$TASK_STACK, task + 56
	lcall	$TASK, $0
	RESULT	%eax, 0x7a5c			/* EAX is ours again */
	str	%eax
	RESULT	%eax, TSS
	movl	%cr0, %eax
	andl	$8, %eax
	RESULT	%eax, 8				/* TS */
	clts
	movzwl	gdt + TASK + 4, %eax
	shrl	$8, %eax
	RESULT	%eax, 0x89			/* not busy */
	movl	$0x7a5d, %eax
	int	$0x82				/* through a task gate, goes on behind its IRET */
	RESULT	%eax, 0x7a5d
	lcall	$TASK_GATE, $0
	TRY	13, TSS, ljmp $TSS, $0		/* busy */
	pushfl
	orl	$0x4000, (%esp)
	popfl
	movw	$K_DATA, tss
	movl	$2f, %edi
	EXPECT	1f, 10, K_DATA, K_CODE, 0
1:	iretl					/* NT: the link is no task */
2:	pushfl
	andl	$~0x4000, (%esp)
	popfl

	/* a double fault, to a task of its own */
	movl	$0x0e00, idt + 13 * 8 + 4	/* #GP's gate is not present */
	movl	$0x8500, idt + 8 * 8 + 4
	movw	$TASK, idt + 8 * 8 + 2
	movl	$double_fault_task, task + 32
	movl	$TASK_STACK, task + 56
	movl	$2f, %edi
	movl	$K_DATA, %ebp
1:	ljmp	$0, $protected
2:	call	idt_fill
	RESULT	%ebp, 0xdf

	/* ---- ring 3 ---- */
	pushl	$U_DATA
	pushl	$USER_STACK
	pushl	$0x202
	pushl	$U_CODE
	pushl	$user
	iretl

	.set TRY_CS, U_CODE
user:
	movl	%ds, %eax			/* the kernel's segments are gone */
	movl	%es, %ecx
	movl	$U_DATA, %edx
	movw	%dx, %ds
	movw	%dx, %es
	RESULT	%eax, 0
	RESULT	%ecx, 0
	movl	%esp, %eax
	RESULT	%eax, USER_STACK
	TRY	13, 0, cli
	TRY	13, 0, hlt
	TRY	13, 0, inb $0x80, %al
	TRY	13, (0x84*8+2), int $0x84
	TRAP	3, NO_ERROR, int3
	TRAP	0x80, NO_ERROR, int $0x80
	movw	$K_DATA, %ax
	TRY	13, K_DATA, movw %ax, %ds
	TRY	13, K_CODE, ljmp $K_CODE, $protected
	TRY	13, (0x28), lcall $TSS, $0
	lcall	$(CONFORMING+3), $user_conforming
	pushl	$0x1111
	pushl	$0x2222
	lcall	$(GATE+3), $0			/* to ring 0 with two parameters */
	RESULT	%eax, K_CODE
	RESULT	%ecx, 0x1111
	RESULT	%edx, 0x2222
	RESULT	%ebx, U_DATA
	movl	%es, %eax
	RESULT	%eax, 0
	movl	%esp, %eax
	RESULT	%eax, USER_STACK
	lcall	$(GATE_R1+3), $0
	RESULT	%eax, R1_CODE
	RESULT	%ecx, R1_DATA
	movl	%ds, %eax
	RESULT	%eax, U_DATA
	int	$0x85				/* to kernel_again */

user_conforming:
	movl	%cs, %eax
	RESULT	%eax, (CONFORMING+3)
	lretl

	.set TRY_CS, K_CODE
kernel_again:
	movl	$K_DATA, %eax
	movw	%ax, %ds
	movw	%ax, %es
	movl	%ss, %eax
	RESULT	%eax, K_DATA
	movl	$KERNEL_STACK, %esp

	/* ---- virtual-8086 ---- */
	pushl	$0xaaa				/* GS FS DS ES */
	pushl	$0xbbb
	pushl	$0xf000
	pushl	$0
	pushl	$0x1800				/* SS ESP */
	pushl	$0x1000
	pushl	$0x20202			/* VM, IOPL 0 */
	pushl	$0xf000
	pushl	$(v86 - 0xf0000)
	iretl

	.code16
	.macro TRY16 vector, error, insn:vararg
	movl	$(2f - 0xf0000), %edi
	EXPECT	(1f-0xf0000), \vector, \error, 0xf000, 0
1:	\insn
2:
	.endm
	.macro RESULT16 value, want
	WANT	\@, \want
	movl	\value, %cs:(have_\@ - 0xf0000)
	movl	$0, %cs:(have_\@ + 4 - 0xf0000)
	.endm
v86:
	TRY16	13, 0, cli
	TRY16	13, 0, sti
	TRY16	13, 0, pushf
	TRY16	13, 0, popf
	TRY16	13, 0, int $0x80
	TRY16	13, 0, iret
	TRY16	13, 0, hlt
	TRY16	13, 0, inb $0x80, %al
	TRY16	6, NO_ERROR, lldt %ax
	TRY16	6, NO_ERROR, lar %ax, %ax
	movl	$0xffff, %ebx
	TRY16	13, 0, movw (%bx), %ax
	movw	%fs, %ax
	movzwl	%ax, %eax
	RESULT16 %eax, 0xbbb
	movw	$0x123, %ax
	movw	%ax, %gs
	movw	%gs, %ax
	RESULT16 %eax, 0x123
	lcall	$0xf000, $(v86_far - 0xf0000)
	RESULT16 %eax, 0x8686
	movl	$(2f - 0xf0000), %edi
	EXPECT	(2f-0xf0000), 3, NO_ERROR, 0xf000, 0
	int3
2:	movl	%esp, %eax
	RESULT16 %eax, 0x1000
	movb	$0x85, %al
	movl	$0x86, %ebp
	movl	$(v86_iopl - 0xf0000), %edi
	ud2					/* the handler sees EBP and gives IOPL 3 */
v86_iopl:
	xorw	%ax, %ax
	cli
	sti
	pushf
	popw	%ax
	movzwl	%ax, %eax
	RESULT16 %eax, 0x3246
	pushl	$0x3046
	popfl
	pushfl
	popl	%eax
	RESULT16 %eax, 0x3046
	int	$0x86

v86_far:
	movl	$0x8686, %eax
	lret
	.code32

after_v86:
	movl	%ds, %ecx
	movl	$K_DATA, %edx
	movw	%dx, %ds
	movw	%dx, %es
	RESULT	%ecx, 0
	RESULT	%eax, 0x3046
	/* the frame has the guest's segments */
	movl	4(%esp), %eax
	RESULT	%eax, 0xf000
	movl	24(%esp), %eax
	RESULT	%eax, 0x2000			/* DS, as changed in the guest */
	movl	$KERNEL_STACK, %esp

	/* ---- 32-bit paging: 4 MiB pages, 0 as it is, 4 MiB read-only, 8 MiB absent ---- */
	movl	$0x83, TABLES
	movl	$0x81, TABLES + 4
	movl	$0, TABLES + 8
	movl	$TABLES + 0x1003, TABLES + 12	/* 12 MiB: small pages */
	movl	$0x0f0003, TABLES + 0x1000
	movl	$0, TABLES + 0x1004
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x10, %eax			/* PSE */
	movl	%eax, %cr4
	movl	%cr0, %eax
	orl	$0x80010000, %eax		/* PG WP */
	movl	%eax, %cr0
	TRY_PF	0x400004, 3, movl %eax, 0x400004
	TRY_PF	0x800008, 0, movl 0x800008, %eax
	TRY_PF	0xc01000, 2, movl %eax, 0xc00ffe
	movl	0xc00000, %eax
	cmpl	0xf0000, %eax
	sete	%al
	movzbl	%al, %eax
	RESULT	%eax, 1
	movl	TABLES, %eax
	RESULT	%eax, 0xe3			/* accessed, dirty */
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0

	/* ---- PAE ---- */
	movl	$TABLES + 0x2000, %eax
	movl	%eax, %cr3
	movl	$TABLES + 0x3003, TABLES + 0x2000	/* reserved bits in a pointer */
	movl	%cr4, %eax
	orl	$0x20, %eax
	movl	%eax, %cr4
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	TRY	13, 0, movl %eax, %cr0
	movl	$TABLES + 0x3001, TABLES + 0x2000
	movl	$0, TABLES + 0x2004
	movl	$0x83, TABLES + 0x3000
	movl	$0, TABLES + 0x3004
	movl	$0x81, TABLES + 0x3008
	movl	$0, TABLES + 0x300c
	movl	%eax, %cr0
	movl	0x200000, %eax
	TRY_PF	0x200004, 3, movl %eax, 0x200004
	TRY_PF	0x400008, 0, movl 0x400008, %eax
	TRY_PF	0x40000000, 0, movl 0x40000000, %eax
	/* the pointers are the processor's own copy */
	movl	$TABLES + 0x3001, TABLES + 0x2008
	TRY_PF	0x40000000, 0, movl 0x40000000, %eax
	movl	%cr3, %eax
	movl	%eax, %cr3
	movl	0x40000000, %eax

	movl	$0x600d, %eax
	hlt

far_ret:
	lret

gate_target:					/* SS is this ring's, the caller's stack behind CS EIP */
	movl	%cs, %eax
	movl	12(%esp), %ecx
	movl	8(%esp), %edx
	movl	20(%esp), %ebx
	testb	$3, 4(%esp)
	jz	far_ret
	movl	$K_DATA, %edi
	movw	%di, %es			/* lost on the way out */
	lret	$8

ring1:
	movl	%cs, %eax
	movl	%ss, %ecx
	lret

	.code16
code16:						/* gates of 16 bits come back to the first 64 KiB only */
	lcallw	$GATE16, $0
	movw	$0x1616, %ax
	int	$0x81
	lretl
gate16_target:
	movl	$0x22220000, %eax
	lretw
int_16bit:
	movl	$0x1681, %ecx
	iretw
	.code32

task_entry:
	pushfl
	popl	%eax
	andl	$0x4000, %eax
	RESULT	%eax, 0x4000
	str	%eax
	RESULT	%eax, TASK
	movzwl	task, %eax
	RESULT	%eax, TSS
	movl	$0x7a5c, tss + 40
	iretl
	clts
	iretl
	clts
	iretl

double_fault_task:
	popl	%eax				/* the error code */
	testl	%eax, %eax
	jnz	1f
	movl	$0xdf, tss + 60			/* EBP of the task that failed */
1:	movl	tss + 68, %eax			/* goes on at its EDI */
	movl	%eax, tss + 32
	clts
	iretl

/* Logs for the task that failed: its registers are in its TSS. */
stack_task:
	movl	LOG, %ebx
	incl	LOG
	shll	$6, %ebx
	movl	tss + 32, %eax
	movl	%eax, LOG + 64(%ebx)
	movl	$12, LOG + 72(%ebx)
	popl	%eax
	movl	%eax, LOG + 80(%ebx)
	movl	tss + 76, %eax
	movl	%eax, LOG + 88(%ebx)
	movl	tss + 68, %eax
	movl	%eax, tss + 32
	movl	$K_DATA, tss + 80		/* a stack that can be used */
	clts
	iretl

/* ---- logging handlers: a frame of vector, error, eip, cs, flags, ... ---- */

	.macro STUB n
	.balign 16
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17)
	.else
	pushl	$NO_ERROR
	.endif
	pushl	$\n
	jmp	log_event
	.endm
	.balign 16
stubs:
	.set vector_nr, 0
	.altmacro
	.rept 32
	STUB	%vector_nr
	.set vector_nr, vector_nr + 1
	.endr
	.noaltmacro
stub_80:
	STUB	0x80

log_event:
	pushl	%ds
	pushl	%eax
	pushl	%ebx
	movl	$K_DATA, %eax
	movw	%ax, %ds
	cmpl	$0x86, %ebp			/* asked for IOPL 3 */
	je	give_iopl
	movl	LOG, %ebx
	incl	LOG
	shll	$6, %ebx
	addl	$LOG + 64, %ebx
	movl	12(%esp), %eax
	movl	%eax, 8(%ebx)
	movl	16(%esp), %eax
	movl	%eax, 16(%ebx)
	movl	20(%esp), %eax
	movl	%eax, (%ebx)
	movl	24(%esp), %eax
	movl	%eax, 24(%ebx)
	movl	28(%esp), %eax
	movl	%eax, 32(%ebx)
	movl	%cr2, %eax
	movl	%eax, 56(%ebx)
1:	movl	%edi, 20(%esp)
	popl	%ebx
	popl	%eax
	popl	%ds
	addl	$8, %esp
	iretl
give_iopl:
	orl	$0x3000, 28(%esp)
	movw	$0x2000, 44(%esp)		/* and another DS */
	xorl	%ebp, %ebp
	jmp	1b

idt_fill:
	pushal
	movl	$32, %ecx
	movl	$idt, %edi
	movl	$stubs, %eax
1:	movw	%ax, (%edi)
	movw	$K_CODE, 2(%edi)
	movw	$0x8e00, 4(%edi)
	movw	$0xf, 6(%edi)
	addl	$8, %edi
	addl	$16, %eax
	decl	%ecx
	jnz	1b
	movb	$0xee, idt + 3 * 8 + 5
	movb	$0xee, idt + 4 * 8 + 5
	popal
	ret

	.data
	.balign 16
	.macro GATE target, sel, type, params=0
	.word \target - 0xf0000, \sel, \type << 8 | \params, 0xf
	.endm
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 08 kernel code */
	.quad 0x00cf93000000ffff	/* 10 kernel data */
	.quad 0x00cffb000000ffff	/* 18 user code */
	.quad 0x00cff3000000ffff	/* 20 user data */
	.word 0x67, tss - 0xf0000	/* 28 TSS */
	.byte 0xf, 0x89, 0, 0
	.word 0x67, task - 0xf0000	/* 30 TASK */
	.byte 0xf, 0x89, 0, 0
	GATE	gate_target, K_CODE, 0xec, 2
	GATE	gate16_target, CODE16, 0xe4
	.quad 0x00409300000000ff	/* 48 data of 256 bytes at 0 */
	.quad 0x0040970000000fff	/* 50 data that expands down */
	.quad 0x00cf9f000000ffff	/* 58 conforming code */
	.quad 0x00009b0f0000ffff	/* 60 16-bit code at f0000 */
	.quad 0x00cf99000000ffff	/* 68 code that cannot be read */
	.word 0, TASK, 0xe500, 0	/* 70 task gate */
	.quad 0x00cfbb000000ffff	/* 78 ring 1 code */
	.quad 0x00cfb3000000ffff	/* 80 ring 1 data */
	.quad 0x00cf13000000ffff	/* 88 not present */
	.quad 0x0000930f0000ffff	/* 90 16-bit data */
	GATE	gate_target, K_CODE, 0x6c
	GATE	ring1, R1_CODE, 0xec
	.quad 0x00409b00000000ff	/* a8 code of 256 bytes */
gdt_end:

	.balign 16
tss:
	.long 0, KERNEL_STACK, K_DATA, RING1_STACK, R1_DATA, 0, 0
	.fill 18, 4, 0
	.word 0, 0x68
task:
	.long 0, KERNEL_STACK, K_DATA, 0, 0, 0, 0
	.long 0, 0, 2			/* CR3 EIP EFLAGS */
	.long 0, 0, 0, 0, TASK_STACK, 0, 0, 0
	.long K_DATA, K_CODE, K_DATA, K_DATA, 0, 0
	.long 0
	.word 0, 0x68

	.balign 8
idt:
	.fill 0x80, 8, 0
	GATE	stub_80, K_CODE, 0xee
	GATE	int_16bit, CODE16, 0x86
	.word 0, TASK, 0x8500, 0
	.quad 0
	GATE	stub_80, K_CODE, 0x8e
	GATE	kernel_again, K_CODE, 0xee
	GATE	after_v86, K_CODE, 0xee
idt_end:
	.balign 8
gdtr:
	.word gdt_end - gdt - 1
	.long gdt
	.balign 8
idtr:
	.word idt_end - idt - 1
	.long idt
far_data:
	.long 0x12345678
	.word K_DATA
	.balign 8
bounds:
	.quad 0
