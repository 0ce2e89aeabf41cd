/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest's page tables: every kind, permissions against a model, accessed and dirty bits, error codes,
 * reserved bits, and when a change of them is seen. */
#include "harness.h"

#define GVA 0x400000u
#define GPA 0x300000u
#define NX (1ull << 63)
#define TSS 0xc000u
#define CR0_WP (1u << 16)
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_LA57 0x1000u
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define AC (1u << 18)

enum { READ, WRITE, EXEC };

static const uint8_t *const accesses[] = { (const uint8_t *)"\x8b\x06\xf4",   /* mov eax, [rsi] */
					   (const uint8_t *)"\x89\x06\xf4",   /* mov [rsi], eax */
					   (const uint8_t *)"\xff\xe6\xf4" }; /* jmp rsi */

/* ---- permissions ------------------------------------------------------------------------------------ */

struct question {
	uint64_t flags; /* of the entry: P W U NX */
	bool wp, smep, smap, ac, user;
	int access;
};

/* The page fault error code, or -1 for none. */
static int model(const struct question *q)
{
	bool present = q->flags & 1, writable = q->flags & 2, user_page = q->flags & 4;
	bool nx = q->flags & NX, denied;
	int error = (q->access == WRITE ? 2 : 0) | (q->user ? 4 : 0) | (q->access == EXEC ? 16 : 0);

	if (!present)
		return error;
	if (q->user)
		denied = !user_page || (q->access == WRITE && !writable) ||
			 (q->access == EXEC && nx);
	else if (q->access == EXEC)
		denied = nx || (user_page && q->smep);
	else
		denied = (q->access == WRITE && !writable && q->wp) ||
			 (user_page && q->smap && !q->ac);
	return denied ? error | 1 : -1;
}

static void be_user(struct guest *g, bool user)
{
	for (int n = 0; n < CPU_NR_SEGS; n++)
		g->s->seg[n].dpl = user ? 3 : 0;
	g->s->seg[CPU_CS].sel = user ? 0xb : 8;
	g->s->seg[CPU_SS].sel = user ? 0x13 : 0x10;
}

/* Everything but the page in question is on user or supervisor pages as the mode needs. */
static void ask(struct guest *g, const struct question *q)
{
	int expected = model(q), error = -1;
	uint64_t *entry = guest_map(g, GVA, GPA, q->flags);
	uint64_t before = *entry;

	/* kernel below 2 MiB without users, code of the test twice */
	g->s->cr0 = (g->s->cr0 & ~(uint64_t)CR0_WP) | (q->wp ? CR0_WP : 0);
	g->s->cr4 = 0x620 | (q->smep ? CR4_SMEP : 0) | (q->smap ? CR4_SMAP : 0);
	be_user(g, q->user);
	g->s->rip = q->user ? 0x600000 : GUEST_CODE;
	guest_put(g, q->user ? 0x600000 : GUEST_CODE, accesses[q->access], 3);
	g->s->gpr[CPU_RSI] = GVA;
	g->s->gpr[CPU_RAX] = 0x1234;
	g->s->gpr[CPU_RSP] = GUEST_STACK;
	g->s->rflags = 2 | (q->ac ? AC : 0);
	g->ram[GPA] = 0xf4;
	guest_changed(g);
	guest_run_to(g, CPU_EXIT_HLT);
	if (g->s->gpr[CPU_RAX] == 14) {
		error = guest_read(g, g->s->gpr[CPU_RSP], 8);
		assert_int_equal(g->s->cr2, GVA);
	}
	/* HLT at CPL 3 is the end there. */
	if (error < 0 && q->user)
		assert_int_equal(g->s->gpr[CPU_RAX], 13);
	if (error != expected)
		fail_msg("flags %lx wp %d smep %d smap %d ac %d user %d access %d: %d, not %d",
			 q->flags, q->wp, q->smep, q->smap, q->ac, q->user, q->access, error,
			 expected);
	assert_int_equal(*entry & ~0x60ull, before & ~0x60ull);
	assert_int_equal(*entry & 0x60, error >= 0 ? 0 : q->access == WRITE ? 0x60 : 0x20);
}

