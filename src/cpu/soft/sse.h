/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * sse: the 128-bit half of the soft CPU. Private to src/cpu/soft/exec_sse*.c and fxsave.c.
 *
 * Every operation is the host's own instruction, so results are the hardware's to the last bit. What the
 * host has to have beyond SSE2 is checked when an instruction is decoded: without it the guest gets #UD,
 * and soft_host_features_ecx() keeps it out of CPUID.
 *
 * Each file offers a table of rows; a row is a mnemonic with the operands it takes, one letter each:
 *
 *	X  an XMM register		R  a general register
 *	M  memory			I  an immediate
 *	V  X or M			E  R or M
 *
 * MMX registers have no letter, so that no row takes them.
 *
 * The order inside a handler is the processor's: may the guest use SSE at all (#UD, #NM), memory
 * operands (#GP for alignment, #PF), then the computation, which can raise #XM, then the result.
 *
 *	sse_check -> operand -> [sse_fp_begin, compute, sse_fp_end] -> store or register
 */
#ifndef GMEM_CPU_SOFT_SSE_H
#define GMEM_CPU_SOFT_SSE_H

#include <emmintrin.h>

#include "cpu/fpu_image.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/soft.h"
#include "cpu/soft/sys.h"

/* MXCSR: six sticky flags, DAZ, their six masks, rounding, FTZ. Its legal bits, as FXSAVE tells them. */
#define MXCSR_IE (1u << 0)
#define MXCSR_DE (1u << 1)
#define MXCSR_ZE (1u << 2)
#define MXCSR_OE (1u << 3)
#define MXCSR_UE (1u << 4)
#define MXCSR_PE (1u << 5)
#define MXCSR_FLAGS 0x3fu
#define MXCSR_MASK_SHIFT 7
#define MXCSR_MASKS (MXCSR_FLAGS << MXCSR_MASK_SHIFT)
#define MXCSR_FTZ (1u << 15)
#define MXCSR_DEFAULT 0x1f80u

/* What the host must have for a row. */
enum sse_need { SSE_NEED_2, SSE_NEED_3, SSE_NEED_S3, SSE_NEED_41, SSE_NEED_42 };

struct sse_row {
	uint16_t mnemonic;
	uint8_t need; /* enum sse_need */
	char operands[5];
	soft_exec *exec;
};

struct sse_table {
	const struct sse_row *rows;
	unsigned int nr;
};
#define SSE_TABLE(r)                            \
	{                                       \
		(r), sizeof(r) / sizeof((r)[0]) \
	}

/* The handler of this instruction, or NULL. */
soft_exec *sse_find(const struct sse_table *table, const struct soft_decoded *d);
/* The rows of each file. */
extern const struct sse_table sse_move_table, sse_element_table, sse_integer_table, sse_wide_table,
	sse_shuffle_table, sse_float_table, sse_convert_table, sse_compare_table, sse_string_table,
	sse_misc_table;
/* What the host has of CPUID leaf 1 ECX: SSE3, SSSE3, SSE4.1, SSE4.2. The guest has no more of these. */
uint32_t soft_host_features_ecx(void);

/* ---- may the guest use it --------------------------------------------------------------------- */

_Noreturn void sse_unavailable(struct soft *c);

static inline void sse_check(struct soft *c)
{
	if (__builtin_expect(
		    (c->state.cr0 & (CR0_EM | CR0_TS)) != 0 || !(c->state.cr4 & CR4_OSFXSR), 0))
		sse_unavailable(c);
}

/* ---- operands --------------------------------------------------------------------------------- */

static inline __m128i *sse_reg(struct soft *c, unsigned int reg)
{
	return (__m128i *)(void *)&c->state.xmm[reg & 15];
}

/* The instruction's memory operand: 16 bytes on a multiple of 16 or #GP(0); 16 bytes anywhere; 1, 2, 4 or
 * 8 bytes in the low end of the register, zeros above. */
__m128i sse_load_aligned(struct soft *c, const struct insn *i);
__m128i sse_load_unaligned(struct soft *c, const struct insn *i);
__m128i sse_load_low(struct soft *c, const struct insn *i, unsigned int size);
void sse_store_aligned(struct soft *c, const struct insn *i, __m128i v);
void sse_store_unaligned(struct soft *c, const struct insn *i, __m128i v);
void sse_store_low(struct soft *c, const struct insn *i, unsigned int size, uint64_t v);

/* The source, in a register or in memory. */
static inline __m128i sse_src(struct soft *c, const struct insn *i)
{
	return i->flags & INSN_MEM ? sse_load_aligned(c, i) : *sse_reg(c, i->src);
}

static inline __m128i sse_src_any(struct soft *c, const struct insn *i)
{
	return i->flags & INSN_MEM ? sse_load_unaligned(c, i) : *sse_reg(c, i->src);
}

static inline __m128i sse_src8(struct soft *c, const struct insn *i)
{
	return i->flags & INSN_MEM ? sse_load_low(c, i, 8) : *sse_reg(c, i->src);
}

static inline __m128i sse_src4(struct soft *c, const struct insn *i)
{
	return i->flags & INSN_MEM ? sse_load_low(c, i, 4) : *sse_reg(c, i->src);
}

static inline __m128i sse_src2(struct soft *c, const struct insn *i)
{
	return i->flags & INSN_MEM ? sse_load_low(c, i, 2) : *sse_reg(c, i->src);
}

static inline union cpu_xmm sse_union(__m128i v)
{
	union cpu_xmm u;

	_mm_store_si128((__m128i *)(void *)&u, v);
	return u;
}

static inline __m128i sse_vector(union cpu_xmm u)
{
	return _mm_load_si128((const __m128i *)(const void *)&u);
}

/* The arithmetic flags become exactly these. */
static inline void sse_set_flags(struct soft *c, uint64_t flags)
{
	c->flag_op = FLAGS_DONE;
	c->state.rflags = (c->state.rflags & ~(uint64_t)RFLAGS_ARITH) | flags;
}

/* ---- floating point: under the guest's MXCSR -------------------------------------------------- */

/*
 * The compiler knows nothing of MXCSR, so everything between begin and end is volatile asm, which is
 * kept in order. While the guest has all exceptions masked, its MXCSR stays loaded from the first operation on
 * until the vCPU leaves the guest or the guest looks at it: flags add up in the processor. Nothing of ours
 * computes in floating point inside, and a signal handler starts with an MXCSR of its own. With something
 * unmasked each operation has to tell its own flags, and the host's value comes back behind it.
 */
struct sse_fp {
	uint32_t host;
};

/* The host's MXCSR is back, and c->state has the guest's. */
static inline void sse_fp_home(struct soft *c)
{
	if (!c->mxcsr_loaded)
		return;
	__asm__ volatile("stmxcsr %0" : "=m"(c->state.mxcsr));
	__asm__ volatile("ldmxcsr %0" : : "m"(c->host_mxcsr));
	c->mxcsr_loaded = false;
}

static inline bool sse_fp_load(struct soft *c)
{
	if (!c->use_mxcsr || (c->state.mxcsr & MXCSR_MASKS) != MXCSR_MASKS)
		return false;
	__asm__ volatile("stmxcsr %0" : "=m"(c->host_mxcsr));
	__asm__ volatile("ldmxcsr %0" : : "m"(c->state.mxcsr));
	c->mxcsr_loaded = true;
	return true;
}

/* Where an operation that can underflow has its results; see sse_fp_unmasked(). */
enum sse_result { SSE_NO_UNDERFLOW, SSE_PS, SSE_PD, SSE_SS, SSE_SD, SSE_PS_LOW };

void sse_fp_unmasked(struct soft *c, uint32_t raised, __m128i result, enum sse_result kind);

static inline void sse_fp_begin(struct soft *c, struct sse_fp *fp)
{
	uint32_t guest = (c->state.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS;

	if (c->mxcsr_loaded || sse_fp_load(c))
		return;
	/* With underflow unmasked, hardware does not flush to zero. */
	if (!(c->state.mxcsr & (MXCSR_UE << MXCSR_MASK_SHIFT)))
		guest &= ~MXCSR_FTZ;
	__asm__ volatile("stmxcsr %0" : "=m"(fp->host));
	if (fp->host != guest)
		__asm__ volatile("ldmxcsr %0" : : "m"(guest));
}

/* Raises #XM, with the destination not yet written, when result came with an unmasked exception. */
static inline void sse_fp_end(struct soft *c, const struct sse_fp *fp, __m128i result,
			      enum sse_result kind)
{
	uint32_t after;

	if (c->mxcsr_loaded)
		return;
	__asm__ volatile("stmxcsr %0" : "=m"(after));
	if (after != fp->host)
		__asm__ volatile("ldmxcsr %0" : : "m"(fp->host));
	if (__builtin_expect((c->state.mxcsr & MXCSR_MASKS) != MXCSR_MASKS, 0))
		sse_fp_unmasked(c, after & MXCSR_FLAGS, result, kind);
	c->state.mxcsr |= after & MXCSR_FLAGS;
}

/* ---- handlers made from one host instruction -------------------------------------------------- */

/* dst = dst OP source. */
#define SSE_BINARY(op, source)                                      \
	static void exec_##op(struct soft *c, const struct insn *i) \
	{                                                           \
		__m128i a, b;                                       \
                                                                    \
		sse_check(c);                                       \
		b = source(c, i);                                   \
		a = *sse_reg(c, i->dst);                            \
		__asm__(#op " %1, %0" : "+x"(a) : "x"(b));          \
		*sse_reg(c, i->dst) = a;                            \
	}

/* The same under the guest's MXCSR. */
#define SSE_FLOAT(op, source, kind)                                 \
	static void exec_##op(struct soft *c, const struct insn *i) \
	{                                                           \
		struct sse_fp fp;                                   \
		__m128i a, b;                                       \
                                                                    \
		sse_check(c);                                       \
		b = source(c, i);                                   \
		a = *sse_reg(c, i->dst);                            \
		sse_fp_begin(c, &fp);                               \
		__asm__ volatile(#op " %1, %0" : "+x"(a) : "x"(b)); \
		sse_fp_end(c, &fp, a, kind);                        \
		*sse_reg(c, i->dst) = a;                            \
	}

#define SSE_CASE(op, n)                                                         \
	case n:                                                                 \
		__asm__ volatile(#op " %2, %1, %0" : "+x"(a) : "x"(b), "i"(n)); \
		break;
#define SSE_CASES4(op, n) \
	SSE_CASE(op, (n)) SSE_CASE(op, (n) + 1) SSE_CASE(op, (n) + 2) SSE_CASE(op, (n) + 3)

/* The same with one of the immediate's low values 0..7 or 0..15. */
#define SSE_FLOAT_IMM(op, source, mask, cases, kind)                \
	static void exec_##op(struct soft *c, const struct insn *i) \
	{                                                           \
		struct sse_fp fp;                                   \
		__m128i a, b;                                       \
                                                                    \
		sse_check(c);                                       \
		b = source(c, i);                                   \
		a = *sse_reg(c, i->dst);                            \
		sse_fp_begin(c, &fp);                               \
		switch (i->imm & (mask)) {                          \
			cases                                       \
		}                                                   \
		sse_fp_end(c, &fp, a, kind);                        \
		*sse_reg(c, i->dst) = a;                            \
	}

#define SSE_ROW(mnem, op, need, operands)                        \
	{                                                        \
		ZYDIS_MNEMONIC_##mnem, need, operands, exec_##op \
	}

#endif
