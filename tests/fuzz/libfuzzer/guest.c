/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest code on two engines: one with every fast path off, the other as it comes or with each forced. Both stop in
 * the same place with the same registers and the same memory. An input is a mode, flags, registers and code.
 */
#include "../engines.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/paths.h"
#include "target.h"

#define RAM_SIZE 0x20000u
#define CODE_MAX 0x800u
#define DATA 0x18000u
#define STACK 0x1c000u
#define BUDGET 200u
#define MAX_EXITS 4

static struct side sides[3] = {
	{ .ram_size = RAM_SIZE, .off = (1u << OS_PATH_NR) - 1 },
	{ .ram_size = RAM_SIZE },
	{ .ram_size = RAM_SIZE, .always = (1u << OS_PATH_NR) - 1 },
};

/* ---- the guest --------------------------------------------------------------------------------- */

static unsigned int all_rights(unsigned int page)
{
	return 7;
}

static void make_ram(uint8_t *ram, const uint8_t *code, size_t size, enum mode mode)
{
	memset(ram, 0, RAM_SIZE);
	make_gdt(ram);
	for (unsigned int at = 0; at < 0x400; at += 8)
		put64(ram, DATA + at, 0x0102040810204081ull * at);
	if (mode == LONG)
		make_tables(ram, all_rights);
	memcpy(ram + CODE, code, size < CODE_MAX ? size : CODE_MAX);
}

static void set_state(struct cpu_state *s, enum mode mode, struct input *in)
{
	set_mode(s, mode);
	for (int n = 0; n < 16; n++)
		s->gpr[n] = (uint64_t)(int64_t)(int16_t)take16(in);
	s->gpr[CPU_RSP] = mode == REAL ? 0x7000 : STACK;
	s->gpr[CPU_RSI] = mode == REAL ? 0x100 : DATA;
	for (int n = 0; n < 16; n++)
		s->xmm[n].u64[0] = s->xmm[n].u64[1] = s->gpr[n] * 0x3ff0000000000001ull;
	s->rflags = 2 | (take16(in) & 0x8d5);
	s->idt = (struct cpu_table){ 0, mode == REAL ? 0x3ff : 0 };
}

/* ---- both -------------------------------------------------------------------------------------- */

static void must_be_same(const struct side *a, const struct side *b)
{
	const char *what = sides_differ(a, b);

	if (what)
		fprintf(stderr, "what differs: %s\n", what);
	must(!what);
}

/* A budget ends somewhere, a change of the page tables may be seen at another time. */
static bool is_comparable(const struct side *s, uint64_t cr0)
{
	return s->exit.reason != CPU_EXIT_KICK && s->s->cr3 == TABLES &&
	       !((s->s->cr0 ^ cr0) >> 31) && !(s->s->cr4 & 0x90 & ~0x20u);
}

static void run_both(struct side *a, struct side *b, uint64_t cr0)
{
	static const uint8_t answer[4096] = { 0x5a, 0xa5, 0x12 };

	for (int n = 0; n < MAX_EXITS; n++) {
		side_run(a, BUDGET);
		side_run(b, BUDGET);
		if (!is_comparable(a, cr0) || !is_comparable(b, cr0))
			return;
		must_be_same(a, b);
		if (!side_asks(a))
			return;
		side_complete(a, answer);
		side_complete(b, answer);
	}
}

void target(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = take8(&in);
	enum mode mode = (enum mode)(how % NR_MODES);
	struct side *slow = &sides[0], *other = &sides[1 + how / NR_MODES % 2];

	for (unsigned int n = 0; n < 3 && !sides[n].mmu; n++) {
		if (!n)
			must(os_fault_init() == 0);
		side_make(&sides[n]);
	}
	/* Afresh for each input: MSRs, an answer that is owed and what is remembered of memory are not an input's. */
	side_make_cpu(slow);
	side_make_cpu(other);
	set_state(slow->s, mode, &in);
	make_ram(slow->ram, in.at, in.left, mode);
	side_start_as(slow, slow);
	side_start_as(other, slow);
	run_both(slow, other, slow->s->cr0);
}
