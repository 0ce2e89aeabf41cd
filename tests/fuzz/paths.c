/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * paths [seconds [seed]], or for GMEM_SOAK seconds
 *
 * The same guest on two engines, one with every fast path off, one with some off, some forced, others as it
 * comes: random code that mostly makes sense, in all modes, must stop in the same places with the same
 * registers and the same memory. A budget is no such place: where it ends one of them, nothing is compared.
 * A program that changes to other page tables is left.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engines.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/paths.h"

#define RAM_SIZE 0x40000u
#define IDT 0x9000u
#define HANDLERS 0xa000u
#define CODE_SIZE 0x2000u
#define DATA 0x20000u
#define STACK 0x30000u
#define BUDGET 5000u
#define MAX_EXITS 8
#define PROGRAMS 40 /* of a pair of engines */

static struct side sides[2];
static uint64_t rng_state;

static uint64_t rnd(void)
{
	uint64_t x = rng_state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static unsigned int below(unsigned int limit)
{
	return (unsigned int)(rnd() % limit);
}

/* ---- programs ---------------------------------------------------------------------------------- */

#define NR_STARTS 16u

struct code {
	uint8_t *at, *end;
	enum mode mode;
	/* Where the last instructions begin: somewhere to go back to. */
	uint8_t *starts[NR_STARTS];
	unsigned int nr_starts;
};

static void put(struct code *c, unsigned int nr, ...)
{
	va_list ap;

	va_start(ap, nr);
	while (nr-- && c->at < c->end)
		*c->at++ = (uint8_t)va_arg(ap, int);
	va_end(ap);
}

/* A register that is no pointer to the stack, nor the loop's counter. */
static unsigned int reg(void)
{
	return (unsigned int[]){ 0, 2, 3, 0, 2, 3, 5, 7 }[below(8)];
}

static void rex(struct code *c)
{
	if (c->mode == LONG && below(2))
		put(c, 1, 0x48);
	else if (below(8) == 0)
		put(c, 1, 0x66);
}

static void arithmetic(struct code *c)
{
	static const uint8_t ops[] = { 0x01, 0x29, 0x31, 0x21, 0x09, 0x11, 0x19, 0x39, 0x85, 0x89,
				       0x00, 0x28, 0x30, 0x38, 0x03, 0x2b, 0x33, 0x3b, 0x87 };

	rex(c);
	put(c, 2, ops[below(sizeof(ops))], 0xc0 | reg() << 3 | reg());
}

static void immediate(struct code *c)
{
	rex(c);
	switch (below(4)) {
	case 0:
		put(c, 3, 0x83, 0xc0 | below(8) << 3 | reg(), below(256));
		break;
	case 1:
		put(c, 2, 0xff, 0xc0 | below(2) << 3 | reg()); /* INC, DEC */
		break;
	case 2:
		put(c, 3, 0xc1, 0xc0 | below(8) << 3 | reg(), below(70));
		break;
	default:
		put(c, 2, 0xf7,
		    0xc0 | (2 + below(below(16) ? 4 : 6)) << 3 | reg()); /* NOT .. IDIV */
	}
}

/* [rSI + disp8], which is the data, or now and then the code. */
static void memory(struct code *c)
{
	static const uint8_t ops[] = { 0x8b, 0x89, 0x8b, 0x89, 0x8a, 0x88, 0x01, 0x03, 0x29,
				       0x3b, 0x39, 0x31, 0x33, 0x86, 0x87, 0x84, 0x63, 0x8d };

	rex(c);
	put(c, 3, ops[below(sizeof(ops))], 0x46 | reg() << 3, below(128));
}

static void two_bytes(struct code *c)
{
	static const uint8_t ops[] = { 0xaf, 0xb6, 0xb7, 0xbe, 0xbf, 0xa3, 0xab, 0xb3, 0xbb, 0xbc,
				       0xbd, 0xc1, 0xb1, 0xa5, 0xad, 0x10, 0x11, 0x28, 0x29, 0x58,
				       0x59, 0x6f, 0x7f, 0xef, 0x54, 0x57, 0xa4, 0xac };

	uint8_t op = ops[below(sizeof(ops))];

	if (below(3) == 0)
		op = (below(2) ? 0x40 : 0x90) + below(16); /* CMOV, SET */
	else if (op == 0x6f || op == 0x7f || op == 0xef)
		put(c, 1, 0x66);
	else if (op >= 0x10 && op <= 0x59 && below(2))
		put(c, 1,
		    (const uint8_t[]){ 0x66, 0xf3, 0xf2 }[below(op == 0x58 || op == 0x59 ? 3 : 1)]);
	put(c, 2, 0x0f, op);
	if (below(2))
		put(c, 1, 0xc0 | reg() << 3 | reg());
	else
		put(c, 2, 0x46 | reg() << 3, below(128) & ~0xf);
	if ((op & 0xf7) == 0xa4) /* SHLD, SHRD */
		put(c, 1, below(40));
}

static void stack(struct code *c)
{
	switch (below(4)) {
	case 0:
		put(c, 2, 0x50 + reg(), 0x58 + reg());
		break;
	case 1:
		put(c, 2, 0x9c, 0x58 + reg()); /* PUSHF; POP */
		break;
	case 2:
		put(c, 1, 0x50 + reg());
		break;
	default:
		put(c, 1, 0x58 + reg());
	}
}

static void simple(struct code *c);

/* Over what comes next: the length is put in when it is there. */
static void jump_ahead(struct code *c)
{
	uint8_t *length;

	put(c, 3, 0x39, 0xc0 | reg() << 3 | reg(), 0x70 + below(16));
	length = c->at;
	put(c, 1, 0);
	for (unsigned int n = 1 + below(3); n--;)
		simple(c);
	*length = (uint8_t)(c->at - length - 1);
}

/* A function, which begins behind the jump over it. */
static void call(struct code *c)
{
	uint8_t *length;

	put(c, 3, 0xe8, 2, 0);
	if (c->mode != REAL)
		put(c, 2, 0, 0);
	put(c, 1, 0xeb);
	length = c->at;
	put(c, 1, 0);
	for (unsigned int n = 1 + below(3); n--;)
		simple(c);
	put(c, 1, 0xc3);
	*length = (uint8_t)(c->at - length - 1);
}

/* As long as rCX lasts, which nothing else changes. */
static void loop(struct code *c)
{
	unsigned int n = c->nr_starts < NR_STARTS ? c->nr_starts : NR_STARTS;
	long back;

	if (!n)
		return;
	back = c->starts[(c->nr_starts - 1 - below(n)) % NR_STARTS] - c->at;
	if (back < -120)
		return;
	if (below(3) == 0) /* jrcxz over; loop */
		put(c, 4, 0xe3, 2, 0xe2, (int)back - 4);
	else if (c->mode == LONG) /* jrcxz over; dec rcx; jnz */
		put(c, 7, 0xe3, 5, 0x48, 0xff, 0xc9, 0x75, (int)back - 7);
	else
		put(c, 6, 0xe3, 4, 0xff, 0xc9, 0x75, (int)back - 6);
}

static void rare(struct code *c)
{
	switch (below(8)) {
	case 0:
		put(c, 3, 0xb1, below(60), 0xf3); /* mov cl; REP ... */
		put(c, 1, (const uint8_t[]){ 0xa4, 0xa5, 0xaa, 0xab, 0xae, 0xa6, 0xac }[below(7)]);
		break;
	case 1:
		put(c, 2, 0xe4 + below(4), below(256)); /* IN, OUT */
		break;
	case 2:
		put(c, 3, 0xf0, (const uint8_t[]){ 0x01, 0x29, 0x31, 0x87 }[below(4)],
		    0x06 | reg() << 3);
		break;
	case 3:
		put(c, 2, 0x0f, (const uint8_t[]){ 0xa2, 0x31, 0x01, 0x0b }[below(4)]);
		break;
	case 4:
		put(c, 2, 0xcd, below(20));
		break;
	case 5: /* into what is about to run: mov byte [rip or disp32], imm */
		if (c->mode == LONG)
			put(c, 7, 0xc6, 0x05, below(40), 0, 0, 0, below(256));
		break;
	case 6:
		put(c, 1, 0x9d);
		break;
	default:
		for (unsigned int n = below(8); n--;)
			put(c, 1, below(256));
	}
}

static void simple(struct code *c)
{
	static void (*const kinds[])(struct code * c) = {
		arithmetic, arithmetic, immediate, immediate, memory, memory, two_bytes, stack,
	};

	c->starts[c->nr_starts++ % NR_STARTS] = c->at;
	kinds[below(sizeof(kinds) / sizeof(kinds[0]))](c);
}

static void make_code(uint8_t *at, size_t size, enum mode mode)
{
	struct code c = { .at = at, .end = at + size - 16, .mode = mode };

	put(&c, 3, 0xb9, 1 + below(200), 0); /* mov ecx, so many */
	if (mode != REAL)
		put(&c, 2, 0, 0);
	while (c.at < c.end) {
		unsigned int kind = below(64);

		if (kind == 0)
			rare(&c);
		else if (kind < 6)
			jump_ahead(&c);
		else if (kind < 9)
			call(&c);
		else if (kind < 14)
			loop(&c);
		else
			simple(&c);
	}
	memset(at + size - 16, 0xf4, 16);
}

static uint64_t value(void)
{
	switch (below(4)) {
	case 0:
		return DATA + below(0x1000);
	case 1:
		return CODE + below(CODE_SIZE);
	case 2:
		return rnd() >> below(64);
	default:
		return (uint64_t)(int8_t)rnd();
	}
}

/* ---- a start that is the same for both --------------------------------------------------------- */

/* A few pages can be missing, or not be written. */
static unsigned int flags_of(unsigned int page)
{
	return page > 0x20 && below(16) == 0 ? below(8) : 7;
}

static void make_gate(uint8_t *ram, enum mode mode, unsigned int n)
{
	uint32_t at = HANDLERS + 16 * n;
	uint64_t gate = (at & 0xffff) | (mode == LONG ? 8u : 24u) << 16 | 0x8e0000000000 |
			(uint64_t)(at & 0xffff0000) << 32;

	memcpy(ram + at, (uint8_t[]){ 0xb8, (uint8_t)n, 0, 0, 0, 0xf4 }, 6);
	if (mode == REAL)
		memcpy(ram + 4 * n, &at, sizeof(at));
	else
		put64(ram, IDT + (mode == LONG ? 16 : 8) * n, gate);
	if (mode == LONG)
		put64(ram, IDT + 16 * n + 8, 0);
}

/* Every exception ends in a HLT, with its number. */
static void make_handlers(uint8_t *ram, enum mode mode)
{
	make_gdt(ram);
	for (unsigned int n = 0; n < 32; n++)
		make_gate(ram, mode, n);
}

static void make_ram(uint8_t *ram, enum mode mode)
{
	memset(ram, 0, RAM_SIZE);
	for (unsigned int at = DATA; at < DATA + 0x1000; at += 8)
		put64(ram, at, below(4) ? rnd() : value());
	for (unsigned int at = STACK - 0x400; at < STACK + 0x400; at += 8)
		put64(ram, at, value());
	make_handlers(ram, mode);
	if (mode == LONG)
		make_tables(ram, flags_of);
	make_code(ram + CODE, below(8) ? 0x200 : CODE_SIZE, mode);
}

static void set_state(struct cpu_state *s, enum mode mode)
{
	set_mode(s, mode);
	if (mode == REAL)
		s->seg[CPU_DS].base = s->seg[CPU_ES].base = DATA;
	for (int n = 0; n < 16; n++)
		s->gpr[n] = value();
	s->gpr[CPU_RSP] = mode == REAL ? 0x7000 : STACK;
	s->gpr[CPU_RSI] = mode == REAL ? below(0x800) : below(16) ? DATA + below(0x800) : value();
	for (int n = 0; n < 16; n++)
		s->xmm[n].u64[0] = s->xmm[n].u64[1] = rnd() >> below(64);
	s->rflags = 2 | (rnd() & 0x8d5);
	s->idt = (struct cpu_table){ mode == REAL ? 0 : IDT, mode == LONG ? 511 : 255 };
}

static void start(enum mode mode)
{
	make_ram(sides[0].ram, mode);
	set_state(sides[0].s, mode);
	for (int n = 0; n < 2; n++)
		side_start_as(&sides[n], &sides[0]);
}

/* ---- running and comparing --------------------------------------------------------------------- */

static void show(void)
{
	for (int n = 0; n < 2; n++) {
		const struct cpu_state *s = sides[n].s;

		printf("off %#x forced %#x: exit %d rip %lx rflags %lx cr2 %lx\n", sides[n].off,
		       sides[n].always, sides[n].exit.reason, s->rip, s->rflags, s->cr2);
		for (int k = 0; k < 16; k++)
			printf(" %016lx%s", s->gpr[k], k % 8 == 7 ? "\n" : "");
	}
	for (unsigned int at = 0, told = 0; at < RAM_SIZE && told < 8; at++) {
		if (sides[0].ram[at] == sides[1].ram[at])
			continue;
		printf("%#x: %02x %02x\n", at, sides[0].ram[at], sides[1].ram[at]);
		told++;
	}
}

/* The owner's part; false: nobody can go on from there. */
static bool answer(void)
{
	uint8_t data[4096];

	if (!side_asks(&sides[0]))
		return false;
	for (unsigned int k = 0; k < sizeof(data); k += 8)
		memcpy(data + k, &(uint64_t){ rnd() }, 8);
	for (int n = 0; n < 2; n++)
		side_complete(&sides[n], data);
	return true;
}

static bool keeps_its_tables(uint64_t cr0)
{
	for (int n = 0; n < 2; n++)
		if (sides[n].s->cr3 != TABLES || (sides[n].s->cr0 ^ cr0) >> 31)
			return false;
	return true;
}

static uint64_t nr_compared, nr_kicked;

/* False: they differ. */
static bool program(enum mode mode)
{
	uint64_t cr0;
	const char *what;

	start(mode);
	cr0 = sides[0].s->cr0;
	for (int n = 0; n < MAX_EXITS; n++) {
		side_run(&sides[0], BUDGET);
		side_run(&sides[1], BUDGET);
		if (sides[0].exit.reason == CPU_EXIT_KICK ||
		    sides[1].exit.reason == CPU_EXIT_KICK) {
			nr_kicked++;
			return true;
		}
		if (!keeps_its_tables(cr0))
			return true;
		what = sides_differ(&sides[0], &sides[1]);
		if (what) {
			printf("mode %d, exit %d: %s\n", mode, n, what);
			show();
			return false;
		}
		nr_compared++;
		if (!answer())
			return true;
	}
	return true;
}

/* One is slow; of the other each path is off, forced, or as it comes. */
static void choose_paths(void)
{
	uint32_t all = (1u << OS_PATH_NR) - 1;

	sides[0].off = all;
	sides[0].always = 0;
	sides[1].off = below(2) ? (uint32_t)(rnd() & rnd()) & all : 0;
	sides[1].always = below(2) ? (uint32_t)rnd() & all & ~sides[1].off : 0;
}

static bool run_pair(uint64_t seed)
{
	bool same = true;

	rng_state = seed;
	choose_paths();
	for (int n = 0; n < 2; n++) {
		sides[n].ram_size = RAM_SIZE;
		side_make(&sides[n]);
		side_make_cpu(&sides[n]);
	}
	for (unsigned int n = 0; same && n < PROGRAMS; n++)
		same = program(below(2) ? LONG : (enum mode)below(3));
	side_unmake(&sides[1]);
	side_unmake(&sides[0]);
	if (!same)
		printf("repeat with: paths 0 %lu\n", seed);
	return same;
}

int main(int argc, char **argv)
{
	const char *soak = getenv("GMEM_SOAK");
	double seconds = soak ? strtod(soak, NULL) : argc > 1 ? strtod(argv[1], NULL) : 10;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) << 20;
	time_t end = time(NULL) + (time_t)seconds;
	bool same;

	os_assert(os_fault_init() == 0);
	do
		same = run_pair(seed++);
	while (same && time(NULL) < end);
	printf("%lu stops compared, %lu programs did not end\n", nr_compared, nr_kicked);
	return same ? 0 : 1;
}
