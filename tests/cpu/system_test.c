/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Events that go wrong while they are delivered, what leaves to the owner, registers of the model.
 *  */
#include <errno.h>

#include "harness.h"

#define VEC_UD 6
#define VEC_DF 8
#define VEC_NP 11
#define VEC_GP 13
#define VEC_PF 14
#define GATE_PRESENT_AT 5 /* byte of a gate */
#define DEVICE 0x20000000u

/* mov al, [rbx] with RBX not canonical: #GP(0). */
static void code_that_faults(struct guest *g)
{
	GUEST_CODE_BYTES(g, 0x8a, 0x03, 0xf4);
	g->s->gpr[CPU_RBX] = 0x8000000000000000;
}

static void make_gate_absent(struct guest *g, unsigned int vector)
{
	g->ram[GUEST_IDT + vector * 16 + GATE_PRESENT_AT] &= 0x7f;
}

/* The handler of this vector runs on GUEST_STACK. */
static void give_ist(struct guest *g, unsigned int vector)
{
	g->s->tr = (struct cpu_seg){ .base = GUEST_DATA, .limit = 0x67, .type = 11, .p = 1 };
	guest_write(g, GUEST_DATA + 36, 8, GUEST_STACK);
	g->ram[GUEST_IDT + vector * 16 + 4] = 1;
	guest_changed(g);
}

static void long_guest(struct guest *g)
{
	guest_make(g, GUEST_LONG);
	guest_handlers(g);
}

static uint64_t on_stack(struct guest *g, unsigned int n)
{
	return guest_read(g, g->s->gpr[CPU_RSP] + n * 8, 8);
}

static void a_fault_while_delivering_a_fault_is_double(void **state)
{
	struct guest g;

	long_guest(&g);
	code_that_faults(&g);
	make_gate_absent(&g, VEC_GP);
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], VEC_DF);
	assert_int_equal(on_stack(&g, 0), 0);
	assert_int_equal(on_stack(&g, 1), GUEST_CODE);
	guest_unmake(&g);
}

/* #GP, and #PF for its frame: only that is delivered, on the stack of its IST. */
static void a_page_fault_takes_the_place_of_a_contributory_fault(void **state)
{
	struct guest g;

	long_guest(&g);
	code_that_faults(&g);
	guest_map(&g, 0x300000, 0, 0);
	g.s->gpr[CPU_RSP] = 0x301000;
	give_ist(&g, VEC_PF);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], VEC_PF);
	assert_int_equal(g.s->cr2, 0x300ff8);
	guest_unmake(&g);
}

static void faults_push_rf_and_traps_do_not(void **state)
{
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0x0f, 0x0b);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(on_stack(&g, 2), 0x10002);
	assert_int_equal(g.s->rflags, 2);
	guest_unmake(&g);
	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0xcc);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(on_stack(&g, 2), 2);
	guest_unmake(&g);
}

static void frames_are_aligned_in_long_mode(void **state)
{
	for (unsigned int n = 0; n < 16; n++) {
		struct guest g;

		long_guest(&g);
		GUEST_CODE_BYTES(&g, 0x0f, 0x0b);
		g.s->gpr[CPU_RSP] = GUEST_STACK - n;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RSP], GUEST_STACK - (n ? 16 : 0) - 40);
		assert_int_equal(on_stack(&g, 3), GUEST_STACK - n);
		guest_unmake(&g);
	}
}

static void interrupt_gates_clear_if_and_trap_gates_do_not(void **state)
{
	for (uint8_t type = 0xe; type <= 0xf; type++) {
		struct guest g;

		long_guest(&g);
		GUEST_CODE_BYTES(&g, 0x0f, 0x0b);
		g.ram[GUEST_IDT + VEC_UD * 16 + GATE_PRESENT_AT] = 0x80 | type;
		g.s->rflags = 0x202;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->rflags, type == 0xe ? 2 : 0x202);
		assert_int_equal(on_stack(&g, 2), 0x10202);
		guest_unmake(&g);
	}
}

static void a_third_fault_shuts_down_with_the_state_as_it_was(void **state)
{
	struct cpu_state before;
	struct guest g;

	long_guest(&g);
	code_that_faults(&g);
	make_gate_absent(&g, VEC_GP);
	make_gate_absent(&g, VEC_DF);
	guest_changed(&g);
	before = *g.s;
	guest_run_to(&g, CPU_EXIT_SHUTDOWN);
	assert_memory_equal(&before, g.s, sizeof(before));
	guest_unmake(&g);
}

