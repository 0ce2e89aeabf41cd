/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What SSE instructions refuse, and that a refusal changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/fpu_image.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/x87.h"
#include "sse_bench.h"
#include "sse_encodings.h"

static uint8_t memory[2048] __attribute__((aligned(64)));

#define S (&bench.c.state)

/* Runs these bytes, with RSI and RDI pointing to at; returns the vector or NO_VECTOR. */
#define RUN_AT(at, ...) \
	run((at), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define RUN(...) RUN_AT(0, __VA_ARGS__)

static int run(unsigned int at, const uint8_t *bytes, unsigned int len)
{
	S->gpr[CPU_RSI] = S->gpr[CPU_RDI] = (uint64_t)(uintptr_t)(memory + at);
	assert_true(bench_decode(bytes, len));
	bench_exec();
	return bench.vector;
}

static int reset(void **state)
{
	bench_reset();
	memset(memory, 0, sizeof(memory));
	return 0;
}

/* ---- availability ------------------------------------------------------------------------------- */

#define ADDPS 0x0f, 0x58, 0xc1
#define MOVUPS_LOAD 0x0f, 0x10, 0x06
#define MOVUPS_STORE 0x0f, 0x11, 0x06
#define MOVD_FROM_EAX 0x66, 0x0f, 0x6e, 0xc0
#define PADDD_MEM 0x66, 0x0f, 0xfe, 0x06
#define COMISS 0x0f, 0x2f, 0xc1
#define CVTTSD2SI 0xf2, 0x0f, 0x2c, 0xc1
#define PEXTRW 0x66, 0x0f, 0xc5, 0xc1, 0x01
#define STMXCSR 0x0f, 0xae, 0x1e
#define LDMXCSR 0x0f, 0xae, 0x16
#define MASKMOVDQU 0x66, 0x0f, 0xf7, 0xc1
#define PTEST 0x66, 0x0f, 0x38, 0x17, 0xc1

static void expect_all(int vector)
{
	assert_int_equal(RUN(ADDPS), vector);
	assert_int_equal(RUN(MOVUPS_LOAD), vector);
	assert_int_equal(RUN(MOVUPS_STORE), vector);
	assert_int_equal(RUN(MOVD_FROM_EAX), vector);
	assert_int_equal(RUN(PADDD_MEM), vector);
	assert_int_equal(RUN(COMISS), vector);
	assert_int_equal(RUN(CVTTSD2SI), vector);
	assert_int_equal(RUN(PEXTRW), vector);
	assert_int_equal(RUN(STMXCSR), vector);
	assert_int_equal(RUN(LDMXCSR), vector);
	assert_int_equal(RUN(MASKMOVDQU), vector);
	assert_int_equal(RUN(PTEST), vector);
}

static void test_sse_needs_cr0_and_cr4(void **state)
{
	expect_all(NO_VECTOR);
	S->cr0 |= CR0_TS;
	expect_all(VEC_NM);
	S->cr0 |= CR0_EM;
	expect_all(VEC_UD);
	S->cr0 &= ~CR0_TS;
	expect_all(VEC_UD);
	S->cr0 &= ~CR0_EM;
	S->cr4 &= ~CR4_OSFXSR;
	expect_all(VEC_UD);
	S->cr0 |= CR0_TS;
	expect_all(VEC_UD);
}

struct checked {
	unsigned int nr, bad;
};

/* Which instructions do without the SSE registers. */
static bool touches_no_xmm(const struct encoding *e)
{
	switch (e->mnemonic) {
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
		return true;
	default:
		return e->isa_set == ZYDIS_ISA_SET_SSE_PREFETCH;
	}
}

static bool is_state_image(const struct encoding *e)
{
	return e->isa_set == ZYDIS_ISA_SET_FXSAVE || e->isa_set == ZYDIS_ISA_SET_FXSAVE64 ||
	       e->isa_set == ZYDIS_ISA_SET_XSAVE;
}

static void check_availability(const struct encoding *e, void *arg)
{
	static const struct choice none;
	struct checked *checked = arg;
	uint8_t bytes[16];
	unsigned int len = encode(e, &none, bytes);

	if (!len || e->mmx || is_state_image(e))
		return;
	checked->nr++;
	if (run(0, bytes, len) == (touches_no_xmm(e) ? NO_VECTOR : VEC_NM))
		return;
	checked->bad++;
	print_error("%s with CR0.TS: vector %d\n", ZydisMnemonicGetString(e->mnemonic),
		    bench.vector);
}

static void test_every_instruction_on_xmm_registers_heeds_cr0_ts(void **state)
{
	struct checked checked = { 0 };

	S->cr0 |= CR0_TS;
	each_encoding(check_availability, &checked);
	assert_true(checked.nr > 1000);
	assert_int_equal(checked.bad, 0);
}

static void test_lock_is_refused(void **state)
{
	assert_int_equal(RUN(0xf0, 0x0f, 0x58, 0x06), VEC_UD); /* addps */
	assert_int_equal(RUN(0xf0, 0x0f, 0x11, 0x06), VEC_UD); /* movups */
	assert_int_equal(RUN(0xf0, 0x0f, 0xc3, 0x06), VEC_UD); /* movnti */
}

/* ---- memory ------------------------------------------------------------------------------------- */

static void expect_misaligned(int vector, const uint8_t *bytes, unsigned int len)
{
	assert_int_equal(run(16, bytes, len), NO_VECTOR);
	assert_int_equal(run(17, bytes, len), vector);
	assert_int_equal(run(24, bytes, len), vector);
	assert_int_equal(bench.error, 0);
}
#define EXPECT_MISALIGNED(vector, ...)                              \
	expect_misaligned(vector, (const uint8_t[]){ __VA_ARGS__ }, \
			  sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void test_misaligned_operands_raise_gp_where_the_manual_says(void **state)
{
	EXPECT_MISALIGNED(VEC_GP, 0x0f, 0x28, 0x06);	   /* movaps load */
	EXPECT_MISALIGNED(VEC_GP, 0x0f, 0x29, 0x06);	   /* movaps store */
	EXPECT_MISALIGNED(VEC_GP, 0x66, 0x0f, 0xe7, 0x06); /* movntdq */
	EXPECT_MISALIGNED(VEC_GP, PADDD_MEM);
	EXPECT_MISALIGNED(VEC_GP, 0x66, 0x0f, 0x38, 0x17, 0x06); /* ptest */
	EXPECT_MISALIGNED(NO_VECTOR, MOVUPS_LOAD);
	EXPECT_MISALIGNED(NO_VECTOR, MOVUPS_STORE);
	EXPECT_MISALIGNED(NO_VECTOR, 0xf2, 0x0f, 0xf0, 0x06);	       /* lddqu */
	EXPECT_MISALIGNED(NO_VECTOR, 0xf3, 0x0f, 0xe6, 0x06);	       /* cvtdq2pd */
	EXPECT_MISALIGNED(NO_VECTOR, 0xf3, 0x0f, 0x58, 0x06);	       /* addss */
	EXPECT_MISALIGNED(NO_VECTOR, 0x66, 0x0f, 0x3a, 0x63, 0x06, 0); /* pcmpistri */
	EXPECT_MISALIGNED(NO_VECTOR, 0x66, 0x0f, 0x38, 0x20, 0x06);    /* pmovsxbw */
}

static bool touches_no_memory(const struct encoding *e)
{
	return !e->memory || e->isa_set == ZYDIS_ISA_SET_SSE_PREFETCH;
}

static void check_page_fault(const struct encoding *e, void *arg)
{
	static const struct choice none;
	struct checked *checked = arg;
	struct cpu_state before;
	uint8_t bytes[16];
	unsigned int len = encode(e, &none, bytes);

	if (!len || e->mmx || touches_no_memory(e))
		return;
	checked->nr++;
	S->gpr[CPU_RSI] = S->gpr[CPU_RDI] = (uint64_t)(uintptr_t)memory;
	before = *S;
	if (run(0, bytes, len) == VEC_PF && memcmp(&before, S, sizeof(before)) == 0)
		return;
	checked->bad++;
	print_error("%s on a missing page: vector %d\n", ZydisMnemonicGetString(e->mnemonic),
		    bench.vector);
}

static void test_a_page_fault_leaves_the_state_as_before(void **state)
{
	struct checked checked = { 0 };

	memset(S->xmm, 0x5a, sizeof(S->xmm));
	memset(S->gpr, 0x33, sizeof(S->gpr));
	bench.bad_from = (uint64_t)(uintptr_t)memory;
	bench.bad_to = bench.bad_from + sizeof(memory);
	each_encoding(check_page_fault, &checked);
	assert_true(checked.nr > 500);
	assert_int_equal(checked.bad, 0);
}

static void test_maskmovdqu_writes_and_touches_only_chosen_bytes(void **state)
{
	memset(memory, 0xee, 64);
	memset(&S->xmm[0], 0x11, 16);
	S->xmm[1].u8[3] = S->xmm[1].u8[7] = 0x80;
	bench.bad_from = (uint64_t)(uintptr_t)memory + 16 + 8;
	bench.bad_to = bench.bad_from + 64;
	assert_int_equal(RUN_AT(16, MASKMOVDQU), NO_VECTOR);
	for (unsigned int n = 0; n < 64; n++)
		assert_int_equal(memory[n], n == 16 + 3 || n == 16 + 7 ? 0x11 : 0xee);

	S->xmm[1].u8[8] = 0xff;
	S->xmm[0].u8[3] = 0x22;
	assert_int_equal(RUN_AT(16, MASKMOVDQU), VEC_PF);
	assert_int_equal(memory[16 + 3], 0x11);

	memset(&S->xmm[1], 0x7f, 16);
	assert_int_equal(RUN_AT(32, MASKMOVDQU), NO_VECTOR);
}

/* ---- floating-point exceptions ------------------------------------------------------------------ */

#define DIVSS 0xf3, 0x0f, 0x5e, 0xc1

static void test_an_unmasked_exception_raises_xm_before_the_result(void **state)
{
	S->xmm[0].f32[0] = 1;
	S->xmm[1].f32[0] = 0;
	S->mxcsr = 0x1f80 & ~(MXCSR_ZE << MXCSR_MASK_SHIFT);
	assert_int_equal(RUN(DIVSS), VEC_XM);
	assert_true(S->xmm[0].f32[0] == 1);
	assert_int_equal(S->mxcsr & MXCSR_FLAGS, MXCSR_ZE);

	S->cr4 &= ~CR4_OSXMMEXCPT;
	assert_int_equal(RUN(DIVSS), VEC_UD);

	S->mxcsr = 0x1f80;
	assert_int_equal(RUN(DIVSS), NO_VECTOR);
	assert_int_equal(S->xmm[0].u32[0], 0x7f800000);
	assert_int_equal(S->mxcsr, 0x1f80 | MXCSR_ZE);
}

/* A flag that is already set when its mask goes away raises nothing by itself. */
static void test_only_a_new_exception_raises_xm(void **state)
{
	S->mxcsr = MXCSR_ZE;
	S->xmm[0].f32[0] = S->xmm[1].f32[0] = 2;
	assert_int_equal(RUN(DIVSS), NO_VECTOR);
	assert_int_equal(S->mxcsr, MXCSR_ZE);
}

#define MULSS 0xf3, 0x0f, 0x59, 0xc1

/* Masked, underflow is told only of inexact results, and flushing to zero makes every one inexact. */
static void test_unmasked_underflow_tells_of_exact_tiny_results_too(void **state)
{
	S->xmm[0].u32[0] = (127 - 100) << 23;
	S->xmm[1].u32[0] = (127 - 40) << 23;
	S->mxcsr = 0x1f80;
	assert_int_equal(RUN(MULSS), NO_VECTOR);
	assert_int_equal(S->mxcsr, 0x1f80);

	S->xmm[0].u32[0] = (127 - 100) << 23;
	S->mxcsr = (0x1f80 | MXCSR_FTZ) & ~(MXCSR_UE << MXCSR_MASK_SHIFT);
	assert_int_equal(RUN(MULSS), VEC_XM);
	assert_int_equal(S->mxcsr & MXCSR_FLAGS, MXCSR_UE);
	assert_int_equal(S->xmm[0].u32[0], (127 - 100) << 23);
}

static void test_the_hosts_mxcsr_is_never_touched(void **state)
{
	const unsigned int mine = 0x9f80; /* FTZ, as programs built for speed have it */
	unsigned int after;

	S->mxcsr = 0x7f80; /* towards zero */
	S->xmm[0].f32[0] = 1;
	S->xmm[1].f32[0] = 3;
	_mm_setcsr(mine);
	RUN(DIVSS);
	after = _mm_getcsr();
	_mm_setcsr(0x1f80);
	assert_int_equal(after, mine);
	assert_int_equal(S->xmm[0].u32[0], 0x3eaaaaaa);
	assert_int_equal(S->mxcsr, 0x7f80 | MXCSR_PE);

	S->mxcsr = 0;
	S->xmm[1].f32[0] = 0;
	_mm_setcsr(mine);
	assert_int_equal(RUN(DIVSS), VEC_XM);
	after = _mm_getcsr();
	_mm_setcsr(0x1f80);
	assert_int_equal(after, mine);
}

/* ---- what is left outside ----------------------------------------------------------------------- */

static void test_pause_prefetch_and_fences_do_nothing(void **state)
{
	struct cpu_state before;

	S->cr0 |= CR0_EM | CR0_TS;
	bench.bad_from = (uint64_t)(uintptr_t)memory;
	bench.bad_to = bench.bad_from + sizeof(memory);
	S->gpr[CPU_RSI] = S->gpr[CPU_RDI] = (uint64_t)(uintptr_t)memory;
	before = *S;
	assert_int_equal(RUN(0xf3, 0x90), NO_VECTOR);
	assert_int_equal(RUN(0x0f, 0x18, 0x0e), NO_VECTOR); /* prefetcht0 */
	assert_int_equal(RUN(0x0f, 0x0d, 0x0e), NO_VECTOR); /* prefetchw */
	assert_int_equal(RUN(0x0f, 0xae, 0xe8), NO_VECTOR); /* lfence */
	assert_memory_equal(&before, S, sizeof(before));
	assert_int_equal(RUN(0x0f, 0xae, 0x3e), VEC_PF); /* clflush */
}

static void test_cpuid_bits_are_the_hosts(void **state)
{
	uint32_t ecx = soft_host_features_ecx();

	assert_int_equal(ecx & (1u << 0), __builtin_cpu_supports("sse3") ? 1u << 0 : 0);
	assert_int_equal(ecx & (1u << 9), __builtin_cpu_supports("ssse3") ? 1u << 9 : 0);
	assert_int_equal(ecx & (1u << 19), __builtin_cpu_supports("sse4.1") ? 1u << 19 : 0);
	assert_int_equal(ecx & (1u << 20), __builtin_cpu_supports("sse4.2") ? 1u << 20 : 0);
	assert_int_equal(ecx & ~(1u << 0 | 1u << 9 | 1u << 19 | 1u << 20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sse_needs_cr0_and_cr4, reset),
		cmocka_unit_test_setup(test_every_instruction_on_xmm_registers_heeds_cr0_ts, reset),
		cmocka_unit_test_setup(test_lock_is_refused, reset),
		cmocka_unit_test_setup(test_misaligned_operands_raise_gp_where_the_manual_says,
				       reset),
		cmocka_unit_test_setup(test_a_page_fault_leaves_the_state_as_before, reset),
		cmocka_unit_test_setup(test_maskmovdqu_writes_and_touches_only_chosen_bytes, reset),
		cmocka_unit_test_setup(test_an_unmasked_exception_raises_xm_before_the_result,
				       reset),
		cmocka_unit_test_setup(test_only_a_new_exception_raises_xm, reset),
		cmocka_unit_test_setup(test_unmasked_underflow_tells_of_exact_tiny_results_too,
				       reset),
		cmocka_unit_test_setup(test_the_hosts_mxcsr_is_never_touched, reset),
		cmocka_unit_test_setup(test_pause_prefetch_and_fences_do_nothing, reset),
		cmocka_unit_test_setup(test_cpuid_bits_are_the_hosts, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
