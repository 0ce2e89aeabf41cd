/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who implements an SSE instruction, and what all its handlers share: availability, operands, #XM. */
#include <cpuid.h>

#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"

#define CPUID_1_ECX_SSE3 (1u << 0)
#define CPUID_1_ECX_SSSE3 (1u << 9)
#define CPUID_1_ECX_SSE41 (1u << 19)
#define CPUID_1_ECX_SSE42 (1u << 20)

uint32_t soft_host_features_ecx(void)
{
	/* Asked once: CPUID costs a hypervisor exit in a virtual machine. Bit 31 marks the answer. */
	static uint32_t cached;
	uint32_t a, b, d, ecx = __atomic_load_n(&cached, __ATOMIC_RELAXED);

	if (!ecx) {
		if (!__get_cpuid(1, &a, &b, &ecx, &d))
			ecx = 0;
		ecx &= CPUID_1_ECX_SSE3 | CPUID_1_ECX_SSSE3 | CPUID_1_ECX_SSE41 | CPUID_1_ECX_SSE42;
		ecx |= 1u << 31;
		__atomic_store_n(&cached, ecx, __ATOMIC_RELAXED);
	}
	return ecx & ~(1u << 31);
}

static bool host_has(enum sse_need need)
{
	static const uint32_t bits[] = {
		[SSE_NEED_3] = CPUID_1_ECX_SSE3,
		[SSE_NEED_S3] = CPUID_1_ECX_SSSE3,
		[SSE_NEED_41] = CPUID_1_ECX_SSE41,
		[SSE_NEED_42] = CPUID_1_ECX_SSE42,
	};

	return need == SSE_NEED_2 || (soft_host_features_ecx() & bits[need]);
}

static char operand_letter(const struct soft_decoded *d, unsigned int n)
{
	if (decoded_is_mem(d, n))
		return 'M';
	if (decoded_is_imm(d, n))
		return 'I';
	switch (decoded_class(d, n)) {
	case ZYDIS_REGCLASS_XMM:
		return 'X';
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return 'R';
	default:
		return '?';
	}
}

static bool operands_match(const struct soft_decoded *d, const char *operands)
{
	for (unsigned int n = 0; n < d->nr; n++) {
		char have = operand_letter(d, n), want = operands[n];

		if (have != want && !(have == 'M' && (want == 'V' || want == 'E')) &&
		    !(have == 'X' && want == 'V') && !(have == 'R' && want == 'E'))
			return false;
	}
	return operands[d->nr] == '\0';
}

soft_exec *sse_find(const struct sse_table *table, const struct soft_decoded *d)
{
	for (unsigned int n = 0; n < table->nr; n++) {
		const struct sse_row *row = &table->rows[n];

		if (row->mnemonic == d->in->mnemonic && operands_match(d, row->operands))
			return host_has(row->need) ? row->exec : NULL;
	}
	return NULL;
}

static bool isa_is_ours(const struct soft_decoded *d)
{
	switch (d->in->meta.isa_set) {
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSE4:
	case ZYDIS_ISA_SET_SSE42:
	case ZYDIS_ISA_SET_SSE_PREFETCH:
	case ZYDIS_ISA_SET_PREFETCH_NOP:
	case ZYDIS_ISA_SET_PREFETCHWT1:
	case ZYDIS_ISA_SET_PAUSE:
	case ZYDIS_ISA_SET_CLFSH:
		return d->in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	default:
		return false;
	}
}

bool soft_select_sse(const struct soft_decoded *d, struct insn *i)
{
	static const struct sse_table *const tables[] = {
		&sse_move_table,    &sse_integer_table, &sse_wide_table,    &sse_shuffle_table,
		&sse_element_table, &sse_float_table,	&sse_convert_table, &sse_compare_table,
		&sse_string_table,  &sse_misc_table,
	};
	soft_exec *exec = NULL;

	if (!isa_is_ours(d) || d->nr > 3)
		return false;
	for (unsigned int n = 0; !exec && n < sizeof(tables) / sizeof(tables[0]); n++)
		exec = sse_find(tables[n], d);
	if (!exec)
		return false;
	i->exec = exec;
	/* The source's size in bytes, where a handler serves several; REX.W where size cannot tell. */
	i->aux = d->nr > 1 ? (uint8_t)(d->op[1].size / 8) : 0;
	i->imm2 = d->in->raw.rex.W;
	return true;
}

