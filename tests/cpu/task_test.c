/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Task switches that cannot be made at once: they have not begun. */
#include "harness.h"

#include "os/paths.h"

#define TSS_OLD 0x40000u
#define TSS_NEW 0x43000u
#define TASK_IDT 0x42000u
#define TASK_STACK 0x300000u
#define TASK_BUSY 2u

static uint64_t tss_descriptor(uint32_t base, unsigned int type)
{
	return 0x67 | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(0x80 | type) << 40;
}

static unsigned int task_type(const struct guest *g, unsigned int sel)
{
	return guest_read(g, GUEST_GDT + sel + 5, 1) & 15;
}

/* #GP, with its error code, goes to the task 0x38, whose stack ends at esp. */
static void start_task(struct guest *g, uint32_t esp)
{
	static const uint16_t data[] = { 0x10, 0x18, 0x10, 0x10, 0x10, 0x10 };

	guest_make(g, GUEST_PROTECTED);
	guest_write(g, GUEST_GDT + 0x30, 8, tss_descriptor(TSS_OLD, 9 | TASK_BUSY));
	guest_write(g, GUEST_GDT + 0x38, 8, tss_descriptor(TSS_NEW, 9));
	guest_write(g, TASK_IDT + 8 * 13, 8, 0x38ull << 16 | 0x85ull << 40);
	guest_write(g, TSS_NEW + 32, 4, GUEST_CODE + 0x100);
	guest_write(g, TSS_NEW + 36, 4, 2);
	guest_write(g, TSS_NEW + 40, 4, 0x1234);
	guest_write(g, TSS_NEW + 56, 4, esp);
	for (unsigned int n = 0; n < 6; n++)
		guest_write(g, TSS_NEW + 72 + 4 * n, 2, data[n]);
	g->s->gdt.limit = 0x3f;
	g->s->idt.base = TASK_IDT;
	g->s->idt.limit = 14 * 8 - 1;
	g->s->tr = (struct cpu_seg){
		.sel = 0x30, .base = TSS_OLD, .limit = 0x67, .type = 9 | TASK_BUSY, .p = 1
	};
	/* stc; mov eax, 0xff8; mov ds, eax; in the task: hlt */
	GUEST_CODE_BYTES(g, 0xf9, 0xb8, 0xf8, 0x0f, 0, 0, 0x8e, 0xd8);
	guest_write(g, GUEST_CODE + 0x100, 1, 0xf4);
	guest_changed(g);
}

/* Every page it needs is missing from the nested tables, the stack's last. */
static void a_task_switch_begins_again_for_each_missing_page(void **state)
{
	uint32_t paths = os_paths_off;
	struct guest g;

	os_paths_off |= 1u << OS_PATH_LEAVES;
	start_task(&g, TASK_STACK);
	guest_run_to(&g, CPU_EXIT_HLT);
	os_paths_off = paths;
	assert_int_equal(g.s->rip, GUEST_CODE + 0x101);
	assert_int_equal(g.s->gpr[CPU_RAX], 0x1234);
	assert_int_equal(g.s->gpr[CPU_RSP], TASK_STACK - 4);
	assert_int_equal(guest_read(&g, TASK_STACK - 4, 4), 0xff8);
	assert_int_equal(guest_read(&g, TSS_NEW, 2), 0x30);
	assert_int_equal(guest_read(&g, TSS_OLD + 32, 4), GUEST_CODE + 6);
	assert_int_equal(guest_read(&g, TSS_OLD + 40, 4), 0xff8);
	assert_int_equal(task_type(&g, 0x30), 9 | TASK_BUSY);
	assert_int_equal(task_type(&g, 0x38), 9 | TASK_BUSY);
	guest_unmake(&g);
}

/* The new stack is a device's: an exit, before which nothing has happened. */
static void a_task_switch_that_cannot_complete_changes_nothing(void **state)
{
	uint8_t before[0x4000];
	struct guest g;

	start_task(&g, 2 * GUEST_RAM);
	memcpy(before, g.ram + TSS_OLD, sizeof(before));
	guest_run_to(&g, CPU_EXIT_DELIVERY);
	assert_int_equal(g.exit.delivery.gpa, 2 * GUEST_RAM - 4);
	assert_int_equal(g.s->rip, GUEST_CODE + 6);
	assert_int_equal(g.s->gpr[CPU_RAX], 0xff8);
	assert_int_equal(g.s->gpr[CPU_RSP], GUEST_STACK);
	assert_int_equal(g.s->rflags & 0x4001, 1);
	assert_int_equal(g.s->cr0 & 8, 0);
	assert_int_equal(g.s->tr.sel, 0x30);
	assert_int_equal(g.s->seg[CPU_SS].sel, 0x10);
	assert_int_equal(task_type(&g, 0x38), 9);
	assert_memory_equal(before, g.ram + TSS_OLD, sizeof(before));
	guest_unmake(&g);
}

