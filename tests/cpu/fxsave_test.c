/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The images of FXSAVE and XSAVE to the byte, what they refuse, and x87's control instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/fpu_image.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/x87.h"
#include "native.h"
#include "sse_bench.h"

static uint8_t memory[2048] __attribute__((aligned(64)));

#define S (&bench.c.state)
#define FILL 0xee

#define RUN_AT(at, ...) \
	run((at), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define RUN(...) RUN_AT(0, __VA_ARGS__)

#define FXSAVE 0x0f, 0xae, 0x06
#define FXSAVE64 0x48, 0x0f, 0xae, 0x06
#define FXRSTOR 0x0f, 0xae, 0x0e
#define FXRSTOR64 0x48, 0x0f, 0xae, 0x0e
#define XSAVE 0x0f, 0xae, 0x26
#define XRSTOR 0x0f, 0xae, 0x2e
#define XGETBV 0x0f, 0x01, 0xd0
#define XSETBV 0x0f, 0x01, 0xd1
#define LDMXCSR 0x0f, 0xae, 0x16
#define STMXCSR 0x0f, 0xae, 0x1e
#define FNINIT 0xdb, 0xe3
#define FNSTCW 0xd9, 0x3e
#define FLDCW 0xd9, 0x2e
#define FNSTSW_AX 0xdf, 0xe0
#define FNCLEX 0xdb, 0xe2
#define FWAIT 0x9b
#define EMMS 0x0f, 0x77

static int run(unsigned int at, const uint8_t *bytes, unsigned int len)
{
	S->gpr[CPU_RSI] = (uint64_t)(uintptr_t)(memory + at);
	assert_true(bench_decode(bytes, len));
	bench_exec();
	return bench.vector;
}

static void fill_state(struct cpu_state *s)
{
	for (unsigned int n = 0; n < 16; n++)
		memset(&s->xmm[n], 0x40 + (int)n, 16);
	for (unsigned int n = 0; n < 8; n++)
		memset(s->st[n], 0x10 + (int)n, 10);
	s->fcw = 0x27f;
	s->fsw = 0x1800;
	s->ftw = 0x81;
	s->fop = 0x123;
	s->fip = 0x1122334455667788;
	s->fdp = 0x99aabbccddeeff00;
	s->mxcsr = 0x3f80;
}

static int reset(void **state)
{
	bench_reset();
	memset(memory, FILL, sizeof(memory));
	fill_state(S);
	return 0;
}

static uint64_t at(unsigned int offset, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, memory + offset, size);
	return v;
}

static void assert_untouched(unsigned int from, unsigned int to)
{
	for (unsigned int n = from; n < to; n++)
		assert_int_equal(memory[n], FILL);
}

/* ---- FXSAVE ------------------------------------------------------------------------------------- */

static void test_fxsave_writes_the_architectures_image(void **state)
{
	assert_int_equal(RUN(FXSAVE64), NO_VECTOR);
	assert_int_equal(at(0, 2), 0x27f);
	assert_int_equal(at(2, 2), 0x1800);
	assert_int_equal(at(4, 2), 0x81);
	assert_int_equal(at(6, 2), 0x123);
	assert_int_equal(at(8, 8), 0x1122334455667788);
	assert_int_equal(at(16, 8), 0x99aabbccddeeff00);
	assert_int_equal(at(24, 4), 0x3f80);
	assert_int_equal(at(28, 4), 0xffff);
	assert_int_equal(at(32, 8), 0x1010101010101010);
	assert_int_equal(at(40, 8), 0x1010);
	assert_int_equal(at(144, 8), 0x1717171717171717);
	assert_int_equal(at(160, 8), 0x4040404040404040);
	assert_int_equal(at(408, 8), 0x4f4f4f4f4f4f4f4f);
	assert_untouched(416, 576);
}

static void test_fxsave_of_the_short_form_has_short_pointers(void **state)
{
	assert_int_equal(RUN(FXSAVE), NO_VECTOR);
	assert_int_equal(at(8, 8), 0x55667788);
	assert_int_equal(at(16, 8), 0xddeeff00);
}

