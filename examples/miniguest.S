/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The guest of minivmm: 64-bit code that runs at GUEST_GPA with all memory mapped one to one.
 *
 *	r12  where the first memory region begins
 *	r13  where the second does; 0 when there is none
 *
 * It asks for conversion by the hypercall KVM_HC_MAP_GPA_RANGE (12): rbx = address, rcx = number of
 * 4 KiB pages, rdx = 16 for private, 0 for shared; rax comes back 0.
 */
#include "minivmm.h"

#define SHARED 0
#define PRIVATE 16

	.macro	scene nr
	mov	$\nr, %al
	out	%al, $PORT_SCENE
	.endm

	.macro	look nr
	mov	$\nr, %al
	out	%al, $PORT_LOOK
	.endm

	/* A line for the terminal. */
	.macro	say text:vararg
	jmp	8f
7:	.asciz	\text
8:	lea	7b(%rip), %rsi
	call	print
	.endm

	/* The text that a page holds. */
	.macro	show base, page
	lea	(\page * 4096)(\base), %rsi
	call	print
	.endm

	.macro	write base, page, text:vararg
	jmp	8f
7:	.asciz	\text
8:	lea	7b(%rip), %rsi
	lea	(\page * 4096)(\base), %rdi
	call	copy
	.endm

	.macro	convert base, page, count, kind
	lea	(\page * 4096)(\base), %rbx
	mov	$\count, %ecx
	mov	$\kind, %edx
	call	map_gpa_range
	.endm

	.section .rodata
	.global	miniguest_start, miniguest_end
	.balign	16
miniguest_start:
	/* Intel's instruction for a hypercall is VMCALL, AMD's VMMCALL. */
	xor	%eax, %eax
	cpuid
	xor	%r15d, %r15d
	cmp	$0x68747541, %ebx	/* "Auth" of AuthenticAMD */
	sete	%r15b

	scene	SCENE_SHARED
	write	%r12, SECRET_PAGE, "hello, host"
	say	"I write to page 20: "
	show	%r12, SECRET_PAGE
	say	"\n"
	look	SCENE_SHARED

	scene	SCENE_SECRET
	convert	%r12, SECRET_FIRST, SECRET_PAGES, PRIVATE
	write	%r12, SECRET_PAGE, "my secret"
	say	"pages 16 to 79 are mine now; I write to page 20: "
	show	%r12, SECRET_PAGE
	say	"\n"
	look	SCENE_SECRET
	say	"and page 20 still says: "
	show	%r12, SECRET_PAGE
	say	"\n"

	scene	SCENE_STRIPES
	lea	(STRIPES_FIRST * 4096)(%r12), %r14
	mov	$(STRIPES_END - STRIPES_FIRST) / 2, %ebp
1:	convert	%r14, 0, 1, PRIVATE
	add	$2 * 4096, %r14
	dec	%ebp
	jnz	1b
	say	"every second page from 128 to 191 is mine\n"
	look	SCENE_STRIPES

	scene	SCENE_BACK
	convert	%r12, SECRET_FIRST, BACK_PAGES, SHARED
	say	"I gave back pages 16 to 47; page 20 says: "
	show	%r12, SECRET_PAGE
	say	"\n"
	look	SCENE_BACK

	test	%r13, %r13
	jz	2f
	scene	SCENE_VAULT
	convert	%r13, 0, VAULT_PAGES, PRIVATE
	write	%r13, VAULT_PAGE, "not for the host"
	say	"page 3 of the second region says: "
	show	%r13, VAULT_PAGE
	say	"\n"
	look	SCENE_VAULT

2:	scene	SCENE_BARE
	mov	$BARE_GPA, %r14d
	mov	%r14, %rbx
	mov	$1, %ecx
	mov	$PRIVATE, %edx
	call	hypercall
	test	%rax, %rax
	jz	1f
	say	"the host says that it cannot be\n"
	hlt
1:	write	%r14, 0, "well, shared then"
	say	"my write went through at last: "
	show	%r14, 0
	say	"\n"
	look	SCENE_BARE
	hlt

	/* rbx, rcx, rdx as above. Without an answer of 0 there is no going on. */
map_gpa_range:
	call	hypercall
	test	%rax, %rax
	jz	1f
	say	"the hypercall failed\n"
	hlt
1:	ret

hypercall:
	mov	$12, %eax
	test	%r15d, %r15d
	jnz	1f
	vmcall
	ret
1:	vmmcall
	ret

	/* The text at rsi, to the console. Byte by byte: KVM does string output itself, through the
	 * host's side of a page, which for a private page is another one. */
print:
	mov	$PORT_CONSOLE, %edx
	mov	$4096, %ecx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	loop	1b
2:	ret

	/* The text at rsi, to rdi. */
copy:
	lodsb
	stosb
	test	%al, %al
	jnz	copy
	ret
miniguest_end:

	.section .note.GNU-stack, "", @progbits
