/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What must not be seen of blocks that lead to each other and of handlers for two instructions. */
#include "harness.h"

#include <pthread.h>

#include "bench/guest_loops.h"
#include "cpu/soft/soft.h"
#include "os/os.h"

#define TF 0x100u
#define ZF 0x40u
#define CF 0x1u
#define ABSENT 0x600000u

static void start(struct guest *g)
{
	guest_make(g, GUEST_LONG);
	guest_handlers(g);
	guest_map(g, ABSENT, 0, 0);
}

static uint64_t frame(const struct guest *g, unsigned int nth)
{
	return guest_read(g, g->s->gpr[CPU_RSP] + 8 * nth, 8);
}

/* ---- code that changes ------------------------------------------------------------------------- */

/* A loop of two blocks; the first writes the second's immediate, each time another. */
static void a_block_rewrites_the_next(void **state)
{
	struct guest g;

	start(&g);
	/* 1: mov [rip + 3], cl; jmp 2f; 2: mov bl, 0; add edx, ebx; dec ecx; jnz 1b; hlt */
	GUEST_CODE_BYTES(&g, 0x88, 0x0d, 3, 0, 0, 0, 0xeb, 0, 0xb3, 0, 0x01, 0xda, 0xff, 0xc9, 0x75,
			 0xf0, 0xf4);
	g.s->gpr[CPU_RCX] = 200;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RDX], 200 * 201 / 2);
	guest_unmake(&g);
}

/* The same when the second lies on another page. */
static void a_block_rewrites_one_on_another_page(void **state)
{
	struct guest g;

	start(&g);
	/* 1: mov [0x14001], cl; jmp 0x14000 */
	GUEST_CODE_BYTES(&g, 0x88, 0x0c, 0x25, 0x01, 0x40, 0x01, 0, 0xe9, 0xf4, 0x3f, 0, 0);
	/* mov bl, 0; add edx, ebx; dec ecx; jnz 0x10000; hlt */
	guest_put(&g, 0x14000, "\xb3\x00\x01\xda\xff\xc9\x0f\x85\xf4\xbf\xff\xff\xf4", 13);
	g.s->gpr[CPU_RCX] = 200;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RDX], 200 * 201 / 2);
	guest_unmake(&g);
}

/* Code at 0x400000 is memory at 0x20000; RDX leads to the page table entry that says so. */
static void start_with_entry(struct guest *g)
{
	uint64_t *entry;

	start(g);
	entry = guest_map(g, 0x400000, 0x20000, 7);
	guest_map(g, 0x800000, (uint64_t)((uint8_t *)entry - g->ram) & ~0xfffull, 7);
	g->s->gpr[CPU_RDX] = 0x800000;
}

/* A loop calls a function whose page it maps elsewhere each time, with INVLPG. */
static void the_next_block_is_mapped_elsewhere(void **state)
{
	struct guest g;

	start_with_entry(&g);
	guest_put(&g, 0x20000, "\x83\xc3\x01\xc3", 4); /* add ebx, 1; ret */
	guest_put(&g, 0x21000, "\x83\xc3\x10\xc3", 4); /* add ebx, 16; ret */
	/* 1: call 0x400000; xor dword [rdx], 0x1000; invlpg [0x400000]; dec ecx; jnz 1b; hlt */
	GUEST_CODE_BYTES(&g, 0xe8, 0xfb, 0xff, 0x3e, 0, 0x81, 0x32, 0, 0x10, 0, 0, 0x0f, 0x01, 0x3c,
			 0x25, 0, 0, 0x40, 0, 0xff, 0xc9, 0x75, 0xe9, 0xf4);
	g.s->gpr[CPU_RCX] = 100;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBX], 50 * 1 + 50 * 16);
	guest_unmake(&g);
}

/* Execution of the next block's page is forbidden while the loop runs. */
static void the_next_block_loses_execution(void **state)
{
	struct guest g;

	start_with_entry(&g);
	guest_put(&g, 0x20000, "\xff\xc3\xc3", 3); /* inc ebx; ret */
	/* 1: call 0x400000; cmp ebx, 50; jne 1b; bts qword [rdx], 63; invlpg [0x400000]; jmp 1b */
	GUEST_CODE_BYTES(&g, 0xe8, 0xfb, 0xff, 0x3e, 0, 0x83, 0xfb, 50, 0x75, 0xf6, 0x48, 0x0f,
			 0xba, 0x2a, 63, 0x0f, 0x01, 0x3c, 0x25, 0, 0, 0x40, 0, 0xeb, 0xe7);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(g.s->cr2, 0x400000);
	assert_int_equal(g.s->gpr[CPU_RBX], 50);
	guest_unmake(&g);
}