static void test_fxsave_leaves_out_registers_that_the_mode_has_not(void **state)
{
	bench.c.mode = 4;
	assert_int_equal(RUN(FXSAVE), NO_VECTOR);
	assert_int_equal(at(272, 8), 0x4747474747474747);
	assert_untouched(288, 576);

	memset(memory, FILL, sizeof(memory));
	S->cr4 &= ~CR4_OSFXSR;
	assert_int_equal(RUN(FXSAVE), NO_VECTOR);
	assert_int_equal(at(0, 2), 0x27f);
	assert_untouched(160, 576);
}

static void test_fxrstor_takes_what_fxsave_wrote(void **state)
{
	struct cpu_state before = *S;

	assert_int_equal(RUN(FXSAVE64), NO_VECTOR);
	bench_reset();
	assert_int_equal(RUN(FXRSTOR64), NO_VECTOR);
	assert_memory_equal(S->xmm, before.xmm, sizeof(before.xmm));
	assert_memory_equal(S->st, before.st, sizeof(before.st));
	assert_int_equal(S->mxcsr, before.mxcsr);
	assert_int_equal(S->fcw, before.fcw);
	assert_int_equal(S->fsw, before.fsw);
	assert_int_equal(S->ftw, before.ftw);
	assert_int_equal(S->fop, before.fop);
	assert_int_equal(S->fip, before.fip);
	assert_int_equal(S->fdp, before.fdp);
}

static void test_fxrstor_in_32_bit_code_keeps_the_upper_registers(void **state)
{
	assert_int_equal(RUN(FXSAVE64), NO_VECTOR);
	memset(S->xmm, 0, sizeof(S->xmm));
	bench.c.mode = 4;
	assert_int_equal(RUN(FXRSTOR), NO_VECTOR);
	assert_int_equal(S->xmm[7].u64[0], 0x4747474747474747);
	assert_int_equal(S->xmm[8].u64[0], 0);
}

static void test_fxsave_and_fxrstor_refuse(void **state)
{
	struct cpu_state before;

	assert_int_equal(RUN_AT(8, FXSAVE), VEC_GP);
	assert_int_equal(RUN_AT(8, FXRSTOR), VEC_GP);
	assert_untouched(0, 576);

	memset(memory, 0, 512);
	memory[26] = 1; /* bit 16 of MXCSR */
	before = *S;
	before.gpr[CPU_RSI] = (uint64_t)(uintptr_t)memory;
	assert_int_equal(RUN(FXRSTOR), VEC_GP);
	assert_memory_equal(&before, S, sizeof(before));

	S->cr0 |= CR0_TS;
	assert_int_equal(RUN(FXSAVE), VEC_NM);
	assert_int_equal(RUN(FXRSTOR), VEC_NM);
	S->cr0 ^= CR0_TS | CR0_EM;
	assert_int_equal(RUN(FXSAVE), VEC_NM);
	assert_int_equal(RUN(FXRSTOR), VEC_NM);
}

static void test_mxcsr_refuses_reserved_bits(void **state)
{
	memset(memory, 0, 8);
	memory[2] = 1;
	assert_int_equal(RUN(LDMXCSR), VEC_GP);
	assert_int_equal(S->mxcsr, 0x3f80);
	memory[2] = 0;
	memory[1] = 0xff;
	assert_int_equal(RUN(LDMXCSR), NO_VECTOR);
	assert_int_equal(S->mxcsr, 0xff00);
	assert_int_equal(RUN_AT(33, STMXCSR), NO_VECTOR);
	assert_int_equal(at(33, 4), 0xff00);
}

/* ---- XSAVE -------------------------------------------------------------------------------------- */

static void components(uint64_t mask)
{
	S->gpr[CPU_RAX] = (uint32_t)mask;
	S->gpr[CPU_RDX] = mask >> 32;
}

