/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * From the reset vector through real and protected mode to long mode and ring 3; there every way an
 * exception can be raised, SYSCALL and SYSRET, interrupts, stack switches.
 */
	.include "guest.inc"

	.set K_CODE, 0x08
	.set K_DATA, 0x10
	.set U_CODE32, 0x1b
	.set U_DATA, 0x23
	.set U_CODE, 0x2b
	.set K_CODE32, 0x30
	.set TSS, 0x38
	.set NOT_PRESENT, 0x48
	.set GATE, 0x50
	.set K_DATA_RO, 0x60
	.set LDT, 0x68
	.set CONFORMING, 0x78
	.set BAD_L_D, 0x80
	.set NO_CODE, 0x88
	.set GDT_END, 0x90

	.section .reset, "ax"
	.code16
	ljmp	$0xf000, $(real - 0xf0000)
	.balign 16, 0x90

	.text
	.code16
real:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7000, %sp
	lgdtl	%cs:(gdtr32 - 0xf0000)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$K_CODE32, $protected

	.code32
protected:
	movw	$K_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$KERNEL_STACK, %esp
	call	page_tables
	movl	%cr4, %eax
	orl	$0x220, %eax		/* PAE OSFXSR */
	movl	%eax, %cr4
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x901, %eax		/* NX LME SCE */
	wrmsr
	movl	$0x80010011, %eax	/* PG WP ET PE */
	movl	%eax, %cr0
	ljmpl	$K_CODE, $long_mode

/*
 * 2 MiB pages of user memory at 0 and its aliases: at 2 MiB the kernel's, at 4 MiB read-only, at 6 MiB
 * absent, at 8 MiB not executable, at 10 MiB with a reserved bit; from 3 GiB on 1 GiB as it is.
 */
page_tables:
	movl	$TABLES, %edi
	xorl	%eax, %eax
	movl	$0xc00, %ecx
	cld
1:	movl	%eax, (%edi)
	addl	$4, %edi
	decl	%ecx
	jnz	1b
	movl	$TABLES + 0x1007, TABLES
	movl	$TABLES + 0x2007, TABLES + 0x1000
	movl	$0xc0000087, TABLES + 0x1018
	movl	$0x87, TABLES + 0x2000
	movl	$0x83, TABLES + 0x2008
	movl	$0x85, TABLES + 0x2010
	movl	$0x87, TABLES + 0x2020
	movl	$0x80000000, TABLES + 0x2024
	movl	$0x2087, TABLES + 0x2028
	ret

	.code64
	.macro TRY vector, error, insn:vararg
	leaq	2f(%rip), %r15
	EXPECT	1f, \vector, \error, TRY_CS, 0
1:	\insn
2:
	.endm
	/* RIP behind the instruction. */
	.macro TRAP vector, error, insn:vararg
	leaq	2f(%rip), %r15
	EXPECT	2f, \vector, \error, TRY_CS, 0
	\insn
2:
	.endm
	.macro TRY_PF address, error, insn:vararg
	leaq	2f(%rip), %r15
	EXPECT	1f, 14, \error, TRY_CS, \address
1:	\insn
2:
	.endm
	/* The exception has another RIP than the instruction's. */
	.macro TRY_AT rip, vector, error, insn:vararg
	leaq	2f(%rip), %r15
	EXPECT	\rip, \vector, \error, TRY_CS, 0
	\insn
2:
	.endm
	.macro RESULT value, want
	WANT	\@, \want
	movq	\value, have_\@
	.endm

	.set TRY_CS, K_CODE
