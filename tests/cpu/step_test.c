/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One instruction at a time: TF, RF, interrupt shadow, interrupts and their window, guest debug, #AC. */
#include "harness.h"

#define TF 0x100u
#define IF 0x200u
#define RF 0x10000u
#define AC 0x40000u

static void start(struct guest *g)
{
	guest_make(g, GUEST_LONG);
	guest_handlers(g);
}

/* RIP and flags that the handler found. */
static uint64_t frame_rip(const struct guest *g)
{
	return guest_read(g, g->s->gpr[CPU_RSP], 8);
}

static uint64_t frame_flags(const struct guest *g)
{
	return guest_read(g, g->s->gpr[CPU_RSP] + 16, 8);
}

static void tf_traps_after_the_instruction(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x90, 0x90, 0xf4);
	g.s->rflags |= TF;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(frame_rip(&g), GUEST_CODE + 1);
	assert_true(frame_flags(&g) & TF);
	assert_false(g.s->rflags & TF);
	assert_true(g.s->dr6 & 0x4000);
	guest_unmake(&g);
}

/* POPF that sets TF: the trap comes after the next instruction. */
static void popf_delays_the_trap(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x68, 0x02, 0x01, 0, 0, 0x9d, 0x90, 0x90, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(frame_rip(&g), GUEST_CODE + 7);
	guest_unmake(&g);
}

/* MOV SS keeps the trap away until after the next instruction. */
static void mov_ss_delays_the_trap(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x8e, 0xd1, 0x90, 0x90, 0xf4);
	g.s->gpr[CPU_RCX] = 0x10;
	g.s->rflags |= TF;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(frame_rip(&g), GUEST_CODE + 3);
	guest_unmake(&g);
}

static void tf_traps_each_iteration_of_rep(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0xf3, 0xaa, 0xf4);
	g.s->rflags |= TF;
	g.s->gpr[CPU_RCX] = 3;
	g.s->gpr[CPU_RDI] = GUEST_DATA;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(frame_rip(&g), GUEST_CODE);
	assert_int_equal(g.s->gpr[CPU_RCX], 2);
	assert_int_equal(g.s->gpr[CPU_RDI], GUEST_DATA + 1);
	guest_unmake(&g);
}

/* A fault instead of completion: no trap, and the handler sees TF in the frame and RF. */
static void a_fault_takes_the_place_of_the_trap(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x0f, 0x0b, 0xf4);
	g.s->rflags |= TF;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 6);
	assert_int_equal(frame_rip(&g), GUEST_CODE);
	assert_true(frame_flags(&g) & RF);
	guest_unmake(&g);
}

static void rf_lasts_one_instruction(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x90, 0x90, 0xe7, 0x80, 0xf4);
	g.s->rflags |= RF;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_IO);
	assert_false(g.s->rflags & RF);
	guest_unmake(&g);
}

static void guest_debug_steps(void **state)
{
	struct guest g;

	start(&g);
	/* inc eax; out 0x80, al; inc eax; hlt */
	GUEST_CODE_BYTES(&g, 0xff, 0xc0, 0xe6, 0x80, 0xff, 0xc0, 0xf4);
	cpu_soft_ops.set_debug(g.cpu, true, false, NULL, 0);
	guest_run_to(&g, CPU_EXIT_DEBUG);
	assert_int_equal(g.exit.debug.exception, 1);
	assert_int_equal(g.exit.debug.pc, GUEST_CODE + 2);
	assert_int_equal(g.s->rip, GUEST_CODE + 2);
	guest_run_to(&g, CPU_EXIT_IO);
	guest_complete(&g, NULL);
	guest_run_to(&g, CPU_EXIT_DEBUG);
	assert_int_equal(g.s->rip, GUEST_CODE + 4);
	cpu_soft_ops.set_debug(g.cpu, false, false, NULL, 0);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 2);
	guest_unmake(&g);
}

/* ---- interrupts ----------------------------------------------------------------------------------- */

static void raise(struct guest *g, uint8_t vector)
{
	g->s->interrupt = (struct cpu_event){ .pending = true, .vector = vector };
	guest_changed(g);
}