static void test_xsave_writes_only_the_components_asked_for(void **state)
{
	memset(memory + 512, 0, 64);
	memory[512] = XCR0_X87;
	components(XCR0_SSE | 1ull << 2);
	assert_int_equal(RUN(XSAVE), NO_VECTOR);
	assert_untouched(0, 24);
	assert_int_equal(at(24, 4), 0x3f80);
	assert_untouched(32, 160);
	assert_int_equal(at(160, 8), 0x4040404040404040);
	assert_int_equal(at(408, 8), 0x4f4f4f4f4f4f4f4f);
	assert_untouched(416, 512);
	assert_int_equal(at(512, 8), XCR0_X87 | XCR0_SSE);
	assert_int_equal(at(520, 8), 0);

	memset(memory, FILL, 576);
	memset(memory + 512, 0, 64);
	components(XCR0_X87);
	assert_int_equal(RUN(XSAVE), NO_VECTOR);
	assert_int_equal(at(0, 2), 0x27f);
	assert_untouched(24, 32);
	assert_int_equal(at(32, 8), 0x1010101010101010);
	assert_untouched(160, 512);
	assert_int_equal(at(512, 8), XCR0_X87);
}

static void test_xsave_heeds_xcr0(void **state)
{
	memset(memory + 512, 0, 64);
	S->xcr0 = XCR0_X87;
	components(~0ull);
	assert_int_equal(RUN(XSAVE), NO_VECTOR);
	assert_untouched(24, 32);
	assert_untouched(160, 512);
	assert_int_equal(at(512, 8), XCR0_X87);
}

static void test_xrstor_takes_what_xsave_wrote(void **state)
{
	struct cpu_state before = *S;

	memset(memory + 512, 0, 64);
	components(~0ull);
	assert_int_equal(RUN(0x48, XSAVE), NO_VECTOR);
	bench_reset();
	components(~0ull);
	assert_int_equal(RUN(0x48, XRSTOR), NO_VECTOR);
	assert_memory_equal(S->xmm, before.xmm, sizeof(before.xmm));
	assert_memory_equal(S->st, before.st, sizeof(before.st));
	assert_int_equal(S->mxcsr, before.mxcsr);
	assert_int_equal(S->fip, before.fip);
}

/* Absent from the image: the initial state. MXCSR comes from memory all the same. */
static void test_xrstor_initialises_absent_components(void **state)
{
	memset(memory, 0, 576);
	memory[25] = 0x1f;
	memory[24] = 0xa0;
	components(~0ull);
	assert_int_equal(RUN(XRSTOR), NO_VECTOR);
	assert_int_equal(S->mxcsr, 0x1fa0);
	assert_int_equal(S->xmm[15].u64[1], 0);
	assert_int_equal(S->fcw, 0x37f);
	assert_int_equal(S->ftw, 0);
	assert_int_equal(S->fip, 0);

	fill_state(S);
	components(XCR0_X87);
	assert_int_equal(RUN(XRSTOR), NO_VECTOR);
	assert_int_equal(S->fcw, 0x37f);
	assert_int_equal(S->mxcsr, 0x3f80);
	assert_int_equal(S->xmm[0].u64[0], 0x4040404040404040);
}

static void expect_xrstor_refusal(unsigned int offset, uint8_t value)
{
	struct cpu_state before;

	memset(memory, 0, 576);
	memory[offset] = value;
	components(~0ull);
	before = *S;
	before.gpr[CPU_RSI] = (uint64_t)(uintptr_t)memory;
	assert_int_equal(RUN(XRSTOR), VEC_GP);
	assert_memory_equal(&before, S, sizeof(before));
}

static void test_xrstor_refuses_a_bad_header(void **state)
{
	expect_xrstor_refusal(512, 1u << 2); /* a component that XCR0 has not */
	expect_xrstor_refusal(527, 0x80);    /* the compacted form */
	expect_xrstor_refusal(520, 1);
	expect_xrstor_refusal(528, 1);
	expect_xrstor_refusal(26, 1); /* MXCSR */
	assert_int_equal(RUN_AT(32, XRSTOR), VEC_GP);
	assert_int_equal(RUN_AT(16, XSAVE), VEC_GP);
}

static void test_xsave_needs_cr4_and_cr0(void **state)
{
	S->cr0 |= CR0_TS;
	assert_int_equal(RUN(XSAVE), VEC_NM);
	assert_int_equal(RUN(XRSTOR), VEC_NM);
	assert_int_equal(RUN(XGETBV), NO_VECTOR);
	S->cr4 &= ~CR4_OSXSAVE;
	assert_int_equal(RUN(XSAVE), VEC_UD);
	assert_int_equal(RUN(XRSTOR), VEC_UD);
	assert_int_equal(RUN(XGETBV), VEC_UD);
	assert_int_equal(RUN(XSETBV), VEC_UD);
}