/* A loop in a page, which in the end forbids its execution: the block behind INVLPG does not run again. */
static void running_code_loses_execution(void **state)
{
	struct guest g;

	start_with_entry(&g);
	/* 1: inc ebx; or [rdx], rbp; invlpg [0x400000]; inc edi; cmp ebx, 5; cmove rbp, r8; jmp 1b */
	guest_put(&g, 0x20000, "\xff\xc3\x48\x09\x2a\x0f\x01\x3c\x25\0\0\x40\0", 13);
	guest_put(&g, 0x2000d, "\xff\xc7\x83\xfb\x05\x49\x0f\x44\xe8\xeb\xe8", 11);
	g.s->gpr[8] = 1ull << 63;
	g.s->rip = 0x400000;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(g.s->cr2, 0x40000d);
	assert_int_equal(g.s->gpr[CPU_RBX], 6);
	assert_int_equal(g.s->gpr[CPU_RDI], 5);
	guest_unmake(&g);
}

/* The host changes code between two pieces of a run that goes from block to block all the time. */
static void the_host_changes_code_of_a_loop(void **state)
{
	struct guest g;

	start(&g);
	/* 1: mov bl, 0; jmp 2f; 2: jmp 1b */
	GUEST_CODE_BYTES(&g, 0xb3, 0, 0xeb, 0, 0xeb, 0xfa);
	for (unsigned int n = 0; n < 256; n++) {
		g.ram[GUEST_CODE + 1] = n;
		guest_run(&g, 3 + n % 7);
		assert_int_equal(g.s->gpr[CPU_RBX], n);
	}
	guest_unmake(&g);
}

/* REP MOVSB and STOSB whose first iteration takes their prefix away: the rest is done once. */
static void a_repetition_that_overwrites_itself_is_fetched_again(void **state)
{
	static const uint8_t string[] = { 0xa4, 0xaa };
	struct guest g;

	for (unsigned int n = 0; n < 4; n++) {
		start(&g);
		GUEST_CODE_BYTES(&g, 0xf3, string[n % 2], 0xf4);
		guest_put(&g, GUEST_DATA, "\x90\x90", 2);
		g.s->gpr[CPU_RAX] = 0x90;
		g.s->gpr[CPU_RCX] = 100;
		g.s->gpr[CPU_RSI] = GUEST_DATA;
		g.s->gpr[CPU_RDI] = GUEST_CODE;
		guest_changed(&g);
		while (n > 1 && guest_run(&g, 1) == CPU_EXIT_KICK)
			;
		if (n <= 1)
			guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.exit.reason, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RCX], 99);
		assert_int_equal(g.s->gpr[CPU_RDI], GUEST_CODE + 2);
		guest_unmake(&g);
	}
}

/* ---- pairs --------------------------------------------------------------------------------------- */

/* The comparison of a pair faults: nothing is done, and the flags are those before. */
static void a_pair_faults_as_its_first_instruction(void **state)
{
	struct guest g;

	start(&g);
	/* stc; mov ecx, 1; cmp dword [rsi], 5; je 1f; 1: hlt */
	GUEST_CODE_BYTES(&g, 0xf9, 0xb9, 1, 0, 0, 0, 0x83, 0x3e, 5, 0x74, 0, 0xf4);
	g.s->gpr[CPU_RSI] = ABSENT;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(frame(&g, 1), GUEST_CODE + 6);
	assert_int_equal(frame(&g, 3) & (CF | ZF), CF);
	guest_unmake(&g);
}

/* The branch of a pair leads out of canonical addresses: #GP at the branch, the comparison is done. */
static void a_pair_faults_as_its_second_instruction(void **state)
{
	struct guest g;

	start(&g);
	/* the last 2 MiB of the lower half are the first of memory */
	guest_write(&g, GUEST_TABLES + 8 * 255, 8, (GUEST_TABLES + 0x1000) | 7);
	guest_write(&g, GUEST_TABLES + 0x1000 + 8 * 511, 8, (GUEST_TABLES + 0x2000) | 7);
	guest_write(&g, GUEST_TABLES + 0x2000 + 8 * 511, 8, 0x87);
	guest_put(&g, 0x1ffff0, "\x31\xc9\x85\xc9\x74\x20\xf4", 7); /* xor; test ecx, ecx; je +32 */
	g.s->rip = 0x7ffffffffff0;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 13);
	assert_int_equal(frame(&g, 1), 0x7ffffffffff4);
	assert_int_equal(frame(&g, 3) & ZF, ZF);
	guest_unmake(&g);
}

