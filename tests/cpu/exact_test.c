/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Whatever stops an instruction leaves the state as before it: each of these crosses from a page that is
 * there (A) into one that is not (B), by the guest's tables, by the host having taken the memory away, or
 * lies in B whole. Afterwards B is made and the instruction completes.
 */
#include "harness.h"

#include <sys/mman.h>

#define PAGE_A 0x200000u
#define PAGE_B 0x201000u
#define FILL 0x5a
#define IST_STACK 0x70000u
#define TSS 0xc000u

struct form {
	const char *name;
	uint8_t code[12];
	uint8_t len;
	int16_t at;	/* of RSI, RDI and where told RSP, from PAGE_B */
	bool stack;	/* RSP too */
	uint32_t error; /* of the page fault: 2 written, 0 read */
	uint64_t fault; /* address, from PAGE_B */
};

static const struct form forms[] = {
	{ "mov [rsi], rax", { 0x48, 0x89, 0x06 }, 3, -4, false, 2, 0 },
	{ "mov rax, [rsi]", { 0x48, 0x8b, 0x06 }, 3, -4, false, 0, 0 },
	{ "mov [rsi], ax", { 0x66, 0x89, 0x06 }, 3, -1, false, 2, 0 },
	{ "add [rsi], rax", { 0x48, 0x01, 0x06 }, 3, -4, false, 2, 0 },
	{ "add [rsi], al", { 0x00, 0x06 }, 2, 0, false, 2, 0 },
	{ "cmp [rsi], rax", { 0x48, 0x39, 0x06 }, 3, -4, false, 0, 0 },
	{ "not dword [rsi]", { 0xf7, 0x16 }, 2, -2, false, 2, 0 },
	{ "shl dword [rsi], 3", { 0xc1, 0x26, 3 }, 3, -2, false, 2, 0 },
	{ "shl dword [rsi], 0", { 0xc1, 0x26, 0 }, 3, -2, false, 2, 0 },
	{ "sets [rsi]", { 0x0f, 0x98, 0x06 }, 3, 0, false, 2, 0 },
	{ "lock add [rsi], rax", { 0xf0, 0x48, 0x01, 0x06 }, 4, -4, false, 2, 0 },
	{ "lock inc dword [rsi]", { 0xf0, 0xff, 0x06 }, 3, -1, false, 2, 0 },
	{ "xchg [rsi], rax", { 0x48, 0x87, 0x06 }, 3, -4, false, 2, 0 },
	{ "lock xadd [rsi], rax", { 0xf0, 0x48, 0x0f, 0xc1, 0x06 }, 5, -4, false, 2, 0 },
	{ "cmpxchg [rsi], rcx", { 0x48, 0x0f, 0xb1, 0x0e }, 4, -4, false, 2, 0 },
	{ "cmpxchg8b [rsi]", { 0x0f, 0xc7, 0x0e }, 3, -4, false, 2, 0 },
	{ "lock cmpxchg16b [rsi]", { 0xf0, 0x48, 0x0f, 0xc7, 0x0e }, 5, 0, false, 2, 0 },
	{ "bts [rsi], eax", { 0x0f, 0xab, 0x06 }, 3, -2, false, 2, 0 },
	{ "movups [rsi], xmm0", { 0x0f, 0x11, 0x06 }, 3, -8, false, 2, 0 },
	{ "movups xmm0, [rsi]", { 0x0f, 0x10, 0x06 }, 3, -8, false, 0, 0 },
	{ "movbe [rsi], rax", { 0x48, 0x0f, 0x38, 0xf1, 0x06 }, 5, -4, false, 2, 0 },
	{ "movsq to B", { 0x48, 0xa5 }, 2, -4, false, 0, 0 },
	{ "stosq", { 0x48, 0xab }, 2, -4, false, 2, 0 },
	{ "lodsq", { 0x48, 0xad }, 2, -4, false, 0, 0 },
	{ "scasq", { 0x48, 0xaf }, 2, -4, false, 0, 0 },
	{ "imul rcx, [rsi]", { 0x48, 0x0f, 0xaf, 0x0e }, 4, -4, false, 0, 0 },
	{ "cmovs rcx, [rsi]", { 0x48, 0x0f, 0x48, 0x0e }, 4, -4, false, 0, 0 },
	{ "pop [rsi]", { 0x8f, 0x06 }, 2, -4, false, 2, 0 },
	{ "push [rsi]", { 0xff, 0x36 }, 2, -4, false, 0, 0 },
	{ "push rax", { 0x50 }, 1, 4, true, 2, 0 },
	{ "push imm", { 0x6a, 1 }, 2, 4, true, 2, 0 },
	{ "call", { 0xe8, 0, 0, 0, 0 }, 5, 4, true, 2, 0 },
	{ "call [rip]", { 0xff, 0x15, 0, 0, 0, 0 }, 6, 4, true, 2, 0 },
	{ "pushf", { 0x9c }, 1, 4, true, 2, 0 },
	{ "enter 8, 0", { 0xc8, 8, 0, 0 }, 4, 4, true, 2, 0 },
	{ "pop rax", { 0x58 }, 1, -4, true, 0, 0 },
	{ "ret", { 0xc3 }, 1, -4, true, 0, 0 },
	{ "popf", { 0x9d }, 1, -4, true, 0, 0 },
	{ "iretq", { 0x48, 0xcf }, 2, -4, true, 0, 0 },
	{ "leave", { 0xc9 }, 1, -4, true, 0, 0 },
	{ "lgdt [rsi]", { 0x0f, 0x01, 0x16 }, 3, -4, false, 0, 0 },
	{ "sgdt [rsi]", { 0x0f, 0x01, 0x06 }, 3, -4, false, 2, 0 },
};