static void test_xcr0_is_x87_with_or_without_sse(void **state)
{
	S->gpr[CPU_RAX] = S->gpr[CPU_RDX] = ~0ull;
	assert_int_equal(RUN(XGETBV), NO_VECTOR);
	assert_int_equal(S->gpr[CPU_RAX], 3);
	assert_int_equal(S->gpr[CPU_RDX], 0);
	for (uint64_t value = 0; value < 16; value++) {
		bool legal = value == 1 || value == 3;

		S->xcr0 = 3;
		components(value);
		assert_int_equal(RUN(XSETBV), legal ? NO_VECTOR : VEC_GP);
		assert_int_equal(S->xcr0, legal ? value : 3);
	}
	components(3 | 1ull << 32);
	assert_int_equal(RUN(XSETBV), VEC_GP);
	components(3);
	bench.c.cpl = 3;
	assert_int_equal(RUN(XSETBV), VEC_GP);
	bench.c.cpl = 0;
	S->gpr[CPU_RCX] = 1;
	assert_int_equal(RUN(XSETBV), VEC_GP);
	assert_int_equal(RUN(XGETBV), VEC_GP);
}

/* ---- x87 control -------------------------------------------------------------------------------- */

static void test_x87_control_needs_cr0(void **state)
{
	S->cr0 |= CR0_TS;
	assert_int_equal(RUN(FNINIT), VEC_NM);
	assert_int_equal(RUN(FNSTCW), VEC_NM);
	assert_int_equal(RUN(EMMS), VEC_NM);
	assert_int_equal(RUN(FWAIT), NO_VECTOR);
	S->cr0 |= CR0_MP;
	assert_int_equal(RUN(FWAIT), VEC_NM);
	S->cr0 ^= CR0_TS | CR0_EM;
	assert_int_equal(RUN(FWAIT), NO_VECTOR);
	assert_int_equal(RUN(FNSTSW_AX), VEC_NM);
	assert_int_equal(RUN(EMMS), VEC_UD);
}

static void test_a_pending_x87_exception_is_told_by_the_next_waiting_instruction(void **state)
{
	S->fsw = 4;
	memset(memory, 0, 2);
	assert_int_equal(RUN(FLDCW), NO_VECTOR); /* unmasks everything */
	assert_int_equal(S->fcw, 0x40);
	assert_int_equal(S->fsw & FSW_ES, FSW_ES);
	assert_int_equal(RUN(FWAIT), VEC_MF);
	assert_int_equal(RUN(FLDCW), VEC_MF);
	assert_int_equal(RUN(EMMS), VEC_MF);
	assert_int_equal(RUN(FNSTSW_AX), NO_VECTOR);
	assert_int_equal(S->gpr[CPU_RAX] & 0xffff, 0x8084);
	S->cr0 &= ~CR0_NE;
	assert_int_equal(RUN(FWAIT), NO_VECTOR);
	S->cr0 |= CR0_NE;
	assert_int_equal(RUN(FNCLEX), NO_VECTOR);
	assert_int_equal(RUN(FWAIT), NO_VECTOR);
}

static uint64_t random_number = 0x2545f4914f6cdd1dull;

static uint64_t rnd(void)
{
	random_number ^= random_number << 13;
	random_number ^= random_number >> 7;
	random_number ^= random_number << 17;
	return random_number;
}

static void random_image(struct fxsave_image *image)
{
	memset(image, 0, sizeof(*image));
	image->fcw = (uint16_t)rnd() | (rnd() % 2 ? 0x3f : 0);
	image->fsw = (uint16_t)rnd();
	image->ftw = (uint8_t)rnd();
	image->fop = rnd() & 0x7ff;
	image->fip = rnd() >> 17;
	image->fdp = rnd() >> 17;
	image->mxcsr = 0x1f80;
	for (unsigned int n = 0; n < 8; n++) {
		uint64_t mantissa = rnd() % 2 ? rnd() : 0, exponent = rnd() % 4 ? rnd() : 0;

		memcpy(image->st[n], &mantissa, 8);
		memcpy(image->st[n] + 8, &exponent, 2);
	}
}

