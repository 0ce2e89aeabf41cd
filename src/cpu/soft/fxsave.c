/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * FXSAVE, FXRSTOR, XSAVE, XRSTOR, XGETBV, XSETBV, LDMXCSR, STMXCSR.
 *
 * Saving builds the whole image and stores the parts that the instruction writes; what it does not write
 * stays as it is in memory, to the byte. Restoring reads everything and checks it before it takes anything.
 */
#include "cpu/fpu_image.h"

#include <string.h>

#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"
#include "cpu/soft/x87.h"

/* XMM registers that the code size can name: the others are neither saved nor restored. */
static unsigned int nr_xmm(const struct soft *c)
{
	return c->mode == 8 ? 16 : 8;
}

static uint64_t image_address(struct soft *c, const struct insn *i, unsigned int size,
			      unsigned int alignment, enum soft_access access)
{
	uint64_t lin = soft_mem(c, i, size, access);

	if (lin & (alignment - 1))
		soft_raise_error(c, VEC_GP, 0);
	return lin;
}

/* ---- FXSAVE, FXRSTOR --------------------------------------------------------------------------- */

static void check_fxsave(struct soft *c)
{
	if (c->state.cr0 & (CR0_EM | CR0_TS))
		soft_raise(c, VEC_NM);
	sse_fp_home(c);
}

/* Without CR4.OSFXSR the XMM registers are left out. */
static unsigned int fxsave_nr_xmm(const struct soft *c)
{
	return c->state.cr4 & CR4_OSFXSR ? nr_xmm(c) : 0;
}

static void exec_fxsave(struct soft *c, const struct insn *i)
{
	struct fxsave_image image;
	uint64_t lin;

	check_fxsave(c);
	lin = image_address(c, i, 512, 16, ACCESS_WRITE);
	fxsave_fill(&c->state, i->aux, &image);
	soft_store_bytes(c, lin, &image, FXSAVE_XMM_AT + 16 * fxsave_nr_xmm(c));
}

static void exec_fxrstor(struct soft *c, const struct insn *i)
{
	struct fxsave_image image;
	uint64_t lin;

	check_fxsave(c);
	lin = image_address(c, i, 512, 16, ACCESS_READ);
	soft_load_bytes(c, lin, &image, sizeof(image));
	if (image.mxcsr & ~MXCSR_LEGAL)
		soft_raise_error(c, VEC_GP, 0);
	fxsave_take_x87(&c->state, i->aux, &image);
	if (c->state.cr4 & CR4_OSFXSR)
		c->state.mxcsr = image.mxcsr;
	memcpy(c->state.xmm, image.xmm, 16 * fxsave_nr_xmm(c));
}

/* ---- XSAVE, XRSTOR ----------------------------------------------------------------------------- */

static uint64_t requested_components(const struct soft *c)
{
	uint64_t mask = (uint32_t)c->state.gpr[CPU_RAX] | c->state.gpr[CPU_RDX] << 32;

	return mask & c->state.xcr0;
}

static void check_xsave(struct soft *c)
{
	if (!(c->state.cr4 & CR4_OSXSAVE))
		soft_raise(c, VEC_UD);
	if (c->state.cr0 & CR0_TS)
		soft_raise(c, VEC_NM);
	sse_fp_home(c);
}

static void store_part(struct soft *c, uint64_t lin, const struct fxsave_image *image,
		       unsigned int from, unsigned int to)
{
	soft_store_bytes(c, lin + from, (const uint8_t *)image + from, to - from);
}

static void exec_xsave(struct soft *c, const struct insn *i)
{
	uint64_t lin, bv, components = requested_components(c);
	struct fxsave_image image;

	check_xsave(c);
	lin = image_address(c, i, XSAVE_SIZE, 64, ACCESS_WRITE);
	soft_probe_write(c, lin, XSAVE_SIZE);
	bv = soft_load(c, lin + XSAVE_HEADER_AT, 8);
	fxsave_fill(&c->state, i->aux, &image);
	if (components & XCR0_X87) {
		store_part(c, lin, &image, 0, 24);
		store_part(c, lin, &image, 32, FXSAVE_XMM_AT);
	}
	if (components & XCR0_SSE) {
		store_part(c, lin, &image, 24, 32);
		store_part(c, lin, &image, FXSAVE_XMM_AT, FXSAVE_XMM_AT + 16 * nr_xmm(c));
	}
	soft_store(c, lin + XSAVE_HEADER_AT, 8, bv | components);
}