static void prepare(struct guest *g, const struct form *f)
{
	struct cpu_state *s;
	uint64_t at = PAGE_B + (int64_t)f->at;

	guest_make(g, GUEST_LONG);
	s = g->s;
	guest_handlers(g);
	g->ram[GUEST_IDT + 14 * 16 + 4] = 1; /* its own stack */
	guest_write(g, TSS + 36, 8, IST_STACK);
	s->tr.base = TSS;
	s->tr.limit = 103;
	memset(g->ram + PAGE_A, FILL, 0x2000);
	for (int n = 0; n < 16; n++)
		s->gpr[n] = 0x1111111111111111ull * n + 1;
	s->gpr[CPU_RSI] = s->gpr[CPU_RDI] = s->gpr[CPU_RBP] = at;
	s->gpr[CPU_RSP] = f->stack ? at : GUEST_STACK;
	s->gpr[CPU_RAX] = 0xf;
	s->rflags = 0x2 | 0x80;
	guest_code(g, f->code, f->len);
	guest_put(g, GUEST_CODE + f->len, "\xf4", 1);
	guest_changed(g);
}

static void memory_is_untouched(const struct guest *g, const struct form *f)
{
	for (unsigned int n = 0; n < 0x2000; n++)
		if (g->ram[PAGE_A + n] != FILL)
			fail_msg("%s: byte %d is %x", f->name, (int)(n - 0x1000),
				 g->ram[PAGE_A + n]);
}

static void state_is(const struct guest *g, const struct cpu_state *before)
{
	assert_memory_equal(g->s->gpr, before->gpr, sizeof(before->gpr));
	assert_memory_equal(g->s->xmm, before->xmm, sizeof(before->xmm));
	assert_int_equal(g->s->rip, before->rip);
	assert_int_equal(g->s->rflags, before->rflags);
	assert_memory_equal(&g->s->gdt, &before->gdt, sizeof(before->gdt));
	assert_memory_equal(g->s->seg, before->seg, sizeof(before->seg));
}

static void a_page_fault_changes_nothing(void **state)
{
	for (size_t n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		const struct form *f = &forms[n];
		struct cpu_state before;
		uint64_t frame[6];
		struct guest g;

		prepare(&g, f);
		guest_map(&g, PAGE_B, 0, 0);
		before = *g.s;
		guest_run_to(&g, CPU_EXIT_HLT);
		if (g.s->gpr[CPU_RAX] != 14)
			fail_msg("%s: vector %d", f->name, (int)g.s->gpr[CPU_RAX]);
		assert_int_equal(g.s->gpr[CPU_RSP], IST_STACK - 48);
		memcpy(frame, g.ram + IST_STACK - 48, sizeof(frame));
		if (frame[0] != f->error || g.s->cr2 != PAGE_B + f->fault)
			fail_msg("%s: error %lx cr2 %lx", f->name, frame[0], g.s->cr2);
		assert_int_equal(frame[1], GUEST_CODE);
		assert_int_equal(frame[3] & 0xffff, before.rflags);
		assert_int_equal(frame[4], before.gpr[CPU_RSP]);
		for (int r = 1; r < 16; r++)
			if (r != CPU_RSP)
				assert_int_equal(g.s->gpr[r], before.gpr[r]);
		assert_memory_equal(g.s->xmm, before.xmm, sizeof(before.xmm));
		assert_memory_equal(&g.s->gdt, &before.gdt, sizeof(before.gdt));
		memory_is_untouched(&g, f);
		guest_unmake(&g);
	}
}