/* On the host: FXRSTOR from the image at R8, the instruction with RSI, FXSAVE to R9. */
static int x87_natively(const uint8_t *insn, unsigned int len, struct fxsave_image *image)
{
	static struct fxsave_image in __attribute__((aligned(16))),
		out __attribute__((aligned(16)));
	uint8_t code[24] = { 0x49, 0x0f, 0xae, 0x08 };
	struct native n = { .mxcsr = 0x1f80, .rflags = 0x202 };

	memcpy(code + 4, insn, len);
	memcpy(code + 4 + len, (const uint8_t[]){ 0x49, 0x0f, 0xae, 0x01 }, 4);
	in = *image;
	n.gpr[8] = (uint64_t)(uintptr_t)&in;
	n.gpr[9] = (uint64_t)(uintptr_t)&out;
	n.gpr[CPU_RSI] = (uint64_t)(uintptr_t)memory;
	native_run(&n, code, 4 + len + 4);
	__asm__ volatile("fninit");
	*image = out;
	return n.vector < 0 ? NO_VECTOR : VEC_MF;
}

static void compare_x87(const uint8_t *insn, unsigned int len)
{
	struct fxsave_image image, result;
	uint8_t before[64], native[64];
	int vector;

	random_image(&image);
	for (unsigned int n = 0; n < sizeof(before); n++)
		before[n] = (uint8_t)rnd();
	memcpy(memory, before, sizeof(before));
	bench_reset();
	fxsave_take_x87(S, true, &image);
	vector = x87_natively(insn, len, &image);
	memcpy(native, memory, sizeof(native));
	memcpy(memory, before, sizeof(before));
	assert_int_equal(run(0, insn, len), vector);
	if (vector != NO_VECTOR)
		return;
	assert_memory_equal(memory, native, sizeof(native));
	fxsave_fill(S, true, &result);
	assert_memory_equal(&result, &image, offsetof(struct fxsave_image, mxcsr));
	assert_memory_equal(result.st, image.st, sizeof(image.st));
}

static void test_x87_control_does_what_the_host_does(void **state)
{
	static const uint8_t insns[][2] = {
		{ FNINIT }, { FNSTCW },	    { FLDCW },	    { FNCLEX },	    { FWAIT, FWAIT },
		{ EMMS },   { 0xdd, 0x3e }, { 0xd9, 0x36 }, { 0xd9, 0x26 },
	};

	native_init();
	for (unsigned int n = 0; n < sizeof(insns) / sizeof(insns[0]); n++)
		for (unsigned int round = 0; round < 2000; round++)
			compare_x87(insns[n], insns[n][0] == FWAIT ? 1 : 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fxsave_writes_the_architectures_image, reset),
		cmocka_unit_test_setup(test_fxsave_of_the_short_form_has_short_pointers, reset),
		cmocka_unit_test_setup(test_fxsave_leaves_out_registers_that_the_mode_has_not,
				       reset),
		cmocka_unit_test_setup(test_fxrstor_takes_what_fxsave_wrote, reset),
		cmocka_unit_test_setup(test_fxrstor_in_32_bit_code_keeps_the_upper_registers,
				       reset),
		cmocka_unit_test_setup(test_fxsave_and_fxrstor_refuse, reset),
		cmocka_unit_test_setup(test_mxcsr_refuses_reserved_bits, reset),
		cmocka_unit_test_setup(test_xsave_writes_only_the_components_asked_for, reset),
		cmocka_unit_test_setup(test_xsave_heeds_xcr0, reset),
		cmocka_unit_test_setup(test_xrstor_takes_what_xsave_wrote, reset),
		cmocka_unit_test_setup(test_xrstor_initialises_absent_components, reset),
		cmocka_unit_test_setup(test_xrstor_refuses_a_bad_header, reset),
		cmocka_unit_test_setup(test_xsave_needs_cr4_and_cr0, reset),
		cmocka_unit_test_setup(test_xcr0_is_x87_with_or_without_sse, reset),
		cmocka_unit_test_setup(test_x87_control_needs_cr0, reset),
		cmocka_unit_test_setup(
			test_a_pending_x87_exception_is_told_by_the_next_waiting_instruction,
			reset),
		cmocka_unit_test_setup(test_x87_control_does_what_the_host_does, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