static void a_pair_is_stepped_as_two(void **state)
{
	struct guest g;

	start(&g);
	/* cmp eax, eax; je 1f; hlt; 1: hlt, after a run at full speed */
	GUEST_CODE_BYTES(&g, 0x39, 0xc0, 0x74, 1, 0xf4, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, GUEST_CODE + 6);
	g.s->rip = GUEST_CODE;
	g.s->rflags |= TF;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(frame(&g, 0), GUEST_CODE + 2);
	guest_unmake(&g);
}

/* Flags that the next instruction overwrites, but a fault in between shows them. */
static void a_fault_shows_flags_that_were_to_be_overwritten(void **state)
{
	struct guest g;

	start(&g);
	/* sub eax, eax; mov edx, [rsi]; or ecx, 1; hlt */
	GUEST_CODE_BYTES(&g, 0x29, 0xc0, 0x8b, 0x16, 0x83, 0xc9, 1, 0xf4);
	g.s->gpr[CPU_RSI] = ABSENT;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(frame(&g, 1), GUEST_CODE + 2);
	assert_int_equal(frame(&g, 3) & ZF, ZF);
	guest_unmake(&g);
}

/* A carry that an INC in between keeps. */
static void a_kept_carry_is_not_overwritten(void **state)
{
	struct guest g;

	start(&g);
	/* cmp ecx, 1; inc edx; setb bl; hlt */
	GUEST_CODE_BYTES(&g, 0x83, 0xf9, 1, 0xff, 0xc2, 0x0f, 0x92, 0xc3, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBX], 1);
	guest_unmake(&g);
}

/* ---- budgets ------------------------------------------------------------------------------------- */

/* Compiled C in pieces of all sizes takes as many instructions as it has, and computes the same. */
static void budgets_are_exact(void **state)
{
	uint64_t left = GUEST_MIXED_INSNS, size = 1;
	struct guest g;

	start(&g);
	guest_code(&g, guest_mixed, sizeof(guest_mixed));
	g.s->gpr[CPU_RDI] = GUEST_MIXED_ROUNDS;
	for (; left > 1000; left -= size) {
		size = size % 997 + 1;
		assert_int_equal(guest_run(&g, size), CPU_EXIT_KICK);
	}
	while (--left)
		assert_int_equal(guest_run(&g, 1), CPU_EXIT_KICK);
	assert_int_equal(guest_run(&g, 1), CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], GUEST_MIXED_SUM);
	guest_unmake(&g);
}

/* A fault counts for one, and those before it in its block for themselves. */
static void a_budget_counts_what_was_done_before_a_fault(void **state)
{
	struct guest g;

	start(&g);
	/* inc ebx; inc ebx; mov edx, [rsi]: the handler is mov eax, 14; hlt */
	GUEST_CODE_BYTES(&g, 0xff, 0xc3, 0xff, 0xc3, 0x8b, 0x16);
	g.s->gpr[CPU_RSI] = ABSENT;
	assert_int_equal(guest_run(&g, 4), CPU_EXIT_KICK);
	assert_int_equal(g.s->gpr[CPU_RAX], 14);
	assert_int_equal(g.s->rip, GUEST_HANDLERS + 16 * 14 + 5);
	guest_unmake(&g);
}

/* ---- requests ------------------------------------------------------------------------------------- */

/* Between each block and the next requests are looked at. */
static void a_kick_ends_a_loop_before_its_next_block(void **state)
{
	struct guest g;

	start(&g);
	/* 1: inc rbx; jmp 1b */
	GUEST_CODE_BYTES(&g, 0x48, 0xff, 0xc3, 0xeb, 0xfb);
	guest_run(&g, 1000);
	mmu_vcpu_request(g.v, MMU_REQ_KICK);
	guest_run_to(&g, CPU_EXIT_KICK);
	assert_int_equal(g.s->gpr[CPU_RBX], 500);
	guest_unmake(&g);
}

static void *run_it(void *arg)
{
	guest_run(arg, 0);
	return NULL;
}