static void permissions_are_the_models(void **state)
{
	static const uint64_t flags[] = { 0, 1, 3, 5, 7, 1 | NX, 3 | NX, 5 | NX, 7 | NX };
	uint64_t *directory;
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	guest_write(&g, TSS + 4, 8, 0x70000);
	g.s->tr.base = TSS;
	g.s->tr.limit = 103;
	directory = (uint64_t *)(g.ram + GUEST_TABLES + 0x2000);
	directory[0] &= ~4ull;
	for (int n = 0; n < 9 * 2 * 2 * 2 * 2 * 2 * 3; n++) {
		int v = n / 9;
		struct question q = { .flags = flags[n % 9],
				      .wp = v & 1,
				      .smep = v & 2,
				      .smap = v & 4,
				      .ac = v & 8,
				      .user = v & 16,
				      .access = v / 32 };

		ask(&g, &q);
	}
	guest_unmake(&g);
}

/* ---- kinds of tables ------------------------------------------------------------------------------------ */

static void start_32(struct guest *g, uint64_t cr4)
{
	guest_make(g, GUEST_PROTECTED);
	/* an interrupt table of 32-bit gates: HLT at 0xa000 + 16 * vector */
	for (uint32_t n = 0; n < 32; n++) {
		guest_write(g, GUEST_HANDLERS + 16 * n, 1, 0xf4);
		guest_write(g, GUEST_IDT + 8 * n, 8,
			    (GUEST_HANDLERS + 16 * n) | 0x18u << 16 | 0x8e00ull << 32);
	}
	g->s->idt.base = GUEST_IDT;
	g->s->idt.limit = 255;
	g->s->cr4 |= cr4;
	g->s->cr0 |= 1u << 31;
	g->s->cr3 = 0x20000;
	g->s->gpr[CPU_RSI] = GVA;
	g->s->gpr[CPU_RAX] = 0x1234;
}

static bool faulted_32(struct guest *g)
{
	guest_run_to(g, CPU_EXIT_HLT);
	return g->s->rip == GUEST_HANDLERS + 16 * 14 + 1;
}

static void tables_of_32_bits(void **state)
{
	struct guest g;

	start_32(&g, CR4_PSE);
	guest_write(&g, 0x20000, 4, 0x87);	  /* 4 MiB at 0 */
	guest_write(&g, 0x20004, 4, 0x21000 | 7); /* GVA: a table */
	guest_write(&g, 0x21000, 4, GPA | 7);
	guest_code(&g, accesses[WRITE], 3);
	guest_changed(&g);
	assert_false(faulted_32(&g));
	assert_int_equal(guest_read(&g, GPA, 4), 0x1234);
	assert_int_equal(guest_read(&g, 0x20004, 4), 0x21000 | 0x27);
	assert_int_equal(guest_read(&g, 0x21000, 4), GPA | 0x67);
	/* a large page whose reserved bit is set */
	guest_write(&g, 0x20004, 4, 0x00200087);
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	assert_true(faulted_32(&g));
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 4), 2 | 8 | 1);
	/* without PSE it names a table */
	guest_write(&g, 0x20000, 4, 0x22000 | 0x87);
	for (uint32_t n = 0; n < 1024; n++)
		guest_write(&g, 0x22000 + 4 * n, 4, n << 12 | 7);
	guest_write(&g, 0x20004, 4, 0x21000 | 0x87);
	g.s->cr4 &= ~(uint64_t)CR4_PSE;
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	assert_false(faulted_32(&g));
	guest_unmake(&g);
}

static void tables_of_pae(void **state)
{
	struct guest g;

	start_32(&g, CR4_PAE);
	g.s->efer = 0;
	g.s->pdptrs[0] = 0x21000 | 1;
	guest_write(&g, 0x21000, 8, 0x87);	  /* 2 MiB at 0 */
	guest_write(&g, 0x21010, 8, 0x22000 | 7); /* GVA */
	guest_write(&g, 0x22000, 8, GPA | 7);
	guest_code(&g, accesses[READ], 3);
	guest_write(&g, GPA, 4, 0x5678);
	guest_changed(&g);
	assert_false(faulted_32(&g));
	assert_int_equal(g.s->gpr[CPU_RAX], 0x5678);
	assert_int_equal(guest_read(&g, 0x21010, 8), 0x22000 | 0x27);
	assert_int_equal(guest_read(&g, 0x22000, 8), GPA | 0x27);
	/* NX is reserved while EFER.NXE is clear; and without it no error code tells a fetch */
	guest_write(&g, 0x22000, 8, GPA | 7 | NX);
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	assert_true(faulted_32(&g));
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 4), 8 | 1);
	guest_code(&g, accesses[EXEC], 3);
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	assert_true(faulted_32(&g));
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 4), 8 | 1);
	/* bits beyond the physical address */
	guest_write(&g, 0x22000, 8, GPA | 7 | 1ull << 40);
	guest_code(&g, accesses[READ], 3);
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	assert_true(faulted_32(&g));
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 4), 8 | 1);
	/* a pointer that is not there */
	g.s->gpr[CPU_RSI] = 0x40000000;
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	assert_true(faulted_32(&g));
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 4), 0);
	guest_unmake(&g);
}