static void check_xrstor(struct soft *c, const struct xsave_image *image, uint64_t components)
{
	bool bad = (image->xstate_bv & ~c->state.xcr0) || image->xcomp_bv || image->zeros;

	if ((components & XCR0_SSE) && (image->legacy.mxcsr & ~MXCSR_LEGAL))
		bad = true;
	if (bad)
		soft_raise_error(c, VEC_GP, 0);
}

/* A component that is asked for but not in the image takes its initial value; MXCSR is read even then. */
static void exec_xrstor(struct soft *c, const struct insn *i)
{
	uint64_t components = requested_components(c);
	struct xsave_image image;

	check_xsave(c);
	soft_load_bytes(c, image_address(c, i, XSAVE_SIZE, 64, ACCESS_READ), &image, sizeof(image));
	check_xrstor(c, &image, components);
	if (components & image.xstate_bv & XCR0_X87)
		fxsave_take_x87(&c->state, i->aux, &image.legacy);
	else if (components & XCR0_X87)
		fxsave_init_x87(&c->state);
	if (!(components & XCR0_SSE))
		return;
	c->state.mxcsr = image.legacy.mxcsr;
	if (image.xstate_bv & XCR0_SSE)
		memcpy(c->state.xmm, image.legacy.xmm, 16 * nr_xmm(c));
	else
		memset(c->state.xmm, 0, 16 * nr_xmm(c));
}

static void exec_xgetbv(struct soft *c, const struct insn *i)
{
	if (!(c->state.cr4 & CR4_OSXSAVE))
		soft_raise(c, VEC_UD);
	if ((uint32_t)c->state.gpr[CPU_RCX] != 0)
		soft_raise_error(c, VEC_GP, 0);
	c->state.gpr[CPU_RAX] = (uint32_t)c->state.xcr0;
	c->state.gpr[CPU_RDX] = c->state.xcr0 >> 32;
}

static void exec_xsetbv(struct soft *c, const struct insn *i)
{
	uint64_t value = (uint32_t)c->state.gpr[CPU_RAX] | c->state.gpr[CPU_RDX] << 32;

	if (!(c->state.cr4 & CR4_OSXSAVE))
		soft_raise(c, VEC_UD);
	if (c->cpl || (uint32_t)c->state.gpr[CPU_RCX] != 0 || !xcr0_is_legal(value))
		soft_raise_error(c, VEC_GP, 0);
	c->state.xcr0 = value;
}

/* ---- MXCSR ------------------------------------------------------------------------------------- */

static void exec_ldmxcsr(struct soft *c, const struct insn *i)
{
	uint32_t v;

	sse_check(c);
	sse_fp_home(c);
	v = (uint32_t)operand_load(c, i, 4);
	if (v & ~MXCSR_LEGAL)
		soft_raise_error(c, VEC_GP, 0);
	c->state.mxcsr = v;
}

static void exec_stmxcsr(struct soft *c, const struct insn *i)
{
	sse_check(c);
	sse_fp_home(c);
	operand_store(c, i, 4, c->state.mxcsr);
}

static const struct sse_row rows[] = {
	SSE_ROW(FXSAVE, fxsave, SSE_NEED_2, "M"),   SSE_ROW(FXSAVE64, fxsave, SSE_NEED_2, "M"),
	SSE_ROW(FXRSTOR, fxrstor, SSE_NEED_2, "M"), SSE_ROW(FXRSTOR64, fxrstor, SSE_NEED_2, "M"),
	SSE_ROW(XSAVE, xsave, SSE_NEED_2, "M"),	    SSE_ROW(XSAVE64, xsave, SSE_NEED_2, "M"),
	SSE_ROW(XRSTOR, xrstor, SSE_NEED_2, "M"),   SSE_ROW(XRSTOR64, xrstor, SSE_NEED_2, "M"),
	SSE_ROW(XGETBV, xgetbv, SSE_NEED_2, ""),    SSE_ROW(XSETBV, xsetbv, SSE_NEED_2, ""),
	SSE_ROW(LDMXCSR, ldmxcsr, SSE_NEED_2, "M"), SSE_ROW(STMXCSR, stmxcsr, SSE_NEED_2, "M"),
};

static const struct sse_table table = SSE_TABLE(rows);

bool soft_select_fxsave(const struct soft_decoded *d, struct insn *i)
{
	soft_exec *exec = NULL;

	if (d->in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		exec = sse_find(&table, d);
	if (!exec)
		return x87_select(d, i);
	i->exec = exec;
	i->aux = d->in->raw.rex.W;
	return true;
}
