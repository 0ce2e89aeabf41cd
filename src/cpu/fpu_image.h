/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * fpu_image: the memory images of the floating-point and SSE state, as FXSAVE and XSAVE write them; KVM's
 * interface carries the same. Pure functions: whoever holds the state may call them.
 *
 *	0	fcw fsw ftw fop | fip | fdp | mxcsr mxcsr_mask		FXSAVE
 *	32	st0..st7, 16 bytes each
 *	160	xmm0..xmm15 (0..7 outside 64-bit code)
 *	416	unused; 464..511 are the program's own
 *	512	xstate_bv | xcomp_bv | zeros				XSAVE adds
 *
 * There are two state components, x87 and SSE, and only the standard (not compacted) form.
 */
#ifndef GMEM_CPU_FPU_IMAGE_H
#define GMEM_CPU_FPU_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"

#define XCR0_X87 (1ull << 0)
#define XCR0_SSE (1ull << 1)
#define XCR0_SUPPORTED (XCR0_X87 | XCR0_SSE)

#define FXSAVE_XMM_AT 160
#define XSAVE_HEADER_AT 512
#define XSAVE_SIZE 576 /* with both components, all there is */

#define FCW_DEFAULT 0x37f
#define FCW_LEGAL 0x1f7fu
#define FCW_ALWAYS 0x40u
#define FOP_LEGAL 0x7ffu
#define FSW_FLAGS 0x3fu
#define FSW_ES (1u << 7)
#define FSW_BUSY (1u << 15)
#define MXCSR_LEGAL 0xffffu

struct fxsave_image {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	union cpu_xmm xmm[16];
	uint8_t unused[96];
};

struct xsave_image {
	struct fxsave_image legacy;
	uint64_t xstate_bv, xcomp_bv, zeros, reserved[5];
};

/* What XSETBV and KVM_SET_XCRS accept: x87 always, SSE or not. */
static inline bool xcr0_is_legal(uint64_t xcr0)
{
	return (xcr0 & XCR0_X87) && !(xcr0 & ~XCR0_SUPPORTED);
}

/* wide: pointers of 64 bits (REX.W), else of 32. */
void fxsave_fill(const struct cpu_state *s, bool wide, struct fxsave_image *image);
/* The x87 part, without MXCSR and XMM. */
void fxsave_take_x87(struct cpu_state *s, bool wide, const struct fxsave_image *image);
/* As after FNINIT, registers cleared too. */
void fxsave_init_x87(struct cpu_state *s);
/* FSW's summary bits follow from its flags and FCW's masks. */
void x87_update_summary(struct cpu_state *s);

#endif
