/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * paths_test [programs [seed]]
 *
 * Random programs of branches, arithmetic, memory, calls and stores into their own code run on two vCPUs that
 * differ in what is fast (os/paths.h), in steps of random budgets. After each step all registers, flags and
 * memory are equal: budgets are exact, faults come at the same instruction, no code is stale.
 */
#include "harness.h"

#include "os/paths.h"

#define NR_SLOTS 60
#define DATA GUEST_DATA
#define ABSENT 0x600000u
#define BIT(path) (1u << OS_PATH_##path)

/* The first runs everything the plain way, the others are fast but for something. */
static const uint32_t off[] = {
	BIT(HANDLERS), 0, 0, BIT(CHAIN), BIT(FUSE), BIT(FLAGS), BIT(TLB), BIT(BLOCKS), ~0u,
};
#define NR_GUESTS (sizeof(off) / sizeof(off[0]))

static struct guest guests[NR_GUESTS];
static uint64_t seed;

static uint64_t rnd(void)
{
	uint64_t x = seed += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* ---- programs --------------------------------------------------------------------------------- */

struct program {
	uint8_t code[4096];
	unsigned int nr;
	unsigned int slot[NR_SLOTS + 1]; /* offsets */
	unsigned int nr_fixups, fixup[NR_SLOTS], fixup_slot[NR_SLOTS];
	unsigned int nr_imm, imm[NR_SLOTS]; /* bytes that may change: immediates */
};

static struct program p;

static void put(uint64_t v, unsigned int n)
{
	memcpy(p.code + p.nr, &v, n);
	p.nr += n;
}

/* RAX RCX RDX RBX RBP RSI RDI */
static unsigned int reg(void)
{
	static const uint8_t regs[] = { 0, 1, 2, 3, 5, 6, 7 };

	return regs[rnd() % 7];
}

static void put_imm(unsigned int n)
{
	if (p.nr_imm < NR_SLOTS)
		p.imm[p.nr_imm++] = p.nr;
	put(rnd() % 3 ? (uint64_t)(int8_t)rnd() : rnd(), n);
}

/* A displacement of 32 bits to a random slot, n bytes before the instruction's end. */
static void put_to_slot(void)
{
	p.fixup[p.nr_fixups] = p.nr;
	p.fixup_slot[p.nr_fixups++] = rnd() % NR_SLOTS;
	put(0, 4);
}

/* REX and opcode with a register operand in ModRM.rm. */
static void put_rr(bool wide, unsigned int opcode, unsigned int n, unsigned int r, unsigned int rm)
{
	put(0x40 | wide << 3, 1);
	put(opcode, n);
	put(0xc0 | r << 3 | rm, 1);
}

/* The same with memory: R8 (mostly), R9 at the end of a page, R10 before an absent one; with an index (R11);
 * relative to RIP; with FS. tail: bytes of the instruction that follow. */
static void put_rm(bool wide, unsigned int opcode, unsigned int n, unsigned int r,
		   unsigned int tail)
{
	unsigned int base = rnd() % 40 ? 0 : 1 + rnd() % 2, way = rnd() % 8;
	uint8_t rex = 0x40 | wide << 3;

	if (way == 0)
		put(0x64, 1);
	if (way == 1) {
		put(rex, 1);
		put(opcode, n);
		put(r << 3 | 5, 1);
		put(DATA + 0x840 - (GUEST_CODE + p.nr + 4 + tail), 4);
		return;
	}
	put(rex | 1 | (way < 4) << 1, 1);
	put(opcode, n);
	if (way < 4) {
		put(0x44 | r << 3, 1);
		put((rnd() % 4) << 6 | 3 << 3 | base, 1);
	} else {
		put(0x40 | r << 3 | base, 1);
	}
	put(rnd() % 2 ? 0 : rnd() % 8, 1);
}

static void make_alu(void)
{
	static const uint8_t ops[] = { 0, 1, 2, 3, 4, 5, 6, 7, 7, 7 };
	unsigned int op = ops[rnd() % 10], byte = rnd() % 3 == 0, wide = rnd() % 2;

	switch (rnd() % 6) {
	case 0:
		put_rr(wide, op * 8 + !byte, 1, reg(), reg());
		break;
	case 1:
		put_rm(wide, op * 8 + 2 + !byte, 1, reg(), 0);
		break;
	case 2:
		put_rm(wide, op * 8 + !byte, 1, reg(), 0);
		break;
	case 3:
		put_rm(wide, byte ? 0x80 : 0x83, 1, op, 1);
		put_imm(1);
		break;
	case 4:
		put_rr(wide, rnd() % 2 ? 0x85 : 0x84, 1, reg(), reg());
		break;
	default:
		put_rr(wide, byte ? 0x80 : 0x83, 1, op, reg());
		put_imm(1);
	}
}

static void make_other_alu(void)
{
	bool wide = rnd() % 2;

	switch (rnd() % 6) {
	case 0:
		put_rr(wide, 0xff, 1, rnd() % 2, reg());
		break;
	case 1:
		put_rr(wide, 0xf7, 1, 2 + rnd() % 2, reg());
		break;
	case 2:
		put_rr(wide, 0xc1, 1, (const uint8_t[]){ 4, 5, 7, 0, 1 }[rnd() % 5], reg());
		put_imm(1);
		break;
	case 3:
		put_rr(wide, 0xd3, 1, 4 + rnd() % 2, reg());
		break;
	case 4:
		put_rr(wide, 0xaf0f, 2, reg(), reg());
		break;
	default:
		put_rr(wide, 0x6b, 1, reg(), reg());
		put_imm(1);
	}
}

static void make_move(void)
{
	static const uint16_t extend[] = { 0xb60f, 0xb70f, 0xbe0f, 0xbf0f };
	bool wide = rnd() % 2;

	switch (rnd() % 9) {
	case 0:
		put_rr(wide, 0x88 + rnd() % 2, 1, reg(), reg());
		break;
	case 1:
		put_rm(wide, 0x8a + rnd() % 2, 1, reg(), 0);
		break;
	case 2:
		put_rm(wide, 0x88 + rnd() % 2, 1, reg(), 0);
		break;
	case 3:
		put_rm(wide, 0xc6, 1, 0, 1);
		put_imm(1);
		break;
	case 4:
		put_rm(wide, extend[rnd() % 4], 2, reg(), 0);
		break;
	case 5:
		put_rr(wide, extend[rnd() % 4], 2, reg(), reg());
		break;
	case 6:
		put_rm(wide, 0x8d, 1, reg(), 0);
		break;
	case 7:
		put_rm(true, 0x63, 1, reg(), 0);
		break;
	default:
		put(0xb0 + rnd() % 4, 1);
		put_imm(1);
	}
}

static void make_condition(void)
{
	unsigned int cc = rnd() % 16;

	switch (rnd() % 5) {
	case 0:
		put_rr(rnd() % 2, 0x400f | cc << 8, 2, reg(), reg());
		break;
	case 1:
		put_rr(false, 0x900f | cc << 8, 2, 0, reg());
		break;
	default:
		put(0x800f | cc << 8, 2);
		put_to_slot();
	}
}

static void make_branch(void)
{
	switch (rnd() % 6) {
	case 0: /* jmp */
		put(0xe9, 1);
		put_to_slot();
		break;
	case 1: /* lea rax, [rip + x]; push rax; ret */
	case 2: /* lea rax, [rip + x]; jmp rax */
		put(0x058d48, 3);
		put_to_slot();
		put(rnd() % 2 ? 0xc350 : 0xe0ff, 2);
		break;
	case 3: /* call next; pop reg */
		put(0xe8, 1);
		put(0, 4);
		put(0x58 + reg(), 1);
		break;
	case 4: /* push; pop */
		put(0x50 + reg(), 1);
		put(0x58 + reg(), 1);
		break;
	default: /* pushf; pop */
		put(0x9c, 1);
		put(0x58 + reg(), 1);
	}
}

/* mov byte [rip + x], imm: into the program's own immediates. */
static void make_self_change(void)
{
	if (!p.nr_imm)
		return;
	put(0x05c6, 2);
	put(p.imm[rnd() % p.nr_imm] - (p.nr + 5), 4);
	put_imm(1);
}

static void make_slot(void)
{
	unsigned int what = rnd() % 128;

	if (what < 40)
		make_alu();
	else if (what < 56)
		make_other_alu();
	else if (what < 80)
		make_move();
	else if (what < 116)
		make_condition();
	else if (what < 126)
		make_branch();
	else
		make_self_change();
}

static void make_program(void)
{
	memset(&p, 0, sizeof(p));
	for (unsigned int n = 0; n < NR_SLOTS; n++) {
		p.slot[n] = p.nr;
		make_slot();
	}
	put(0xe9, 1);
	put(-(uint64_t)(p.nr + 4), 4);
	for (unsigned int n = 0; n < p.nr_fixups; n++) {
		uint32_t by = p.slot[p.fixup_slot[n]] - (p.fixup[n] + 4);

		memcpy(p.code + p.fixup[n], &by, 4);
	}
}

/* ---- runs ---------------------------------------------------------------------------------------- */

static void start(struct guest *g, uint64_t values)
{
	guest_start(g, GUEST_LONG);
	memset(g->ram + GUEST_STACK - 0x1000, 0, 0x1000);
	memset(g->ram + ABSENT - 0x1000, 0, 0x1000);
	guest_code(g, p.code, 0x1000);
	guest_handlers(g);
	for (int n = 0; n < 8; n++)
		if (n != CPU_RSP)
			g->s->gpr[n] = (values >> n * 8) * 0x0101010101010101 >> (values & 63);
	g->s->gpr[8] = DATA + 0x800;
	g->s->gpr[9] = DATA + 0xffd;
	g->s->gpr[10] = ABSENT - 3;
	g->s->gpr[11] = 5;
	g->s->seg[CPU_FS].base = 16;
	for (unsigned int n = 0; n < 0x2000; n += 8)
		guest_write(g, DATA + n, 8, values * (n + 1));
	guest_changed(g);
}

static void compare(const struct guest *a, const struct guest *b, unsigned int which)
{
	bool same = a->exit.reason == b->exit.reason && a->s->rip == b->s->rip &&
		    a->s->rflags == b->s->rflags &&
		    !memcmp(a->s->gpr, b->s->gpr, sizeof(a->s->gpr)) &&
		    !memcmp(a->ram + DATA, b->ram + DATA, 0x2000) &&
		    !memcmp(a->ram + ABSENT - 16, b->ram + ABSENT - 16, 16) &&
		    !memcmp(a->ram + GUEST_STACK - 0x1000, b->ram + GUEST_STACK - 0x1000, 0x1000) &&
		    !memcmp(a->ram + GUEST_CODE, b->ram + GUEST_CODE, 0x1000);

	if (same)
		return;
	for (int n = 0; n < 16; n++)
		print_message("%2d %016lx %016lx\n", n, a->s->gpr[n], b->s->gpr[n]);
	fail_msg("guest %u: exits %d %d, rip %lx %lx, flags %lx %lx", which, a->exit.reason,
		 b->exit.reason, a->s->rip, b->s->rip, a->s->rflags, b->s->rflags);
}

/* What the owner does between two steps: goes on behind a fault elsewhere, changes code. */
static void between(struct guest *g, uint64_t random)
{
	if (g->exit.reason == CPU_EXIT_HLT) {
		g->s->rip = GUEST_CODE + p.slot[random % NR_SLOTS];
		g->s->gpr[CPU_RSP] = GUEST_STACK;
		guest_changed(g);
	}
	if (random >> 32 & 1 && p.nr_imm)
		g->ram[GUEST_CODE + p.imm[(random >> 8) % p.nr_imm]] = random >> 16;
	if ((random >> 33) % 16 == 0) {
		g->s->rflags ^= 0x100; /* TF */
		guest_changed(g);
	}
}

static void run_both(struct guest *a, struct guest *b, unsigned int which)
{
	for (int n = 0; n < 40; n++) {
		uint64_t budget = 1 + rnd() % (rnd() % 2 ? 12 : 400), random = rnd();

		assert_true(guest_run(a, budget) != CPU_EXIT_MMIO);
		guest_run(b, budget);
		compare(a, b, which);
		if (a->exit.reason != CPU_EXIT_HLT && a->exit.reason != CPU_EXIT_KICK)
			return;
		between(a, random);
		between(b, random);
	}
}

static void make_guests(void)
{
	uint32_t paths = os_paths_off;

	for (unsigned int n = 0; n < NR_GUESTS; n++) {
		os_paths_off = off[n];
		guest_make(&guests[n], GUEST_LONG);
		guest_map(&guests[n], ABSENT, 0, 0);
	}
	os_paths_off = paths;
}

static uint64_t programs = 4000;

static void same_answers(void **state)
{
	make_guests();
	for (uint64_t n = 0; n < programs; n++) {
		unsigned int which = 1 + n % (NR_GUESTS - 1);
		uint64_t values;

		seed = seed * 3 + n;
		make_program();
		values = rnd();
		start(&guests[0], values);
		start(&guests[which], values);
		run_both(&guests[0], &guests[which], which);
	}
	for (unsigned int n = 0; n < NR_GUESTS; n++)
		guest_unmake(&guests[n]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_answers),
	};

	if (argc > 1)
		programs = strtoull(argv[1], NULL, 0);
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