long_mode:
	movw	$K_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movq	$KERNEL_STACK, %rsp
	lgdt	gdtr
	lidt	idtr
	movw	$TSS, %ax
	ltr	%ax
	call	idt_fill

	/* ---- exceptions in ring 0 ---- */
	xorl	%eax, %eax
	xorl	%edx, %edx
	xorl	%ecx, %ecx
	TRY	0, NO_ERROR, divl %ecx
	TRY	6, NO_ERROR, ud2
	TRY	6, NO_ERROR, ud1 %eax, %eax
	TRAP	3, NO_ERROR, int3
	TRAP	0x80, NO_ERROR, int $0x80
	TRY	13, (0x81*8+2), int $0x81	/* beyond nothing: type 0 gate */
	TRY	11, (0x82*8+2), int $0x82	/* gate not present */
	TRY	13, (0x83*8+2), int $0x83	/* call gate in the IDT */
	TRY	13, K_DATA, int $0x84		/* to a data segment */
	TRY	13, 0, int $0x85		/* to the null segment */
	TRY	13, K_CODE32, int $0x86		/* to 32-bit code */
	TRY	11, NO_CODE, int $0x87
	TRY	13, 0, int $0x88		/* RIP not canonical */
	TRY	13, 0xff0, int $0x89		/* selector beyond the GDT */
	TRY	13, (0x93*8+2), int $0x93	/* beyond the IDT */

	/* canonical addresses */
	movabsq	$0x800000000000, %rax
	TRY	13, 0, movb (%rax), %cl
	TRY	13, 0, movb %cl, (%rax)
	movq	%rax, %rbp
	TRY	12, 0, movb (%rbp), %cl
	TRY	13, 0, jmp *%rax

	/* page faults: present 1, write 2, user 4, reserved 8, fetch 16 */
	TRY_PF	0x600123, 0, movb 0x600123, %al
	TRY_PF	0x600124, 2, movb %al, 0x600124
	TRY_PF	0x400125, 3, movb %al, 0x400125
	TRY_PF	0xa00126, 9, movb 0xa00126, %al
	TRY_PF	0xa00126, 11, movb %al, 0xa00126
	movq	$0x800000 + nothing, %rax
	leaq	2f(%rip), %r15
	EXPECT	0x800000 + nothing, 14, 0x11, K_CODE, 0x800000 + nothing
	jmp	*%rax