static void tables_of_five_levels(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	guest_write(&g, 0x20000, 8, GUEST_TABLES | 7);
	/* an address that four levels do not have: level 5 index 1, then as low memory */
	guest_write(&g, 0x20008, 8, GUEST_TABLES | 7);
	g.s->cr3 = 0x20000;
	g.s->cr4 |= CR4_LA57;
	g.s->gpr[CPU_RSI] = (1ull << 48) + GPA;
	guest_write(&g, GPA, 4, 0x5678);
	guest_code(&g, accesses[READ], 3);
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 0x5678);
	g.s->gpr[CPU_RSI] = 1ull << 56;
	g.s->rip = GUEST_CODE;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 13);
	guest_unmake(&g);
}

static void reserved_bits_of_four_levels(void **state)
{
	uint64_t *top, *page;
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	guest_code(&g, accesses[READ], 3);
	/* the top entry twice, the second for the addresses in question */
	top = (uint64_t *)(g.ram + GUEST_TABLES);
	page = guest_map(&g, GVA, GPA, 7);
	const struct {
		uint64_t *entry, bit, address;
	} places[] = {
		{ &top[1], 1ull << 40, 1ull << 39 }, /* beyond the physical address */
		{ &top[1], 1ull << 7, 1ull << 39 },  /* no page of that size */
		{ &top[513], 1ull << 45, 1ull << 30 },
		{ &top[1027], 1ull << 13, 0x600000 }, /* inside the large page */
		{ &top[1027], 1ull << 36, 0x600000 },
		{ page, 1ull << 51, GVA },
	};

	top[1] = top[0];
	top[513] = top[512];
	for (size_t n = 0; n < sizeof(places) / sizeof(places[0]); n++) {
		*places[n].entry |= places[n].bit;
		g.s->gpr[CPU_RSI] = places[n].address;
		g.s->rip = GUEST_CODE;
		guest_changed(&g);
		guest_run_to(&g, CPU_EXIT_HLT);
		assert_int_equal(g.s->gpr[CPU_RAX], 14);
		assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 8), 9);
		*places[n].entry &= ~places[n].bit;
	}
	guest_unmake(&g);
}

/* ---- canonical addresses, segments' faults ----------------------------------------------------------------- */

static void not_canonical(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_handlers(&g);
	guest_code(&g, accesses[READ], 3);
	g.s->gpr[CPU_RSI] = 0x7ffffffffffe; /* its last bytes are beyond */
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 13);
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP], 8), 0);
	/* mov eax, [rsp] with such a stack: #SS. The handler needs a stack: rsi as a base with SS */
	GUEST_CODE_BYTES(&g, 0x8b, 0x45, 0x00, 0xf4); /* mov eax, [rbp] */
	g.s->gpr[CPU_RBP] = 0x8000000000000000;
	g.s->rip = GUEST_CODE;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 12);
	/* a branch there faults on the branch */
	guest_code(&g, accesses[EXEC], 3);
	g.s->gpr[CPU_RSI] = 0x800000000000;
	g.s->rip = GUEST_CODE;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 13);
	assert_int_equal(guest_read(&g, g.s->gpr[CPU_RSP] + 8, 8), GUEST_CODE);
	guest_unmake(&g);
}

/* ---- what is cached, and for how long ---------------------------------------------------------------------- */