static void an_empty_table_shuts_down(void **state)
{
	for (int mode = GUEST_REAL; mode <= GUEST_LONG; mode++) {
		struct guest g;

		guest_make(&g, mode);
		GUEST_CODE_BYTES(&g, 0x0f, 0x0b);
		g.s->idt.limit = 0;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_SHUTDOWN);
		assert_int_equal(g.s->rip, mode == GUEST_REAL ? 0 : GUEST_CODE);
		guest_unmake(&g);
	}
}

static void a_benign_exception_gives_way_to_the_next(void **state)
{
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0x0f, 0x0b);
	make_gate_absent(&g, VEC_UD);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], VEC_NP);
	/* the gate, by an event from outside the program */
	assert_int_equal(on_stack(&g, 0), VEC_UD * 8 + 3);
	assert_int_equal(on_stack(&g, 1), GUEST_CODE);
	guest_unmake(&g);
}

/* The stack is absent: page fault, page fault for its frame, and one more for the double fault's.
 *  */
static void page_faults_on_the_stack_shut_down(void **state)
{
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0x8a, 0x04, 0x25, 0, 0, 0x30, 0);
	guest_map(&g, 0x300000, 0, 0);
	guest_map(&g, 0x3ff000, 0, 0);
	g.s->gpr[CPU_RSP] = 0x400000;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_SHUTDOWN);
	assert_int_equal(g.s->cr2, 0x400000 - 8);
	assert_int_equal(g.s->gpr[CPU_RSP], 0x400000);
	guest_unmake(&g);
}

/* The lower half of the frame lies in an absent page: the upper half has not been written, and
 * the page fault has the same frame on a stack that is good (its gate has IST 1). */
static void a_frame_is_whole_or_not_there(void **state)
{
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0x0f, 0x0b);
	guest_map(&g, 0x300000, 0, 0);
	g.s->gpr[CPU_RSP] = 0x301010;
	give_ist(&g, VEC_PF);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], VEC_PF);
	assert_int_equal(on_stack(&g, 0), 2);
	assert_int_equal(on_stack(&g, 1), GUEST_CODE);
	assert_int_equal(on_stack(&g, 4), 0x301010);
	assert_int_equal(g.s->cr2, 0x300ff8);
	assert_int_equal(guest_read(&g, 0x301008, 8), 0);
	guest_unmake(&g);
}

static void a_table_in_a_device_leaves_with_its_address(void **state)
{
	struct cpu_state before;
	struct guest g;

	long_guest(&g);
	code_that_faults(&g);
	g.s->idt.base = DEVICE;
	guest_changed(&g);
	before = *g.s;
	guest_run_to(&g, CPU_EXIT_DELIVERY);
	assert_int_equal(g.exit.delivery.gpa, DEVICE + VEC_GP * 16);
	assert_int_equal(g.exit.delivery.vector_info, 0x80000b00 | VEC_GP);
	assert_int_equal(g.s->rip, GUEST_CODE);
	assert_memory_equal(before.gpr, g.s->gpr, sizeof(before.gpr));
	guest_unmake(&g);
}

static void a_stack_in_a_device_leaves_with_its_address(void **state)
{
	struct guest g;

	long_guest(&g);
	code_that_faults(&g);
	g.s->gpr[CPU_RSP] = DEVICE + 0x1000;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_DELIVERY);
	assert_int_equal(g.exit.delivery.gpa & ~0xfffull, DEVICE);
	assert_int_equal(g.s->gpr[CPU_RSP], DEVICE + 0x1000);
	guest_unmake(&g);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

#define IRQ 0x20

static void add_irq_gate(struct guest *g)
{
	static const uint8_t handler[] = { 0xff, 0xc3, 0x48, 0xcf }; /* inc ebx; iretq */

	guest_put(g, 0xb000, handler, sizeof(handler));
	guest_write(g, GUEST_IDT + IRQ * 16, 8, 0x00008e0000080000 | 0xb000);
	g->s->idt.limit = 0xfff;
}

static void an_interrupt_waits_for_if_and_a_window_is_told(void **state)
{
	struct guest g;

	long_guest(&g);
	add_irq_gate(&g);
	/* nop; sti; nop; nop; hlt */
	GUEST_CODE_BYTES(&g, 0x90, 0xfb, 0x90, 0x90, 0xf4);
	guest_changed(&g);
	cpu_soft_ops.request_irq_window(g.cpu, true);
	guest_run_to(&g, CPU_EXIT_IRQ_WINDOW);
	assert_int_equal(g.s->rip, GUEST_CODE + 3);
	assert_true(cpu_soft_ops.can_take_interrupt(g.cpu));
	cpu_soft_ops.request_irq_window(g.cpu, false);
	g.s->interrupt = (struct cpu_event){ .pending = true, .vector = IRQ };
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBX], 1);
	assert_false(g.s->interrupt.pending);
	guest_unmake(&g);
}