2:
	/* crossing from a good page into an absent one: address of the second */
	TRY_PF	0x400000, 3, movq %rax, 0x3ffffc
	TRY_PF	0x600000, 0, movq 0x5ffffc, %rax

	/* segments */
	movw	$NOT_PRESENT, %ax
	TRY	11, NOT_PRESENT, movw %ax, %ds
	TRY	12, NOT_PRESENT, movw %ax, %ss
	movw	$GDT_END, %ax
	TRY	13, GDT_END, movw %ax, %es
	movw	$K_CODE, %ax
	TRY	13, K_CODE, movw %ax, %ss
	movw	$TSS, %ax
	TRY	13, TSS, movw %ax, %fs
	movw	$K_DATA_RO, %ax
	TRY	13, K_DATA_RO, movw %ax, %ss
	movw	$U_DATA, %ax
	TRY	13, U_DATA & ~3, movw %ax, %ss
	movw	$0x14, %ax
	TRY	13, 0x14, movw %ax, %ds		/* no LDT */
	movw	$3, %ax
	TRY	13, 0, movw %ax, %ss		/* null with the wrong RPL */
	xorl	%eax, %eax
	movw	%ax, %ss			/* null may be loaded */
	movl	%ss, %ecx
	RESULT	%rcx, 0
	movw	$K_DATA, %ax
	movw	%ax, %ss
	movw	$U_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %gs
	xorl	%eax, %eax
	movw	%ax, %gs
	movw	$K_DATA, %ax
	movw	%ax, %ds
	TRY	13, TSS, ltrw tss_selector	/* busy */
	TRY	13, K_DATA, lldtw data_selector
	lldtw	ldt_selector
	sldt	%eax
	RESULT	%rax, LDT
	movw	$0x0c, %ax
	movw	%ax, %es			/* from the LDT */
	movw	$K_DATA, %ax
	movw	%ax, %es
	str	%eax
	RESULT	%rax, TSS

	/* LAR, LSL, VERR, VERW */
	.macro LOOK sel, access, limit, zf
	movl	$\sel, %ecx
	movl	$0x55555555, %eax
	larl	%ecx, %eax
	setz	%dl
	RESULT	%rax, \access
	movl	$0x55555555, %eax
	lsll	%ecx, %eax
	setz	%dh
	RESULT	%rax, \limit
	movzwl	%dx, %ebx
	verr	%cx
	setz	%dl
	verw	%cx
	setz	%dh
	movzwl	%dx, %edx
	shll	$16, %edx
	orl	%edx, %ebx
	RESULT	%rbx, \zf
	.endm
	LOOK	0, 0x55555555, 0x55555555, 0
	LOOK	K_CODE, 0x00af9b00, 0xffffffff, 0x00010101
	LOOK	K_DATA, 0x00cf9300, 0xffffffff, 0x01010101
	LOOK	U_CODE32, 0x00cffb00, 0xffffffff, 0x00010101
	LOOK	TSS, 0x8b00, 0x79, 0x0101
	LOOK	GATE, 0x000fec00, 0x55555555, 1
	LOOK	K_DATA_RO, 0x00cf9100, 0xffffffff, 0x00010101
	LOOK	LDT, 0x8200, 15, 0x0101
	LOOK	NOT_PRESENT, 0x00cf1300, 0xffffffff, 0x01010101
	LOOK	GDT_END, 0x55555555, 0x55555555, 0

	/* control registers */
	movq	%cr0, %rbx
	movq	%cr4, %rbp
	movl	$0x80000010, %eax
	TRY	13, 0, movq %rax, %cr0		/* PG without PE */
	movl	$0xa0010011, %eax
	TRY	13, 0, movq %rax, %cr0		/* NW without CD */
	movabsq	$0x180010011, %rax
	TRY	13, 0, movq %rax, %cr0
	movl	$0x00010011, %eax
	TRY	13, 0, movq %rax, %cr0		/* no paging in 64-bit code */
	movl	$0x200, %eax
	TRY	13, 0, movq %rax, %cr4		/* no PAE in long mode */
	movl	$0x80000220, %eax
	TRY	13, 0, movq %rax, %cr4		/* reserved */
	movabsq	$1 << 60, %rax
	TRY	13, 0, movq %rax, %cr3
	movl	$16, %eax
	TRY	13, 0, movq %rax, %cr8
	movl	$5, %eax
	movq	%rax, %cr8
	movq	%cr8, %rax
	RESULT	%rax, 5
	movq	%cr0, %rax
	cmpq	%rax, %rbx
	sete	%cl
	movzbl	%cl, %ecx
	RESULT	%rcx, 1
	movl	$0xc0000080, %ecx
	rdmsr
	RESULT	%rax, 0xd01
	andl	$~0x100, %eax
	TRY	13, 0, wrmsr			/* LME while paging */
	movl	$0x12345, %ecx
	TRY	13, 0, rdmsr
	TRY	13, 0, wrmsr
	movl	$0xc0000082, %ecx
	movl	$0x8000, %edx
	TRY	13, 0, wrmsr			/* LSTAR not canonical */
	smsw	%rax
	RESULT	%rax, 0x80010011
	movq	%cr0, %rax
	orq	$8, %rax
	movq	%rax, %cr0
	TRY	7, NO_ERROR, movaps %xmm0, %xmm1	/* TS */
	clts
	movaps	%xmm0, %xmm1

	/* debug registers, single step, general detect */
	movabsq	$1 << 32, %rax
	TRY	13, 0, movq %rax, %db7
	xorl	%eax, %eax
	movq	%rax, %db6
	movl	$0x2400, %eax
	movq	%rax, %db7
	TRY	1, NO_ERROR, movq %db0, %rax
	movq	%db7, %rax
	RESULT	%rax, 0x400			/* GD is clear now */
	movq	%db6, %rax
	RESULT	%rax, 0xffff2ff0
	xorl	%eax, %eax
	movq	%rax, %db6
	pushfq
	popq	%rax
	orq	$0x100, %rax
	pushq	%rax
	leaq	single_stepped(%rip), %r15
	EXPECT	single_stepped, 1, NO_ERROR, K_CODE, 0
	popfq
	nop