/* Dirty is set by the first write, also when a read has cached the page before. */
static void dirty_after_a_cached_read(void **state)
{
	uint64_t *entry;
	struct guest g;

	guest_make(&g, GUEST_LONG);
	entry = guest_map(&g, GVA, GPA, 7);
	GUEST_CODE_BYTES(&g, 0x8b, 0x06, 0xe7, 0x80, 0x89, 0x06, 0xf4); /* mov; out; mov; hlt */
	g.s->gpr[CPU_RSI] = GVA;
	guest_run_to(&g, CPU_EXIT_IO);
	assert_int_equal(*entry & 0x60, 0x20);
	guest_complete(&g, NULL);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(*entry & 0x60, 0x60);
	guest_unmake(&g);
}

/* After MOV CR3 a changed entry is seen. */
static void a_new_cr3_forgets(void **state)
{
	struct guest g;
	uint64_t *entry;

	guest_make(&g, GUEST_LONG);
	entry = guest_map(&g, GVA, GPA, 7);
	guest_map(&g, 0x600000, (uint64_t)((uint8_t *)entry - g.ram) & ~0xfffull, 7);
	guest_write(&g, GPA, 1, 1);
	guest_write(&g, GPA + 0x1000, 1, 2);
	/* mov bl,[rsi]; xor dword [rdi],0x1000; mov rax,cr3; mov cr3,rax; mov cl,[rsi]; hlt */
	GUEST_CODE_BYTES(&g, 0x8a, 0x1e, 0x81, 0x37, 0, 0x10, 0, 0, 0x0f, 0x20, 0xd8, 0x0f, 0x22,
			 0xd8, 0x8a, 0x0e, 0xf4);
	g.s->gpr[CPU_RSI] = GVA;
	g.s->gpr[CPU_RDI] = 0x600000;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RBX], 1);
	assert_int_equal(g.s->gpr[CPU_RCX], 2);
	guest_unmake(&g);
}

static void translate_tells_the_address(void **state)
{
	bool writable, user;
	uint64_t gpa;
	struct guest g;

	guest_make(&g, GUEST_LONG);
	guest_map(&g, GVA, GPA, 7);
	guest_map(&g, GVA + 0x1000, 0, 0);
	assert_int_equal(cpu_soft_ops.translate(g.cpu, GVA + 5, &gpa, &writable, &user), 0);
	assert_int_equal(gpa, GPA + 5);
	assert_int_equal(cpu_soft_ops.translate(g.cpu, GVA + 0x1000, &gpa, &writable, &user), -14);
	assert_false(g.s->exception.pending);
	/* also while an instruction waits for its answer */
	GUEST_CODE_BYTES(&g, 0xe5, 0x80, 0xf4); /* in eax, 0x80 */
	guest_run_to(&g, CPU_EXIT_IO);
	assert_int_equal(cpu_soft_ops.translate(g.cpu, GVA + 5, &gpa, &writable, &user), 0);
	guest_complete(&g, &(uint32_t){ 0x1234567 });
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 0x1234567);
	guest_unmake(&g);
}

/* INVLPG forgets all of a large page, whichever address it names. */
static void invlpg_drops_a_large_page_whole(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	/* mov eax, [rsi]; mov [rdi], rdx; invlpg [rbx]; mov ecx, [rsi]; hlt */
	GUEST_CODE_BYTES(&g, 0x8b, 0x06, 0x48, 0x89, 0x17, 0x0f, 0x01, 0x3b, 0x8b, 0x0e, 0xf4);
	g.s->gpr[CPU_RSI] = 0x5ff000;
	g.s->gpr[CPU_RBX] = 0x400123;
	g.s->gpr[CPU_RDI] = GUEST_TABLES + 0x2000 + 2 * 8;
	g.s->gpr[CPU_RDX] = 0x600087;
	guest_write(&g, 0x5ff000, 4, 1);
	guest_write(&g, 0x7ff000, 4, 2);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 1);
	assert_int_equal(g.s->gpr[CPU_RCX], 2);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invlpg_drops_a_large_page_whole),
		cmocka_unit_test(permissions_are_the_models),
		cmocka_unit_test(tables_of_32_bits),
		cmocka_unit_test(tables_of_pae),
		cmocka_unit_test(tables_of_five_levels),
		cmocka_unit_test(reserved_bits_of_four_levels),
		cmocka_unit_test(not_canonical),
		cmocka_unit_test(dirty_after_a_cached_read),
		cmocka_unit_test(a_new_cr3_forgets),
		cmocka_unit_test(translate_tells_the_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
