/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE on the whole engine: delivery of its exceptions, other modes, devices, code that it writes. */
#include "harness.h"

#define VEC_UD 6
#define VEC_NM 7
#define VEC_GP 13
#define VEC_XM 19

#define MXCSR_ZE 4u
#define MXCSR_PE (1u << 5)
#define CR0_TS 8u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u

static int make(void **state)
{
	static struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	*state = &g;
	return 0;
}

static int unmake(void **state)
{
	guest_unmake(*state);
	return 0;
}

/* divss xmm0, xmm1 as the second instruction: one by zero, divisions by zero unmasked. */
static void divide(struct guest *g)
{
	guest_start(g, GUEST_LONG);
	guest_handlers(g);
	GUEST_CODE_BYTES(g, 0x90, 0xf3, 0x0f, 0x5e, 0xc1, 0xf4);
	g->s->xmm[0].f32[0] = 1;
	g->s->xmm[1].f32[0] = 0;
	g->s->mxcsr = 0x1d80;
	guest_changed(g);
}

static void assert_raised(struct guest *g, uint64_t vector, bool has_error)
{
	guest_run_to(g, CPU_EXIT_HLT);
	assert_int_equal(g->s->gpr[CPU_RAX], vector);
	assert_int_equal(guest_read(g, g->s->gpr[CPU_RSP] + (has_error ? 8 : 0), 8),
			 GUEST_CODE + 1);
	if (has_error)
		assert_int_equal(guest_read(g, g->s->gpr[CPU_RSP], 8), 0);
}

static void test_xm_is_delivered_at_the_instruction(void **state)
{
	struct guest *g = *state;

	divide(g);
	assert_raised(g, VEC_XM, false);
	assert_true(g->s->xmm[0].f32[0] == 1);
	assert_int_equal(g->s->mxcsr, 0x1d80 | MXCSR_ZE);

	divide(g);
	g->s->cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	guest_changed(g);
	assert_raised(g, VEC_UD, false);
}

static void test_nm_ud_and_gp_are_delivered_at_the_instruction(void **state)
{
	struct guest *g = *state;

	divide(g);
	g->s->cr0 |= CR0_TS;
	guest_changed(g);
	assert_raised(g, VEC_NM, false);

	divide(g);
	g->s->cr4 &= ~(uint64_t)CR4_OSFXSR;
	guest_changed(g);
	assert_raised(g, VEC_UD, false);

	divide(g);
	GUEST_CODE_BYTES(g, 0x90, 0x0f, 0x28, 0x06); /* movaps xmm0, [rsi] */
	g->s->gpr[CPU_RSI] = GUEST_DATA + 8;
	assert_raised(g, VEC_GP, true);
}

/* After the handler has masked the exception, the instruction runs. */
static void test_xm_can_be_resumed(void **state)
{
	struct guest *g = *state;

	divide(g);
	guest_run_to(g, CPU_EXIT_HLT);
	g->s->mxcsr = 0x1f80;
	g->s->rip = GUEST_CODE + 1;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
	assert_int_equal(g->s->xmm[0].u32[0], 0x7f800000);
	assert_int_equal(g->s->mxcsr, 0x1f80 | MXCSR_ZE);
}

/* Rounding and flags are the guest's over a whole run, it reads them itself and unmasks one in the middle; the
 * host's are untouched. */
static void test_mxcsr_is_the_guests_inside_and_the_hosts_outside(void **state)
{
	/* divss xmm0, xmm1; stmxcsr [rsi]; divss xmm0, xmm2; stmxcsr [rsi + 4]; ldmxcsr [rdi]; divss xmm3, xmm4 */
	static const uint8_t code[] = { 0xf3, 0x0f, 0x5e, 0xc1, 0x0f, 0xae, 0x1e, 0xf3,
					0x0f, 0x5e, 0xc2, 0x0f, 0xae, 0x5e, 0x04, 0x0f,
					0xae, 0x17, 0xf3, 0x0f, 0x5e, 0xdc };
	struct guest *g = *state;
	uint32_t before = 0x1fa0, after;

	divide(g);
	guest_code(g, code, sizeof(code));
	g->s->xmm[0].f32[0] = 1;
	g->s->xmm[1].f32[0] = 3;
	g->s->xmm[2].f32[0] = 0;
	g->s->xmm[3].f32[0] = 1;
	g->s->xmm[4].f32[0] = 0;
	g->s->mxcsr = 0x5f80; /* upwards */
	g->s->gpr[CPU_RSI] = GUEST_DATA;
	g->s->gpr[CPU_RDI] = GUEST_DATA + 8;
	guest_write(g, GUEST_DATA + 8, 4, 0x1d80);
	guest_changed(g);
	__asm__ volatile("ldmxcsr %0" : : "m"(before));
	guest_run_to(g, CPU_EXIT_HLT);
	__asm__ volatile("stmxcsr %0" : "=m"(after));
	assert_int_equal(after, before);
	assert_int_equal(guest_read(g, GUEST_DATA, 4), 0x5f80 | MXCSR_PE);
	assert_int_equal(guest_read(g, GUEST_DATA + 4, 4), 0x5f80 | MXCSR_PE | MXCSR_ZE);
	assert_int_equal(g->s->gpr[CPU_RAX], VEC_XM);
	assert_int_equal(guest_read(g, g->s->gpr[CPU_RSP], 8), GUEST_CODE + 18);
	assert_int_equal(g->s->mxcsr, 0x1d80 | MXCSR_ZE);
}