/* The memory that a loop reads goes away: the loop sees it at once, and nothing else. */
static void a_shootdown_reaches_a_loop(void **state)
{
	struct memslot slot = { .id = 1, .gfn = 0x2000, .nr_pages = 1 };
	pthread_t thread;
	struct guest g;

	start(&g);
	/* 1: mov eax, [rsi]; mov [rdi], eax; inc rbx; jmp 1b */
	GUEST_CODE_BYTES(&g, 0x8b, 0x06, 0x89, 0x07, 0x48, 0xff, 0xc3, 0xeb, 0xf7);
	slot.hva = (uint64_t)(uintptr_t)(g.ram + 0x20000);
	for (int n = 0; n < 50; n++) {
		g.s->rip = GUEST_CODE;
		g.s->gpr[CPU_RSI] = 0x2000000;
		g.s->gpr[CPU_RDI] = GUEST_DATA;
		guest_changed(&g);
		guest_write(&g, 0x20000, 4, 1);
		guest_write(&g, GUEST_DATA, 4, 0);
		assert_int_equal(memslot_create(g.mmu, &slot, false), 0);
		pthread_create(&thread, NULL, run_it, &g);
		while (!os_racy_load((_Atomic uint32_t *)(g.ram + GUEST_DATA)))
			os_relax();
		memslot_delete(g.mmu, memslot_find(g.mmu, 0, 1));
		guest_write(&g, 0x20000, 4, 2);
		pthread_join(thread, NULL);
		assert_int_equal(g.exit.reason, CPU_EXIT_MMIO);
		assert_int_equal(g.s->rip, GUEST_CODE);
		assert_int_equal(guest_read(&g, GUEST_DATA, 4), 1);
	}
	guest_unmake(&g);
}

/* The memory under a loop's own code goes away. */
static void a_shootdown_reaches_running_code(void **state)
{
	struct memslot slot = { .id = 1, .gfn = 0x2000, .nr_pages = 1 };
	pthread_t thread;
	struct guest g;

	start(&g);
	/* 1: inc dword [rdi]; jmp 2f; 2: jmp 1b */
	guest_put(&g, 0x20000, "\xff\x07\xeb\x00\xeb\xfa", 6);
	slot.hva = (uint64_t)(uintptr_t)(g.ram + 0x20000);
	g.s->gpr[CPU_RDI] = GUEST_DATA;
	for (int n = 0; n < 50; n++) {
		uint64_t counted;

		g.s->rip = 0x2000000;
		guest_changed(&g);
		guest_write(&g, GUEST_DATA, 4, 0);
		assert_int_equal(memslot_create(g.mmu, &slot, false), 0);
		pthread_create(&thread, NULL, run_it, &g);
		while (!os_racy_load((_Atomic uint32_t *)(g.ram + GUEST_DATA)))
			os_relax();
		memslot_delete(g.mmu, memslot_find(g.mmu, 0, 1));
		counted = guest_read(&g, GUEST_DATA, 4);
		pthread_join(thread, NULL);
		assert_int_equal(g.exit.reason, CPU_EXIT_EMULATION);
		assert_int_equal(guest_read(&g, GUEST_DATA, 4), counted);
	}
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_rewrites_the_next),
		cmocka_unit_test(a_block_rewrites_one_on_another_page),
		cmocka_unit_test(the_next_block_is_mapped_elsewhere),
		cmocka_unit_test(the_next_block_loses_execution),
		cmocka_unit_test(running_code_loses_execution),
		cmocka_unit_test(the_host_changes_code_of_a_loop),
		cmocka_unit_test(a_repetition_that_overwrites_itself_is_fetched_again),
		cmocka_unit_test(a_pair_faults_as_its_first_instruction),
		cmocka_unit_test(a_pair_faults_as_its_second_instruction),
		cmocka_unit_test(a_pair_is_stepped_as_two),
		cmocka_unit_test(a_fault_shows_flags_that_were_to_be_overwritten),
		cmocka_unit_test(a_kept_carry_is_not_overwritten),
		cmocka_unit_test(budgets_are_exact),
		cmocka_unit_test(a_budget_counts_what_was_done_before_a_fault),
		cmocka_unit_test(a_kick_ends_a_loop_before_its_next_block),
		cmocka_unit_test(a_shootdown_reaches_a_loop),
		cmocka_unit_test(a_shootdown_reaches_running_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