single_stepped:
	movq	%db6, %rax
	RESULT	%rax, 0xffff4ff0
	movl	$0x28, %eax
	movq	%rax, %cr4
	movq	%cr4, %rax
	orl	$8, %eax
	movq	%rax, %cr4			/* DE */
	TRY	6, NO_ERROR, movq %db4, %rax
	movq	%rbp, %cr4

	/* IRETQ refuses */
	.macro TRY_IRET error, ss, flags, cs, rip
	pushq	$\ss
	pushq	$KERNEL_STACK - 256
	pushq	$\flags
	pushq	$\cs
	pushq	\rip
	TRY	13, \error, iretq
	addq	$40, %rsp
	.endm
	TRY_IRET 0, K_DATA, 2, 0, $nothing
	TRY_IRET K_DATA, K_DATA, 2, K_DATA, $nothing
	TRY_IRET BAD_L_D, K_DATA, 2, BAD_L_D, $nothing
	TRY_IRET K_CODE, K_DATA, 2, K_CODE + 3, $nothing
	TRY_IRET U_CODE & ~3, K_DATA, 2, U_CODE & ~3, $nothing
	TRY_IRET 0, 0, 2, U_CODE, $nothing
	TRY_IRET K_DATA, K_DATA, 2, U_CODE, $nothing
	TRY_IRET U_CODE & ~3, U_CODE, 2, U_CODE, $nothing
	TRY_IRET 0, K_DATA, 2, K_CODE, noncanonical
	pushfq
	popq	%rax
	pushq	%rax
	orq	$0x4000, %rax
	pushq	%rax
	popfq
	TRY	13, 0, iretq			/* NT */
	popfq

	/* far JMP, CALL, RET */
	TRY	13, 0, ljmp *far_null
	TRY	13, K_DATA, ljmp *far_data
	TRY	13, TSS, ljmp *far_tss
	TRY	13, NOT_PRESENT, ljmp *far_data_absent
	TRY	11, NO_CODE, lcall *far_not_present
	movq	%rsp, %rbx
	lcall	*far_gate			/* through a call gate, same privilege */
	subq	%rsp, %rbx
	RESULT	%rbx, 0
	rex.w lcall *far_here
	lcall	*far_compat			/* to compatibility mode and back */
	RESULT	%rax, 0x12345678

	/* a fault through IST, and its stack */
	movb	$1, idt + 6 * 16 + 4
	movw	$(ud_on_ist - 0xf0000), idt + 6 * 16
	leaq	2f(%rip), %r15
	ud2
2:	RESULT	%rax, (IST_STACK-40)
	call	idt_fill

	/* the stack is aligned before a frame is pushed */
	movq	%rsp, %rbx
	subq	$3, %rsp
	leaq	2f(%rip), %r15
	EXPECT	1f, 6, NO_ERROR, K_CODE, 0
1:	ud2
2:	movq	%rbx, %rsp

	/* ---- interrupts: an OUT to 0x40 makes vector 0x40 pending, one to 0x42 an NMI ---- */
	movw	$(on_interrupt - 0xf0000), idt + 0x40 * 16
	xorl	%r13d, %r13d
	outb	%al, $0x40
	nop
	RESULT	%r13, 0				/* IF is clear */
	sti
	incl	%r12d				/* the shadow of STI */
1:	RESULT	%r13, 1b
	cli
	xorl	%r13d, %r13d
	sti
	outb	%al, $0x40
1:	RESULT	%r13, 1b
	cli
	movw	$K_DATA, %ax
	outb	%al, $0x40
	sti
	movw	%ax, %ss
	nop					/* the shadow of MOV SS */