/* A descriptor of the new task lies in a device: its answer is taken when the switch is made again. */
static void a_task_switch_waits_for_a_device(void **state)
{
	const uint64_t data = 0x00cf93000000ffff;
	struct guest g;

	start_task(&g, TASK_STACK);
	guest_write(&g, GUEST_GDT + 0x40, 8,
		    0xf | (uint64_t)(2 * GUEST_RAM) >> 24 << 56 | 0x82ull << 40);
	g.s->gdt.limit = 0x47;
	guest_changed(&g);
	guest_write(&g, TSS_NEW + 96, 2, 0x40);
	guest_write(&g, TSS_NEW + 84, 2, 0xc); /* DS */
	/* jmp far 0x38:0 */
	GUEST_CODE_BYTES(&g, 0xf9, 0xea, 0, 0, 0, 0, 0x38, 0);
	guest_run_to(&g, CPU_EXIT_MMIO);
	assert_int_equal(g.exit.mmio.gpa, 2 * GUEST_RAM + 8);
	assert_int_equal(g.s->rip, GUEST_CODE + 1);
	assert_int_equal(g.s->tr.sel, 0x30);
	assert_int_equal(task_type(&g, 0x30), 9 | TASK_BUSY);
	assert_int_equal(task_type(&g, 0x38), 9);
	guest_complete(&g, &data);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->seg[CPU_DS].sel, 0xc);
	assert_int_equal(g.s->seg[CPU_DS].unusable, 0);
	assert_int_equal(g.s->tr.sel, 0x38);
	assert_int_equal(task_type(&g, 0x30), 9);
	guest_unmake(&g);
}

/* An interrupt gate to the HLT. */
static uint64_t handler_gate(void)
{
	const uint64_t offset = GUEST_CODE + 0x100;

	return (offset & 0xffff) | 0x18ull << 16 | 0x8e00ull << 32 | offset >> 16 << 48;
}

/* Returns from the task by IRET; what it goes back to is the task 0x38, whose descriptor says type. */
static void start_return(struct guest *g, unsigned int type)
{
	start_task(g, TASK_STACK);
	guest_write(g, GUEST_GDT + 0x38, 8, tss_descriptor(TSS_NEW, type));
	guest_write(g, TSS_OLD, 2, 0x38);
	guest_write(g, TASK_IDT + 8 * 10, 8, handler_gate());
	g->s->rflags |= 1 << 14;
	g->s->nmi_masked = true;
	GUEST_CODE_BYTES(g, 0xcf); /* iret */
	guest_changed(g);
}

static void a_return_to_a_task_ends_an_nmi(void **state)
{
	struct guest g;

	start_return(&g, 9 | TASK_BUSY);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->tr.sel, 0x38);
	assert_false(g.s->nmi_masked);
	guest_unmake(&g);
}

/* The task is not busy: #TS, in the old task, and the NMI is still being handled. */
static void a_return_that_faults_in_the_old_task_ends_no_nmi(void **state)
{
	struct guest g;

	start_return(&g, 9);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->tr.sel, 0x30);
	assert_int_equal(g.s->rip, GUEST_CODE + 0x101);
	assert_true(g.s->nmi_masked);
	guest_unmake(&g);
}

/* The old task's state lies in two pages, of which one cannot be written: the page fault is the old task's, and comes
 * before the first store. */
static void a_task_switch_faults_before_it_stores(void **state)
{
	const uint32_t tables = 0x50000, old = TSS_OLD + 0x1000 - 48;
	uint8_t before[0x4000];
	struct guest g;

	start_task(&g, TASK_STACK);
	guest_write(&g, GUEST_GDT + 0x30, 8, tss_descriptor(old, 9 | TASK_BUSY));
	guest_write(&g, TASK_IDT + 8 * 14, 8, handler_gate());
	g.s->idt.limit = 15 * 8 - 1;
	g.s->tr.base = old;
	guest_write(&g, tables, 4, (tables + 0x1000) | 3);
	for (unsigned int n = 0; n < 1024; n++)
		guest_write(&g, tables + 0x1000 + 4 * n, 4, n << 12 | 3);
	guest_write(&g, tables + 0x1000 + 4 * (old / 4096 + 1), 4, (old & ~0xfffu) + 0x1000 + 1);
	guest_write(&g, TSS_NEW + 28, 4, tables);
	g.s->cr3 = tables;
	g.s->cr0 |= 1u << 31 | 1u << 16;
	/* jmp far 0x38:0 */
	GUEST_CODE_BYTES(&g, 0xf9, 0xea, 0, 0, 0, 0, 0x38, 0);
	guest_changed(&g);
	memcpy(before, g.ram + TSS_OLD, sizeof(before));
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, GUEST_CODE + 0x101);
	assert_int_equal(g.s->cr2, (old & ~0xfffu) + 0x1000);
	assert_int_equal(guest_read(&g, GUEST_STACK - 12, 4), GUEST_CODE + 1);
	assert_int_equal(g.s->tr.sel, 0x30);
	assert_int_equal(task_type(&g, 0x30), 9 | TASK_BUSY);
	assert_memory_equal(before, g.ram + TSS_OLD, sizeof(before));
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_switch_begins_again_for_each_missing_page),
		cmocka_unit_test(a_task_switch_that_cannot_complete_changes_nothing),
		cmocka_unit_test(a_task_switch_waits_for_a_device),
		cmocka_unit_test(a_task_switch_faults_before_it_stores),
		cmocka_unit_test(a_return_to_a_task_ends_an_nmi),
		cmocka_unit_test(a_return_that_faults_in_the_old_task_ends_no_nmi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