/* STI lets one more instruction through; vector 31 stands for a device's. */
static void sti_has_a_shadow(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0xfb, 0xff, 0xc3, 0xff, 0xc3, 0xf4); /* sti; inc ebx; inc ebx; hlt */
	raise(&g, 31);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 31);
	assert_int_equal(g.s->gpr[CPU_RBX], 1);
	assert_int_equal(frame_rip(&g), GUEST_CODE + 3);
	assert_false(g.s->interrupt.pending);
	guest_unmake(&g);
}

/* STI; HLT with an interrupt there: HLT has its exit first, and RIP is behind it. */
static void sti_hlt_halts(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0xfb, 0xf4, 0xff, 0xc3);
	raise(&g, 31);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, GUEST_CODE + 2);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 31);
	assert_int_equal(frame_rip(&g), GUEST_CODE + 2);
	guest_unmake(&g);
}

static void closed_interrupts_wait(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x90, 0xe7, 0x80, 0xf4);
	raise(&g, 31);
	guest_run_to(&g, CPU_EXIT_IO);
	assert_true(g.s->interrupt.pending);
	guest_unmake(&g);
}

/* An interrupt in the middle of a long REP finds exact registers, and IRET goes on with it. */
static void an_interrupt_within_rep(void **state)
{
	struct guest g;

	start(&g);
	guest_put(&g, GUEST_HANDLERS + 16 * 31, "\xfe\xc2\x48\xcf", 4); /* inc dl; iretq */
	GUEST_CODE_BYTES(&g, 0xf3, 0xaa, 0xf4);
	g.s->rflags |= IF;
	g.s->gpr[CPU_RCX] = 8 << 20;
	g.s->gpr[CPU_RDI] = GUEST_DATA;
	g.s->gpr[CPU_RAX] = 0x55;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT); /* all of it is mapped now */
	g.s->rip = GUEST_CODE;
	g.s->gpr[CPU_RCX] = 8 << 20;
	g.s->gpr[CPU_RDI] = GUEST_DATA;
	guest_changed(&g);
	guest_run(&g, 3); /* a piece of it */
	assert_int_equal(g.s->rip, GUEST_CODE);
	assert_true(g.s->gpr[CPU_RCX] > 0 && g.s->gpr[CPU_RCX] < 8 << 20);
	raise(&g, 31);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RDX], 1);
	assert_int_equal(g.s->gpr[CPU_RCX], 0);
	assert_int_equal(g.s->rip, GUEST_CODE + 3);
	for (uint64_t n = 0; n < 8 << 20; n += 4093)
		assert_int_equal(g.ram[GUEST_DATA + n], 0x55);
	guest_unmake(&g);
}

static void the_window_opens_with_if(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x90, 0xfb, 0x90, 0x90, 0xf4);
	cpu_soft_ops.request_irq_window(g.cpu, true);
	assert_false(cpu_soft_ops.can_take_interrupt(g.cpu));
	guest_run_to(&g, CPU_EXIT_IRQ_WINDOW);
	assert_int_equal(g.s->rip, GUEST_CODE + 3);
	assert_true(cpu_soft_ops.can_take_interrupt(g.cpu));
	guest_unmake(&g);
}

static void nmi_is_delivered_once(void **state)
{
	struct guest g;

	start(&g);
	GUEST_CODE_BYTES(&g, 0x90, 0xf4);
	g.s->nmi_pending = true;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 2);
	assert_true(g.s->nmi_masked);
	assert_false(g.s->nmi_pending);
	g.s->nmi_pending = true;
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, GUEST_CODE + 2);
	guest_unmake(&g);
}

/* ---- alignment ------------------------------------------------------------------------------------ */