1:	RESULT	%r13, 1b
	cli
	TRAP	2, NO_ERROR, outb %al, $0x42

	/* ---- ring 3 ---- */
	movl	$0xc0000081, %ecx		/* STAR */
	xorl	%eax, %eax
	movl	$(0x18 << 16 | K_CODE), %edx
	wrmsr
	movl	$0xc0000082, %ecx		/* LSTAR */
	movl	$on_syscall, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$0xc0000084, %ecx		/* SFMASK */
	movl	$0x200, %eax
	wrmsr
	movl	$0x174, %ecx			/* SYSENTER */
	movl	$K_CODE, %eax
	wrmsr
	movl	$0x175, %ecx
	movl	$KERNEL_STACK, %eax
	wrmsr
	movl	$0x176, %ecx
	movl	$on_sysenter, %eax
	wrmsr
	pushq	$U_DATA
	pushq	$USER_STACK
	pushq	$0x3202				/* IOPL 3, IF */
	pushq	$U_CODE
	pushq	$user_iopl
	iretq

	.set TRY_CS, U_CODE
user_iopl:
	cli					/* allowed with IOPL 3 */
	sti
	int	$0x90				/* comes back with IOPL 0 */
user:
	RESULT	%r13, (U_CODE<<16|U_DATA)	/* of the interrupt's frame */
	TRY	13, 0, cli
	TRY	13, 0, sti
	TRY	13, 0, hlt
	TRY	13, 0, movq %cr0, %rax
	TRY	13, 0, movq %db0, %rax
	TRY	13, 0, rdmsr
	TRY	13, 0, wbinvd
	TRY	13, 0, invlpg (%rax)
	TRY	13, 0, lgdt gdtr
	TRY	13, 0, ltr %ax
	TRY	13, 0, clts
	TRY	13, 0, swapgs
	TRY	13, 0, lmsw %ax
	TRY	13, 0, sysretq
	TRY	6, NO_ERROR, vmlaunch
	TRY	13, (0x80*8+2), int $0x80	/* DPL 0 */
	TRAP	3, NO_ERROR, int3		/* DPL 3 */
	TRAP	0x90, NO_ERROR, int $0x91
	TRY	13, 0, inb $0x71, %al
	TRY	13, 0, inb $0x67, %al
	inb	$0x70, %al			/* the I/O map allows 0x70 */
	TRY	13, 0, inw $0x70, %ax		/* but not both of these */
	movl	$0x3f8, %edx
	TRY	13, 0, inb %dx, %al
	TRY_PF	0x200010, 5, movb 0x200010, %al
	TRY_PF	0x200010, 7, movb %al, 0x200010
	TRY_PF	0x600010, 6, movb %al, 0x600010
	TRY_PF	0x600010, 4, movb 0x600010, %al
	movl	$0x200000 + nothing, %eax
	leaq	2f(%rip), %r15
	EXPECT	0x200000 + nothing, 14, 0x15, U_CODE, 0x200000 + nothing
	jmp	*%rax
2:	movw	$K_DATA, %ax
	TRY	13, K_DATA, movw %ax, %ds
	TRY	13, K_CODE, ljmp *far_kernel
	xorl	%eax, %eax
	TRY	13, 0, movw %ax, %ss
	movl	$U_DATA, %eax
	movw	%ax, %ss
	movw	%ax, %es
	/* POPF: IF and IOPL stay as they are */
	pushfq
	popq	%rax
	RESULT	%rax, 0x246
	pushq	$0x3002 | 0x40000 | 0x200000
	popfq
	pushfq
	popq	%rax
	RESULT	%rax, 0x240202
	pushq	$0x202
	popfq
	/* nor does IRET change them */
	pushq	$U_DATA
	pushq	$USER_STACK
	pushq	$0x3002
	pushq	$U_CODE
	pushq	$1f
	iretq
1:	pushfq
	popq	%rax
	RESULT	%rax, 0x202

	xorl	%ecx, %ecx
	syscall