static void an_nmi_is_masked_until_iret(void **state)
{
	struct guest g;

	long_guest(&g);
	add_irq_gate(&g);
	guest_write(&g, GUEST_IDT + 2 * 16, 8, 0x00008e0000080000 | 0xb000);
	GUEST_CODE_BYTES(&g, 0x90, 0xf4);
	g.s->nmi_pending = true;
	guest_changed(&g);
	assert_int_equal(guest_run(&g, 1), CPU_EXIT_KICK);
	assert_true(g.s->nmi_masked);
	g.s->nmi_pending = true;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBX], 2);
	assert_false(g.s->nmi_masked);
	guest_unmake(&g);
}

/* The handler sets RF in the frame, or it would meet the breakpoint again. */
static void an_instruction_breakpoint_faults_once(void **state)
{
	/* orb [rsp+18], 1; inc ebx; iretq */
	static const uint8_t handler[] = { 0x80, 0x4c, 0x24, 18, 1, 0xff, 0xc3, 0x48, 0xcf };
	struct guest g;

	long_guest(&g);
	guest_put(&g, 0xb000, handler, sizeof(handler));
	guest_write(&g, GUEST_IDT + 16, 8, 0x00008e0000080000 | 0xb000);
	GUEST_CODE_BYTES(&g, 0x90, 0x90, 0x90, 0xf4);
	g.s->dr[1] = GUEST_CODE + 1;
	g.s->dr7 = 0x400 | 1 << 2;
	guest_changed(&g);
	assert_int_equal(guest_run(&g, 100), CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBX], 1);
	assert_int_equal(g.s->dr6, 0xffff0ff2);
	assert_int_equal(guest_read(&g, GUEST_STACK - 40, 8), GUEST_CODE + 1);
	guest_unmake(&g);
}

static void the_owners_breakpoint_exits(void **state)
{
	const uint64_t dr[4] = { GUEST_CODE + 2 };
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0x90, 0x90, 0x90, 0xf4);
	cpu_soft_ops.set_debug(g.cpu, false, false, dr, 0x401);
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_DEBUG);
	assert_int_equal(g.exit.debug.pc, GUEST_CODE + 2);
	assert_int_equal(g.exit.debug.dr6, 0xffff0ff1);
	assert_int_equal(g.s->rip, GUEST_CODE + 2);
	cpu_soft_ops.set_debug(g.cpu, false, false, NULL, 0);
	guest_run_to(&g, CPU_EXIT_HLT);
	guest_unmake(&g);
}

/* ---- exits ----------------------------------------------------------------------------------- */

static void hypercalls_exit_and_complete(void **state)
{
	static const uint8_t last[] = { 0xc1, 0xd9 }; /* VMCALL, VMMCALL */

	for (unsigned int n = 0; n < 2; n++) {
		uint64_t result = 0x1122334455667788;
		struct guest g;

		long_guest(&g);
		GUEST_CODE_BYTES(&g, 0x0f, 0x01, last[n], 0xf4);
		g.s->gpr[CPU_RAX] = 12;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HYPERCALL);
		assert_int_equal(g.s->rip, GUEST_CODE);
		assert_int_equal(g.s->gpr[CPU_RAX], 12);
		guest_complete(&g, &result);
		assert_int_equal(g.s->rip, GUEST_CODE + 3);
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RAX], result);
		guest_unmake(&g);
	}
}

static void hlt_is_behind_and_halted(void **state)
{
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0xf4, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, GUEST_CODE + 1);
	assert_true(g.s->halted);
	guest_unmake(&g);
}

/* ---- model specific registers, CPUID --------------------------------------------------------- */

static void give_cpuid(struct guest *g)
{
	struct cpu_cpuid cpuid[100];
	unsigned int nr = cpu_soft_supported_cpuid(cpuid, 100);

	assert_in_range(nr, 10, 60);
	assert_int_equal(cpu_soft_ops.set_cpuid(g->cpu, cpuid, nr), 0);
}