/* The host's own page tables say no: the access fails, and can be repeated when the memory is back. */
static void lost_host_memory_changes_nothing(void **state)
{
	for (size_t n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		const struct form *f = &forms[n];
		struct cpu_state before;
		struct guest g;

		prepare(&g, f);
		/* B is mapped in all tables before it goes, so that the access itself meets it. */
		GUEST_CODE_BYTES(&g, 0xfe, 0x04, 0x25, 0, 0x10, 0x20, 0, 0xf4);
		guest_run_to(&g, CPU_EXIT_HLT);
		g.ram[PAGE_B] = FILL;
		g.s->rip = GUEST_CODE;
		g.s->rflags = 0x82;
		guest_code(&g, f->code, f->len);
		guest_put(&g, GUEST_CODE + f->len, "\xf4", 1);
		guest_changed(&g);
		before = *g.s;
		before.halted = false;
		assert_int_equal(mprotect(g.ram + PAGE_B, 4096, PROT_NONE), 0);
		guest_run_to(&g, CPU_EXIT_ERROR);
		assert_int_equal(g.exit.fault.error, -14);
		assert_int_equal(mprotect(g.ram + PAGE_B, 4096, PROT_READ | PROT_WRITE), 0);
		state_is(&g, &before);
		memory_is_untouched(&g, f);
		guest_unmake(&g);
	}
}

/* REP MOVSB from A over B into nothing, REP STOSQ likewise: the count and the pointers are exact. */
static void rep_stops_where_the_page_ends(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	guest_map(&g, 0x203000, 0, 0);
	GUEST_CODE_BYTES(&g, 0xf3, 0xa4, 0xf4);
	g.s->gpr[CPU_RSI] = 0x300000;
	g.s->gpr[CPU_RDI] = 0x201ff0;
	g.s->gpr[CPU_RCX] = 0x2000;
	memset(g.ram + 0x300000, 0x77, 0x2000);
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(g.s->cr2, 0x203000);
	assert_int_equal(g.s->gpr[CPU_RDI], 0x203000);
	assert_int_equal(g.s->gpr[CPU_RSI], 0x301010);
	assert_int_equal(g.s->gpr[CPU_RCX], 0x2000 - 0x1010);
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP] + 8, 8), GUEST_CODE);
	for (unsigned int n = 0; n < 0x1010; n++)
		assert_int_equal(g.ram[0x201ff0 + n], 0x77);
	guest_unmake(&g);
}

/* An element that crosses into the missing page is not stored at all. */
static void rep_does_not_tear_an_element(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	guest_map(&g, PAGE_B, 0, 0);
	GUEST_CODE_BYTES(&g, 0xf3, 0x48, 0xab, 0xf4);
	g.s->gpr[CPU_RAX] = 0x1122334455667788;
	g.s->gpr[CPU_RDI] = PAGE_B - 20;
	g.s->gpr[CPU_RCX] = 5;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(g.s->gpr[CPU_RDI], PAGE_B - 4);
	assert_int_equal(g.s->gpr[CPU_RCX], 3);
	assert_int_equal(guest_read(&g, PAGE_B - 4, 4), 0);
	assert_int_equal(guest_read(&g, PAGE_B - 12, 8), 0x1122334455667788);
	guest_unmake(&g);
}

/* ENTER 16, 3: the frame pointers of two levels are copied; when they cannot be read nothing is stored. */
static void enter_copies_frames_or_nothing(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	GUEST_CODE_BYTES(&g, 0xc8, 16, 0, 3, 0xf4);
	g.s->gpr[CPU_RSP] = GUEST_STACK;
	g.s->gpr[CPU_RBP] = GUEST_DATA;
	guest_write(&g, GUEST_DATA - 8, 8, 0x1111);
	guest_write(&g, GUEST_DATA - 16, 8, 0x2222);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBP], GUEST_STACK - 8);
	assert_int_equal(g.s->gpr[CPU_RSP], GUEST_STACK - 32 - 16);
	assert_int_equal(guest_read(&g, GUEST_STACK - 8, 8), GUEST_DATA);
	assert_int_equal(guest_read(&g, GUEST_STACK - 16, 8), 0x1111);
	assert_int_equal(guest_read(&g, GUEST_STACK - 24, 8), 0x2222);
	assert_int_equal(guest_read(&g, GUEST_STACK - 32, 8), GUEST_STACK - 8);
	guest_map(&g, PAGE_B, 0, 0);
	memset(g.ram + 0x60000, FILL, 0x1000);
	g.ram[GUEST_IDT + 14 * 16 + 4] = 1;
	guest_write(&g, TSS + 36, 8, IST_STACK);
	g.s->tr.base = TSS;
	g.s->tr.limit = 103;
	g.s->gpr[CPU_RSP] = 0x60800;
	g.s->gpr[CPU_RBP] = PAGE_B + 16;
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(g.s->gpr[CPU_RBP], PAGE_B + 16);
	for (int n = 0; n < 0x1000; n++)
		assert_int_equal(g.ram[0x60000 + n], FILL);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_fault_changes_nothing),
		cmocka_unit_test(lost_host_memory_changes_nothing),
		cmocka_unit_test(rep_stops_where_the_page_ends),
		cmocka_unit_test(rep_does_not_tear_an_element),
		cmocka_unit_test(enter_copies_frames_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
