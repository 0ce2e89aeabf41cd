/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Code that changes: by itself, through another address, by the host, by remapping. Never stale. */
#include "harness.h"

static void an_instruction_changes_the_next(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	/* mov byte [rip+1], 2; mov al, 1; hlt */
	GUEST_CODE_BYTES(&g, 0xc6, 0x05, 1, 0, 0, 0, 2, 0xb0, 1, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 2);
	guest_unmake(&g);
}

/* The same by each way to store: RMW, LOCK, push, string, 16 bytes. */
static void every_store_is_seen(void **state)
{
	/* each writes 2 over the 1 of MOV AL, 1 at GUEST_CODE + 0x41 */
	static const struct {
		uint8_t len, code[16];
	} ways[] = {
		{ 3, { 0x80, 0x06, 1 } },	   /* add byte [rsi], 1 */
		{ 4, { 0xf0, 0x80, 0x06, 1 } },	   /* lock */
		{ 2, { 0x86, 0x16 } },		   /* xchg [rsi], dl */
		{ 2, { 0x88, 0x16 } },		   /* mov [rsi], dl */
		{ 4, { 0xf0, 0x0f, 0xc0, 0x1e } }, /* lock xadd [rsi], bl */
		{ 1, { 0xaa } },		   /* stosb */
		{ 2, { 0xf3, 0xaa } },		   /* rep stosb */
		{ 2, { 0xf3, 0xa4 } },		   /* rep movsb */
		{ 4, { 0x90, 0x0f, 0x11, 0x07 } }, /* movups [rdi], xmm0 */
		{ 4, { 0x0f, 0xba, 0x3e, 0 } },	   /* btc dword [rsi], 0 -> 0 */
	};

	for (size_t n = 0; n < sizeof(ways) / sizeof(ways[0]); n++) {
		unsigned int at = 0x40 - ways[n].len;
		uint8_t expected = n == 9 ? 0 : 2;
		struct guest g;

		guest_make(&g, GUEST_LONG);
		memset(g.ram + GUEST_CODE, 0x90, 0x40);
		guest_put(&g, GUEST_CODE + at, ways[n].code, ways[n].len);
		guest_put(&g, GUEST_CODE + 0x40, "\xb0\x01\xf4", 3);
		g.s->rip = GUEST_CODE + at - 4;
		g.s->gpr[CPU_RSI] = g.s->gpr[CPU_RDI] = GUEST_CODE + 0x41;
		g.s->gpr[CPU_RAX] = g.s->gpr[CPU_RDX] = 2;
		g.s->gpr[CPU_RBX] = g.s->gpr[CPU_RCX] = 1;
		if (n == 7) {
			g.s->gpr[CPU_RSI] = GUEST_DATA;
			g.ram[GUEST_DATA] = 2;
		}
		if (n == 8)
			memcpy(g.s->xmm, "\x02\xf4", 2);
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		if ((g.s->gpr[CPU_RAX] & 0xff) != expected)
			fail_msg("way %d: %lx", (int)n, g.s->gpr[CPU_RAX]);
		guest_unmake(&g);
	}
}

/* An instruction across two pages, rewritten in its second page between two runs of it. */
static void across_pages(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	/* at 0x10ffe: mov eax, 1 | crosses; hlt */
	guest_put(&g, 0x10ffe, "\xb8\x01\x00\x00\x00\xf4", 6);
	g.s->rip = 0x10ffe;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	g.ram[0x11000] = 7;
	g.s->rip = 0x10ffe;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 0x701);
	guest_unmake(&g);
}

/* The instruction that crosses pages overwrites its own second half while it runs: it has been fetched. */
static void a_crossing_store_into_the_second_page(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	/* at 0x10ffc: mov dword [0x11008], 0x9090f402; mov al, 1 */
	guest_put(&g, 0x10ffc, "\xc7\x04\x25\x08\x10\x01\x00\x02\xf4\x90\x90\xb0\x01\xf4", 14);
	guest_put(&g, 0x11007, "\xb0\x01\xf4", 3);
	g.s->rip = 0x10ffc;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX] & 0xff, 2);
	guest_unmake(&g);
}