after_syscall:
	RESULT	%rax, 0x46			/* flags in the kernel */
	RESULT	%rcx, after_syscall
	RESULT	%r11, 0x246
	movw	%cs, %ax
	movw	%ss, %dx
	shll	$16, %edx
	movw	%ax, %dx
	RESULT	%rdx, 0x23002b
	movq	%rsp, %rbp
	movl	$after_sysenter, %r10d
	sysenter
after_sysenter:
	RESULT	%rax, 0x80010			/* CS, SS in the kernel */
	RESULT	%rsp, USER_STACK
	movl	$U_DATA, %eax
	movw	%ax, %ss
	/* the call gate takes us to ring 0 and back */
	lcall	*far_gate_user
	RESULT	%rax, K_CODE
	RESULT	%rcx, 0
	vmcall
	RESULT	%rax, -1			/* KVM_EPERM */
	int	$0x92				/* to ring 0 for good */
	ud2

finish:
	movl	$0x600d, %eax
	hlt
	ud2

nothing:
	ud2

on_syscall:
	pushfq
	popq	%rax
	xorq	%rdx, %rdx
	movw	%cs, %dx
	cmpw	$K_CODE, %dx
	jne	nothing
	movw	%ss, %dx
	cmpw	$K_DATA, %dx
	jne	nothing
	sysretq

on_sysenter:
	movw	%cs, %ax
	shll	$16, %eax
	movw	%ss, %ax
	movq	%rbp, %rcx
	movq	%r10, %rdx
	rex.w sysexit

gate_target:
	movw	%cs, %ax
	movw	%ss, %cx
	movzwl	%ax, %eax
	movzwl	%cx, %ecx
	rex.w lret

here_target:
	rex.w lret

	.code32
compat:
	pushfl
	popl	%eax
	movl	$0x12345678, %eax
	lretl
	.code64

ud_on_ist:
	movq	%rsp, %rax
	movq	%r15, (%rsp)
	iretq

on_interrupt:
	movq	(%rsp), %r13
	iretq

int90:
	xorl	%r13d, %r13d
	movw	8(%rsp), %r13w			/* CS */
	shlq	$16, %r13
	movw	32(%rsp), %r13w			/* SS */
	movq	$0x202, 16(%rsp)
	iretq

/* ---- logging handlers: a frame of vector, error, rip, cs, flags, rsp, ss ---- */

	.macro STUB n
	.balign 16
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17)
	.else
	pushq	$NO_ERROR
	.endif
	pushq	$\n
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
stub_90:
	STUB	0x90

log_event:
	pushq	%rax
	pushq	%rbx
	movq	LOG, %rbx
	incq	LOG
	shlq	$6, %rbx
	addq	$LOG + 64, %rbx
	movq	16(%rsp), %rax
	movq	%rax, 8(%rbx)			/* vector */
	movq	24(%rsp), %rax
	movq	%rax, 16(%rbx)			/* error */
	movq	32(%rsp), %rax
	movq	%rax, (%rbx)			/* rip */
	movq	40(%rsp), %rax
	movq	%rax, 24(%rbx)			/* cs */
	movq	48(%rsp), %rax
	movq	%rax, 32(%rbx)			/* flags */
	andq	$~0x100, 48(%rsp)
	movq	56(%rsp), %rax
	movq	%rax, 40(%rbx)			/* rsp */
	movq	64(%rsp), %rax
	movq	%rax, 48(%rbx)			/* ss */
	movq	%cr2, %rax
	movq	%rax, 56(%rbx)
	movq	%r15, 32(%rsp)
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

/* idt entries for vectors 0 to 31, their DPL 0 but #BP's; then the special ones */
idt_fill:
	xorl	%ecx, %ecx
	movl	$idt, %edi
	movl	$stubs, %eax
1:	movw	%ax, (%rdi)
	movw	$K_CODE, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	movw	$0xf, 6(%rdi)
	movq	$0, 8(%rdi)
	addl	$16, %edi
	addl	$16, %eax
	incl	%ecx
	cmpl	$32, %ecx
	jne	1b
	movb	$0xee, idt + 3 * 16 + 5
	ret

	.include "long_tables.inc"