static void unaligned_at_cpl3(void **state)
{
	static const struct {
		uint8_t code[4];
		uint64_t at;
		int vector;
	} cases[] = {
		{ { 0x8b, 0x06, 0xf4 }, 0x600001, 17 },	      /* mov eax, [rsi] */
		{ { 0x8b, 0x06, 0xf4 }, 0x600004, 13 },	      /* (HLT) */
		{ { 0x89, 0x06, 0xf4 }, 0x600002, 17 },	      /* mov [rsi], eax */
		{ { 0x01, 0x06, 0xf4 }, 0x600002, 17 },	      /* add [rsi], eax */
		{ { 0x88, 0x06, 0xf4 }, 0x600003, 13 },	      /* a byte */
		{ { 0xf0, 0xff, 0x06, 0xf4 }, 0x600003, 17 }, /* lock inc */
		{ { 0x0f, 0x10, 0x06, 0xf4 }, 0x600004, 13 }, /* movups */
	};

	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		struct guest g;

		start(&g);
		guest_write(&g, 0xc004, 8, 0x70000);
		g.s->tr.base = 0xc000;
		g.s->tr.limit = 103;
		for (int k = 0; k < CPU_NR_SEGS; k++)
			g.s->seg[k].dpl = 3;
		g.s->seg[CPU_CS].sel = 0xb;
		g.s->seg[CPU_SS].sel = 0x13;
		g.s->cr0 |= 1u << 18;
		g.s->rflags |= AC;
		g.s->gpr[CPU_RSI] = cases[n].at;
		guest_code(&g, cases[n].code, 4);
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		if ((int)g.s->gpr[CPU_RAX] != cases[n].vector)
			fail_msg("case %d: %d", (int)n, (int)g.s->gpr[CPU_RAX]);
		guest_unmake(&g);
	}
}

/* ---- 16-bit code ------------------------------------------------------------------------------------ */

static void ip_and_addresses_wrap_in_real_mode(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_REAL);
	/* at cs:fffe: inc ax; then at cs:0: hlt */
	guest_put(&g, GUEST_CODE + 0xffff, "\x40", 1);
	guest_put(&g, GUEST_CODE, "\xf4", 1);
	g.s->rip = 0xffff;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(g.s->rip, 1);
	/* mov al, [bx+si]: the sum wraps at 64 KiB */
	GUEST_CODE_BYTES(&g, 0x8a, 0x00, 0xf4);
	g.s->rip = 0;
	g.s->gpr[CPU_RBX] = 0xfff0;
	g.s->gpr[CPU_RSI] = 0x7010;
	g.ram[0x7000] = 0x42;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX] & 0xff, 0x42);
	/* jmp short backwards over 0 */
	guest_put(&g, GUEST_CODE, "\xeb\xf0", 2);
	guest_put(&g, GUEST_CODE + 0xfff2, "\xf4", 1);
	g.s->rip = 0;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, 0xfff3);
	guest_unmake(&g);
}

static void sixteen_bit_string_counts_cx(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_REAL);
	GUEST_CODE_BYTES(&g, 0xf3, 0xaa, 0xf4);
	g.s->gpr[CPU_RCX] = 0xabcd0010;
	g.s->gpr[CPU_RDI] = 0x1234fff8;
	g.s->gpr[CPU_RAX] = 0x99;
	g.s->seg[CPU_ES].base = GUEST_DATA;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RCX], 0xabcd0000);
	assert_int_equal(g.s->gpr[CPU_RDI], 0x12340008);
	for (int n = 0; n < 8; n++) {
		assert_int_equal(g.ram[GUEST_DATA + n], 0x99);
		assert_int_equal(g.ram[GUEST_DATA + 0xfff8 + n], 0x99);
	}
	assert_int_equal(g.ram[GUEST_DATA + 0x10000], 0);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tf_traps_after_the_instruction),
		cmocka_unit_test(popf_delays_the_trap),
		cmocka_unit_test(mov_ss_delays_the_trap),
		cmocka_unit_test(tf_traps_each_iteration_of_rep),
		cmocka_unit_test(a_fault_takes_the_place_of_the_trap),
		cmocka_unit_test(rf_lasts_one_instruction),
		cmocka_unit_test(guest_debug_steps),
		cmocka_unit_test(sti_has_a_shadow),
		cmocka_unit_test(sti_hlt_halts),
		cmocka_unit_test(closed_interrupts_wait),
		cmocka_unit_test(an_interrupt_within_rep),
		cmocka_unit_test(the_window_opens_with_if),
		cmocka_unit_test(nmi_is_delivered_once),
		cmocka_unit_test(unaligned_at_cpl3),
		cmocka_unit_test(ip_and_addresses_wrap_in_real_mode),
		cmocka_unit_test(sixteen_bit_string_counts_cx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