static void every_listed_msr_can_be_read_and_written_back(void **state)
{
	uint32_t list[256];
	unsigned int n, nr = cpu_soft_msr_list(list, 256);
	struct guest g;

	long_guest(&g);
	give_cpuid(&g);
	assert_in_range(nr, 40, 255);
	for (n = 0; n < nr; n++) {
		uint64_t value;

		assert_int_equal(cpu_soft_ops.get_msr(g.cpu, list[n], &value), 0);
		assert_int_equal(cpu_soft_ops.set_msr(g.cpu, list[n], value), 0);
	}
	guest_unmake(&g);
}

static void msr_values_are_checked(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value;
		int result;
	} tries[] = {
		{ 0x12345678, 0, -ENOENT },
		{ 0xc0000080, 1ull << 40, -EINVAL },
		{ 0xc0000082, 0x800000000000, -EINVAL },
		{ 0xc0000082, 0xffff800000000000, 0 },
		{ 0xc0000100, 0x800000000000, -EINVAL },
		{ 0x277, 2, -EINVAL },
		{ 0x277, 7, 0 },
		{ 0x250, 7, -EINVAL },
		{ 0x250, 6, 0 },
		{ 0x2ff, 0x100, -EINVAL },
		{ 0x200, 2, -EINVAL },
		{ 0x201, 1ull << 60, -EINVAL },
		{ 0x1b, 1, -EINVAL },
		{ 0xfe, 0, -EINVAL },
		{ 0x1d9, 1, -EINVAL },
		{ 0x1d9, 0, 0 },
	};
	struct guest g;

	long_guest(&g);
	give_cpuid(&g);
	for (unsigned int n = 0; n < sizeof(tries) / sizeof(tries[0]); n++)
		assert_int_equal(cpu_soft_ops.set_msr(g.cpu, tries[n].index, tries[n].value),
				 tries[n].result);
	guest_unmake(&g);
}

static void tsc_follows_writes_and_adjust(void **state)
{
	uint64_t tsc, adjust;
	struct guest g;

	long_guest(&g);
	/* wrmsr of TSC; rdmsr of TSC_ADJUST */
	GUEST_CODE_BYTES(&g, 0x0f, 0x30, 0xb9, 0x3b, 0, 0, 0, 0x0f, 0x32, 0xf4);
	assert_int_equal(cpu_soft_ops.set_msr(g.cpu, 0x10, 0), 0);
	assert_int_equal(cpu_soft_ops.get_msr(g.cpu, 0x3b, &adjust), 0);
	assert_int_equal(adjust, 0);
	g.s->gpr[CPU_RCX] = 0x10;
	g.s->gpr[CPU_RDX] = 0x1000;
	g.s->gpr[CPU_RAX] = 0;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(cpu_soft_ops.get_msr(g.cpu, 0x10, &tsc), 0);
	assert_in_range(tsc, 0x100000000000, 0x110000000000);
	assert_in_range(g.s->gpr[CPU_RDX], 0xe00, 0x1000);
	guest_unmake(&g);
}

static void guest_cpuid(struct guest *g, uint32_t function, uint32_t index)
{
	GUEST_CODE_BYTES(g, 0x0f, 0xa2, 0xf4);
	g->s->rip = GUEST_CODE;
	g->s->gpr[CPU_RAX] = function;
	g->s->gpr[CPU_RCX] = index;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
}

static void cpuid_answers_by_the_table_and_the_rules(void **state)
{
	struct cpu_cpuid table[] = {
		{ .function = 0, .eax = 7, .ebx = 0x756e6547 },
		{ .function = 1, .ecx = 1u << 26 | 1u << 27, .edx = 1u << 9 },
		{ .function = 7, .index_matters = true, .eax = 70 },
		{ .function = 0x80000000, .eax = 0x80000001 },
	};
	struct guest g;

	long_guest(&g);
	assert_int_equal(cpu_soft_ops.set_cpuid(g.cpu, table, 4), 0);
	guest_cpuid(&g, 1, 0);
	assert_int_equal(g.s->gpr[CPU_RCX], 1u << 26); /* OSXSAVE follows CR4 */
	assert_int_equal(g.s->gpr[CPU_RDX], 1u << 9);
	g.s->cr4 |= 1u << 18;
	g.s->apic_base = 0;
	guest_cpuid(&g, 1, 0);
	assert_int_equal(g.s->gpr[CPU_RCX], 1u << 26 | 1u << 27);
	assert_int_equal(g.s->gpr[CPU_RDX], 0);
	guest_cpuid(&g, 7, 0);
	assert_int_equal(g.s->gpr[CPU_RAX], 70);
	guest_cpuid(&g, 7, 1);
	assert_int_equal(g.s->gpr[CPU_RAX], 0);
	guest_cpuid(&g, 0x1234, 0); /* beyond: the last basic leaf */
	assert_int_equal(g.s->gpr[CPU_RAX], 70);
	guest_cpuid(&g, 5, 0); /* within, but not there */
	assert_int_equal(g.s->gpr[CPU_RAX], 0);
	table[0].ebx = 0x68747541;
	assert_int_equal(cpu_soft_ops.set_cpuid(g.cpu, table, 4), 0);
	guest_cpuid(&g, 0x1234, 0);
	assert_int_equal(g.s->gpr[CPU_RAX], 0);
	guest_unmake(&g);
}

