/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The engine starts, computes, exits and stops, in each mode. */
#include "harness.h"

static void runs_to_hlt(void **state)
{
	for (int mode = GUEST_REAL; mode <= GUEST_LONG; mode++) {
		struct guest g;

		guest_make(&g, mode);
		/* mov al, 40; add al, 2; hlt */
		GUEST_CODE_BYTES(&g, 0xb0, 40, 0x04, 2, 0xf4);
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RAX], 42);
		assert_int_equal(g.s->rip, (mode == GUEST_REAL ? 0 : GUEST_CODE) + 5);
		guest_unmake(&g);
	}
}

static void a_loop_loops(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	/* mov ecx, 1000; l: add rax, rcx; mov [0x100000], rax; dec ecx; jnz l; hlt */
	GUEST_CODE_BYTES(&g, 0xb9, 0xe8, 3, 0, 0, 0x48, 0x01, 0xc8, 0x48, 0x89, 0x04, 0x25, 0, 0,
			 0x10, 0, 0xff, 0xc9, 0x75, 0xf1, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 500500);
	assert_int_equal(guest_read(&g, GUEST_DATA, 8), 500500);
	guest_unmake(&g);
}

static void port_io_exits_and_completes(void **state)
{
	struct guest g;
	uint32_t v = 0x11223344;

	guest_make(&g, GUEST_LONG);
	/* mov eax, 0x12345678; out 0x80, eax; in al, dx; hlt */
	GUEST_CODE_BYTES(&g, 0xb8, 0x78, 0x56, 0x34, 0x12, 0xe7, 0x80, 0xec, 0xf4);
	g.s->gpr[CPU_RDX] = 0x3f8;
	guest_run_to(&g, CPU_EXIT_IO);
	assert_false(g.exit.io.in);
	assert_int_equal(g.exit.io.size, 4);
	assert_int_equal(g.exit.io.port, 0x80);
	assert_int_equal(g.exit.io.count, 1);
	assert_memory_equal(g.exit.io.data, "\x78\x56\x34\x12", 4);
	assert_int_equal(g.s->rip, GUEST_CODE + 5);
	guest_complete(&g, NULL);
	guest_run_to(&g, CPU_EXIT_IO);
	assert_true(g.exit.io.in);
	assert_int_equal(g.exit.io.size, 1);
	assert_int_equal(g.exit.io.port, 0x3f8);
	guest_complete(&g, &v);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 0x12345644);
	guest_unmake(&g);
}

static void a_budget_ends_the_run(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	/* inc rax; inc rax; inc rax; jmp -11 */
	GUEST_CODE_BYTES(&g, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0xeb, 0xf5);
	assert_int_equal(guest_run(&g, 10), CPU_EXIT_KICK);
	assert_int_equal(g.s->gpr[CPU_RAX], 8);
	assert_int_equal(g.s->rip, GUEST_CODE + 6);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_to_hlt),
		cmocka_unit_test(a_loop_loops),
		cmocka_unit_test(port_io_exits_and_completes),
		cmocka_unit_test(a_budget_ends_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