/* An operation that rounds upwards, then an exit: the owner finds its flags. */
static void test_mxcsr_has_its_flags_at_each_exit(void **state)
{
	struct guest *g = *state;

	divide(g);
	GUEST_CODE_BYTES(g, 0xf3, 0x0f, 0x5e, 0xc1, 0xe6, 0x80, 0xf4);
	g->s->xmm[1].f32[0] = 3;
	g->s->mxcsr = 0x5f80;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_IO);
	assert_int_equal(g->s->mxcsr, 0x5f80 | MXCSR_PE);
	assert_int_equal(g->s->xmm[0].u32[0], 0x3eaaaaab);
	guest_complete(g, NULL);
	guest_run_to(g, CPU_EXIT_HLT);
	assert_int_equal(g->s->mxcsr, 0x5f80 | MXCSR_PE);
}

/* movups xmm0, [esi]; paddd xmm0, xmm0; movups [edi], xmm0; fxsave [edi + 64]; hlt */
static void test_32_bit_code_has_eight_registers(void **state)
{
	static const uint8_t code[] = { 0x0f, 0x10, 0x06, 0x66, 0x0f, 0xfe, 0xc0, 0x0f,
					0x11, 0x07, 0x0f, 0xae, 0x47, 0x40, 0xf4 };
	struct guest *g = *state;

	guest_start(g, GUEST_PROTECTED);
	guest_code(g, code, sizeof(code));
	g->s->gpr[CPU_RSI] = GUEST_DATA;
	g->s->gpr[CPU_RDI] = GUEST_DATA + 64;
	guest_write(g, GUEST_DATA, 4, 21);
	memset(g->ram + GUEST_DATA + 128, 0xee, 512);
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
	assert_int_equal(guest_read(g, GUEST_DATA + 64, 4), 42);
	assert_int_equal(guest_read(g, GUEST_DATA + 128 + 160, 4), 42);
	assert_int_equal(guest_read(g, GUEST_DATA + 128 + 287, 1), 0);
	assert_int_equal(guest_read(g, GUEST_DATA + 128 + 288, 1), 0xee);
}

static void test_real_mode_runs_sse(void **state)
{
	struct guest *g = *state;

	guest_start(g, GUEST_REAL);
	GUEST_CODE_BYTES(g, 0x66, 0x0f, 0x6e, 0xc0,    /* movd xmm0, eax */
			 0x66, 0x0f, 0x70, 0xc0, 0x00, /* pshufd xmm0, xmm0, 0 */
			 0x0f, 0x11, 0x04, 0xf4);      /* movups [si], xmm0 */
	g->s->gpr[CPU_RAX] = 0x11223344;
	g->s->gpr[CPU_RSI] = 0x5001;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
	assert_int_equal(guest_read(g, 0x5001 + 12, 4), 0x11223344);
}

static void answer(struct guest *g, uint64_t gpa, uint64_t value)
{
	guest_run_to(g, CPU_EXIT_MMIO);
	assert_int_equal(g->exit.mmio.gpa, gpa);
	assert_int_equal(g->exit.mmio.len, 8);
	assert_false(g->exit.mmio.is_write);
	guest_complete(g, &value);
}

static void expect_write(struct guest *g, uint64_t gpa, uint64_t value)
{
	guest_run_to(g, CPU_EXIT_MMIO);
	assert_int_equal(g->exit.mmio.gpa, gpa);
	assert_int_equal(g->exit.mmio.len, 8);
	assert_true(g->exit.mmio.is_write);
	assert_memory_equal(g->exit.mmio.data, &value, 8);
	guest_complete(g, NULL);
}

/* A device is asked and told in two pieces of eight bytes. */
static void test_a_move_to_or_from_a_device_is_two_pieces(void **state)
{
	struct guest *g = *state;

	guest_start(g, GUEST_LONG);
	GUEST_CODE_BYTES(g, 0x0f, 0x10, 0x06, 0x66, 0x0f, 0xfe, 0xc0, 0x0f, 0x11, 0x07, 0xf4);
	g->s->gpr[CPU_RSI] = GUEST_RAM;
	g->s->gpr[CPU_RDI] = GUEST_RAM + 0x100;
	guest_changed(g);
	answer(g, GUEST_RAM, 1);
	answer(g, GUEST_RAM + 8, 2);
	expect_write(g, GUEST_RAM + 0x100, 2);
	expect_write(g, GUEST_RAM + 0x108, 4);
	guest_run_to(g, CPU_EXIT_HLT);
}

/* movups [rsi], xmm0 over what follows: HLT instead of UD2. */
static void test_a_store_over_the_running_code_counts_at_once(void **state)
{
	struct guest *g = *state;

	guest_start(g, GUEST_LONG);
	guest_handlers(g);
	GUEST_CODE_BYTES(g, 0x0f, 0x11, 0x06, 0x0f, 0x0b);
	memset(&g->s->xmm[0], 0xf4, 16);
	g->s->gpr[CPU_RSI] = GUEST_CODE + 3;
	g->s->gpr[CPU_RAX] = 0x77;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
	assert_int_equal(g->s->gpr[CPU_RAX], 0x77);
	assert_int_equal(g->s->rip, GUEST_CODE + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_xm_is_delivered_at_the_instruction, make,
						unmake),
		cmocka_unit_test_setup_teardown(test_nm_ud_and_gp_are_delivered_at_the_instruction,
						make, unmake),
		cmocka_unit_test_setup_teardown(test_xm_can_be_resumed, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_mxcsr_is_the_guests_inside_and_the_hosts_outside, make, unmake),
		cmocka_unit_test_setup_teardown(test_mxcsr_has_its_flags_at_each_exit, make,
						unmake),
		cmocka_unit_test_setup_teardown(test_32_bit_code_has_eight_registers, make, unmake),
		cmocka_unit_test_setup_teardown(test_real_mode_runs_sse, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_move_to_or_from_a_device_is_two_pieces, make,
						unmake),
		cmocka_unit_test_setup_teardown(test_a_store_over_the_running_code_counts_at_once,
						make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