void sse_unavailable(struct soft *c)
{
	bool undefined = (c->state.cr0 & CR0_EM) || !(c->state.cr4 & CR4_OSFXSR);

	soft_raise(c, undefined ? VEC_UD : VEC_NM);
}

/* ---- memory operands -------------------------------------------------------------------------- */

static __m128i load16(struct soft *c, uint64_t lin, const uint8_t *p)
{
	__m128i v;

	if (likely(p))
		return _mm_loadu_si128((const __m128i *)(const void *)p);
	soft_load_bytes(c, lin, &v, sizeof(v));
	return v;
}

static void store16(struct soft *c, uint64_t lin, uint8_t *p, __m128i v)
{
	if (unlikely(!p)) {
		soft_store_bytes(c, lin, &v, sizeof(v));
		return;
	}
	_mm_storeu_si128((__m128i *)(void *)p, v);
	code_written(c, p);
}

/* operand_host() with the alignment rule: a misaligned access raises #GP, whatever its page is. */
static uint8_t *aligned_host(struct soft *c, const struct insn *i, enum soft_access access,
			     uint64_t *lin)
{
	uint8_t *p = operand_host(c, i, 16, access, lin);

	if (unlikely(*lin & 15))
		soft_raise_error(c, VEC_GP, 0);
	return p;
}

__m128i sse_load_aligned(struct soft *c, const struct insn *i)
{
	uint64_t lin;
	const uint8_t *p = aligned_host(c, i, ACCESS_READ, &lin);

	return load16(c, lin, p);
}

__m128i sse_load_unaligned(struct soft *c, const struct insn *i)
{
	uint64_t lin;
	const uint8_t *p = operand_host(c, i, 16, ACCESS_READ, &lin);

	return load16(c, lin, p);
}

void sse_store_aligned(struct soft *c, const struct insn *i, __m128i v)
{
	uint64_t lin;
	uint8_t *p = aligned_host(c, i, ACCESS_WRITE, &lin);

	store16(c, lin, p, v);
}

void sse_store_unaligned(struct soft *c, const struct insn *i, __m128i v)
{
	uint64_t lin;
	uint8_t *p = operand_host(c, i, 16, ACCESS_WRITE, &lin);

	store16(c, lin, p, v);
}

__m128i sse_load_low(struct soft *c, const struct insn *i, unsigned int size)
{
	return _mm_cvtsi64_si128((int64_t)operand_load(c, i, size));
}

void sse_store_low(struct soft *c, const struct insn *i, unsigned int size, uint64_t v)
{
	operand_store(c, i, size, v);
}

/* ---- floating-point exceptions ---------------------------------------------------------------- */

static bool any_denormal(__m128i v, enum sse_result kind)
{
	union cpu_xmm u = sse_union(v);
	unsigned int nr_ps = kind == SSE_PS ? 4 : kind == SSE_PS_LOW ? 2 : kind == SSE_SS ? 1 : 0;
	unsigned int nr_pd = kind == SSE_PD ? 2 : kind == SSE_SD ? 1 : 0;

	for (unsigned int n = 0; n < nr_ps; n++)
		if (!(u.u32[n] & 0x7f800000u) && (u.u32[n] & 0x7fffffu))
			return true;
	for (unsigned int n = 0; n < nr_pd; n++)
		if (!(u.u64[n] & 0x7ff0000000000000ull) && (u.u64[n] & 0xfffffffffffffull))
			return true;
	return false;
}

/*
 * The operation ran with everything masked. Two things are different for a guest that unmasked
 * something: an exception of the operands stops the instruction before it can round, so that only
 * flags of that kind appear; and a tiny result raises underflow even when it is exact.
 */
void sse_fp_unmasked(struct soft *c, uint32_t raised, __m128i result, enum sse_result kind)
{
	const uint32_t before = MXCSR_IE | MXCSR_DE | MXCSR_ZE;
	uint32_t unmasked = ~(c->state.mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_FLAGS;

	if ((unmasked & MXCSR_UE) && any_denormal(result, kind))
		raised |= MXCSR_UE;
	if (raised & unmasked & before)
		raised &= before;
	if (!(raised & unmasked))
		return;
	c->state.mxcsr |= raised;
	soft_raise(c, c->state.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
}