static void control_bits_follow_cpuid(void **state)
{
	struct guest g;

	long_guest(&g);
	GUEST_CODE_BYTES(&g, 0x0f, 0x22, 0xe0, 0xf4); /* mov cr4, rax */
	g.s->gpr[CPU_RAX] = g.s->cr4 | 1u << 11;      /* UMIP */
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], VEC_GP);
	guest_start(&g, GUEST_LONG);
	give_cpuid(&g);
	g.s->gpr[CPU_RAX] = g.s->cr4 | 1u << 11; /* UMIP */
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_true(g.s->cr4 & 1u << 11);
	guest_unmake(&g);
}

/* SYSCALL from compatibility code: AMD goes to CSTAR, Intel raises #UD. */
static void syscall_in_compatibility_code_goes_by_vendor(void **state)
{
	static const uint8_t hlt = 0xf4;
	struct cpu_cpuid table[] = { { .function = 0, .eax = 1, .ebx = 0x68747541 } };
	struct guest g;

	for (int amd = 0; amd < 2; amd++) {
		long_guest(&g);
		assert_int_equal(cpu_soft_ops.set_cpuid(g.cpu, table, amd), 0);
		GUEST_CODE_BYTES(&g, 0x0f, 0x05);
		guest_put(&g, GUEST_CODE + 0x100, &hlt, 1);
		g.s->cstar = GUEST_CODE + 0x100;
		g.s->star = 0x8ull << 32;
		g.s->sfmask = 0x200;
		g.s->rflags = 0x202;
		g.s->seg[CPU_CS].l = 0;
		g.s->seg[CPU_CS].db = 1;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		if (amd) {
			assert_int_equal(g.s->rip, GUEST_CODE + 0x101);
			assert_int_equal(g.s->gpr[CPU_RCX], GUEST_CODE + 2);
			assert_int_equal(g.s->gpr[11], 0x202);
			assert_int_equal(g.s->rflags, 2);
			assert_true(g.s->seg[CPU_CS].l);
		} else {
			assert_int_equal(g.s->gpr[CPU_RAX], VEC_UD);
		}
		guest_unmake(&g);
	}
}

/* ---- against the host ------------------------------------------------------------------------ */

static bool host_looks(uint32_t sel, uint32_t *lar, uint32_t *lsl, uint8_t *verr, uint8_t *verw)
{
	uint8_t ok;

	__asm__("larl %4, %0\n\tsetz %1\n\tverr %w4\n\tsetz %2\n\tverw %w4\n\tsetz %3"
		: "=&r"(*lar), "=&q"(ok), "=&q"(*verr), "=&q"(*verw)
		: "r"(sel)
		: "cc");
	if (ok)
		__asm__("lsll %1, %0" : "=&r"(*lsl) : "r"(sel) : "cc");
	return ok;
}

/* The host's descriptors, as far as user code can see them, put into the guest's table. */
static void looks_at_descriptors_as_the_host_does(void **state)
{
	unsigned int seen = 0;

	for (uint32_t sel = 3; sel < 0x80; sel += 8) {
		uint32_t lar, lsl = 0, limit;
		uint8_t verr, verw;
		struct guest g;

		if (!host_looks(sel, &lar, &lsl, &verr, &verw))
			continue;
		seen++;
		long_guest(&g);
		limit = lar >> 23 & 1 ? lsl >> 12 : lsl;
		guest_write(&g, GUEST_GDT + 16, 8,
			    (uint64_t)((lar & 0xf0ff00) | (limit & 0xf0000)) << 32 |
				    (limit & 0xffff));
		/* lar eax, ecx; lsl edx, ecx; verr cx; setz bl; verw cx; setz bh; hlt */
		GUEST_CODE_BYTES(&g, 0x0f, 0x02, 0xc1, 0x0f, 0x03, 0xd1, 0x0f, 0x00, 0xe1, 0x0f,
				 0x94, 0xc3, 0x0f, 0x00, 0xe9, 0x0f, 0x94, 0xc7, 0xf4);
		g.s->gpr[CPU_RCX] = 0x13;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RAX], lar);
		assert_int_equal(g.s->gpr[CPU_RDX], lsl);
		assert_int_equal(g.s->gpr[CPU_RBX], verr | verw << 8);
		guest_unmake(&g);
	}
	assert_true(seen >= 2);
}