/* The same page under another address. */
static void through_an_alias(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_map(&g, 0x400000, GUEST_CODE, 7);
	/* mov byte [0x400009], 2; mov al, 1; hlt */
	GUEST_CODE_BYTES(&g, 0xc6, 0x04, 0x25, 9, 0, 0x40, 0, 2, 0xb0, 1, 0xf4);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 2);
	guest_unmake(&g);
}

static void rewritten_by_the_host(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	GUEST_CODE_BYTES(&g, 0xb0, 1, 0xf4);
	for (int n = 0; n < 200; n++) {
		g.ram[GUEST_CODE + 1] = n;
		g.s->rip = GUEST_CODE;
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RAX], n);
	}
	guest_unmake(&g);
}

/* A loop in which the code page is remapped between two with other contents, INVLPG in between. */
static void remapped_by_the_guest(void **state)
{
	struct guest g;
	uint64_t *entry;

	guest_make(&g, GUEST_LONG);
	entry = guest_map(&g, 0x400000, 0x20000, 7);
	guest_map(&g, 0x600000, (uint64_t)((uint8_t *)entry - g.ram) & ~0xfffull, 7);
	guest_put(&g, 0x20000, "\xb3\x01\xc3", 3); /* mov bl, 1; ret */
	guest_put(&g, 0x21000, "\xb3\x02\xc3", 3); /* mov bl, 2; ret */
	/* call 0x400000; mov cl, bl; xor dword [rdx], 0x1000; invlpg [0x400000]; call; hlt */
	GUEST_CODE_BYTES(&g, 0xe8, 0xfb, 0xff, 0x3e, 0, 0x88, 0xd9, 0x81, 0x32, 0, 0x10, 0, 0, 0x0f,
			 0x01, 0x3c, 0x25, 0, 0, 0x40, 0, 0xe8, 0xe6, 0xff, 0x3e, 0, 0xf4);
	g.s->gpr[CPU_RDX] = 0x600000;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RCX] & 0xff, 1);
	assert_int_equal(g.s->gpr[CPU_RBX] & 0xff, 2);
	guest_unmake(&g);
}

/* The slot under the code goes away and comes back with other memory. */
static void remapped_by_the_owner(void **state)
{
	struct memslot slot = { .id = 1, .gfn = 0x2000, .nr_pages = 1 };
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_put(&g, 0x20000, "\xb3\x01\xf4", 3);
	guest_put(&g, 0x21000, "\xb3\x02\xf4", 3);
	for (int n = 1; n <= 2; n++) {
		slot.hva = (uint64_t)(uintptr_t)(g.ram + 0x1f000 + 0x1000 * n);
		assert_int_equal(memslot_create(g.mmu, &slot, false), 0);
		g.s->rip = 0x2000000;
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RBX], n);
		memslot_delete(g.mmu, memslot_find(g.mmu, 0, 1));
	}
	g.s->rip = 0x2000000;
	guest_run_to(&g, CPU_EXIT_EMULATION);
	guest_unmake(&g);
}

/* The bytes are no instruction; one of them that follows changes and they become one. */
static void an_undefined_instruction_becomes_one(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	GUEST_CODE_BYTES(&g, 0xf0, 0x01, 0xc0, 0xf4); /* lock add eax, eax */
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 6);
	GUEST_CODE_BYTES(&g, 0xf0, 0x01, 0x06, 0xf4); /* lock add [rsi], eax */
	g.s->gpr[CPU_RSI] = GUEST_DATA;
	g.s->rip = GUEST_CODE;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->rip, GUEST_CODE + 4);
	assert_int_equal(guest_read(&g, GUEST_DATA, 4), 6);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_instruction_changes_the_next),
		cmocka_unit_test(every_store_is_seen),
		cmocka_unit_test(across_pages),
		cmocka_unit_test(a_crossing_store_into_the_second_page),
		cmocka_unit_test(through_an_alias),
		cmocka_unit_test(rewritten_by_the_host),
		cmocka_unit_test(remapped_by_the_guest),
		cmocka_unit_test(remapped_by_the_owner),
		cmocka_unit_test(an_undefined_instruction_becomes_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
