/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/guest_call.h"

/* In read-only data: nothing here runs it. */
__asm__(".pushsection .rodata.guest, \"a\", @progbits\n"
	".balign 64\n"
	".hidden guest_image, guest_image_end, guest_offsets\n"
	".globl guest_image, guest_image_end, guest_offsets\n"
	"guest_image:\n"

	"guest_exit:\n"
	"	hlt\n"
	"	jmp	guest_exit\n"

	".balign 16\n"
	"guest_write:\n"
	"1:	mov	%rsi, (%rdi)\n"
	"	add	%rdx, %rdi\n"
	"	dec	%rsi\n"
	"	jnz	1b\n"
	"	ret\n"

	".balign 16\n"
	"guest_read:\n"
	"1:	mov	(%rdi), %rax\n"
	"	add	%rdx, %rdi\n"
	"	dec	%rsi\n"
	"	jnz	1b\n"
	"	ret\n"

	".balign 16\n"
	"guest_out:\n"
	"1:	out	%al, $0x10\n"
	"	dec	%rdi\n"
	"	jnz	1b\n"
	"	ret\n"

	".balign 16\n"
	"guest_write_until:\n"
	"1:	inc	%rax\n"
	"	mov	%rax, (%rdi)\n"
	"	cmpq	$0, (%rsi)\n"
	"	je	1b\n"
	"	ret\n"

	"guest_image_end:\n"
	".balign 4\n"
	"guest_offsets:\n"
	"	.long	guest_exit - guest_image\n"
	"	.long	guest_write - guest_image\n"
	"	.long	guest_read - guest_image\n"
	"	.long	guest_out - guest_image\n"
	"	.long	guest_write_until - guest_image\n"
	".popsection\n");