static void reset_is_as_kvm_gives_it(void **state)
{
	struct mmu_config config = { .gpa_bits = 48 };
	struct cpu_state *s;
	struct cpu_exit exit;
	struct mmu_vcpu *v;
	struct mmu *mmu;
	struct cpu *cpu;

	assert_int_equal(mmu_create(&config, &mmu), 0);
	assert_int_equal(mmu_vcpu_create(mmu, &v), 0);
	assert_int_equal(cpu_soft_ops.create(mmu, v, &cpu), 0);
	s = cpu_soft_ops.state(cpu);
	assert_int_equal(s->rip, 0xfff0);
	assert_int_equal(s->rflags, 2);
	assert_int_equal(s->gpr[CPU_RDX], 0x600);
	assert_int_equal(s->seg[CPU_CS].base, 0xffff0000);
	assert_int_equal(s->seg[CPU_CS].sel, 0xf000);
	assert_int_equal(s->seg[CPU_CS].type, 11);
	assert_int_equal(s->seg[CPU_DS].type, 3);
	assert_int_equal(s->seg[CPU_DS].limit, 0xffff);
	assert_int_equal(s->tr.type, 11);
	assert_int_equal(s->ldt.type, 2);
	assert_int_equal(s->gdt.limit, 0xffff);
	assert_int_equal(s->idt.limit, 0xffff);
	assert_int_equal(s->cr0, 0x60000010);
	assert_int_equal(s->cr4, 0);
	assert_int_equal(s->efer, 0);
	assert_int_equal(s->apic_base, 0xfee00900);
	/* nothing at the first instruction */
	cpu_soft_ops.run(cpu, 0, &exit);
	assert_int_equal(exit.reason, CPU_EXIT_EMULATION);
	assert_int_equal(s->rip, 0xfff0);
	cpu_soft_ops.destroy(cpu);
	mmu_vcpu_destroy(v);
	mmu_destroy(mmu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_while_delivering_a_fault_is_double),
		cmocka_unit_test(a_page_fault_takes_the_place_of_a_contributory_fault),
		cmocka_unit_test(faults_push_rf_and_traps_do_not),
		cmocka_unit_test(frames_are_aligned_in_long_mode),
		cmocka_unit_test(interrupt_gates_clear_if_and_trap_gates_do_not),
		cmocka_unit_test(a_third_fault_shuts_down_with_the_state_as_it_was),
		cmocka_unit_test(an_empty_table_shuts_down),
		cmocka_unit_test(a_benign_exception_gives_way_to_the_next),
		cmocka_unit_test(page_faults_on_the_stack_shut_down),
		cmocka_unit_test(a_frame_is_whole_or_not_there),
		cmocka_unit_test(a_table_in_a_device_leaves_with_its_address),
		cmocka_unit_test(a_stack_in_a_device_leaves_with_its_address),
		cmocka_unit_test(an_interrupt_waits_for_if_and_a_window_is_told),
		cmocka_unit_test(an_nmi_is_masked_until_iret),
		cmocka_unit_test(an_instruction_breakpoint_faults_once),
		cmocka_unit_test(the_owners_breakpoint_exits),
		cmocka_unit_test(hypercalls_exit_and_complete),
		cmocka_unit_test(hlt_is_behind_and_halted),
		cmocka_unit_test(every_listed_msr_can_be_read_and_written_back),
		cmocka_unit_test(msr_values_are_checked),
		cmocka_unit_test(tsc_follows_writes_and_adjust),
		cmocka_unit_test(cpuid_answers_by_the_table_and_the_rules),
		cmocka_unit_test(control_bits_follow_cpuid),
		cmocka_unit_test(syscall_in_compatibility_code_goes_by_vendor),
		cmocka_unit_test(looks_at_descriptors_as_the_host_does),
		cmocka_unit_test(reset_is_as_kvm_gives_it),
	};

	return cmocka_run_group_tests_name("cpu system", tests, NULL, NULL);
}
