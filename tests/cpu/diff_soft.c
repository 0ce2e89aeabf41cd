/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The soft side: a long mode guest at CPL 3, whose kernel is 32 HLT instructions, one a vector. */
#include "diff.h"

#include "harness.h"

/* The kernel's half: all RAM, for the supervisor. */
#define HIGH 0xffffffff80000000ull
#define HANDLERS (HIGH + 0xa000u)
#define TSS 0xc000u
#define KERNEL_STACK 0xe000u

static struct guest guest;

static void put_handlers(struct guest *g)
{
	for (uint64_t n = 0; n < 32; n++) {
		uint64_t at = HANDLERS + 16 * n, dpl = n == 3 ? 3 : 0;

		uint64_t low = at & 0xffff, middle = at & 0xffff0000;

		guest_write(g, at - HIGH, 1, 0xf4);
		guest_write(g, GUEST_IDT + 16 * n, 8,
			    low | 8 << 16 | (0x8e00 | dpl << 13 | middle) << 32);
		guest_write(g, GUEST_IDT + 16 * n + 8, 8, at >> 32);
	}
	g->s->idt.base = HIGH + GUEST_IDT;
	g->s->idt.limit = 32 * 16 - 1;
	g->s->gdt.base = HIGH + GUEST_GDT;
	guest_write(g, TSS + 4, 8, HIGH + KERNEL_STACK);
	g->s->tr.base = HIGH + TSS;
	g->s->tr.limit = 103;
	g->s->tr.sel = 0x38;
}

/* Low: nothing but the stream's pages, data without execution. High: RAM. */
static void put_tables(struct guest *g)
{
	uint64_t *top = (uint64_t *)(g->ram + GUEST_TABLES), *high = top + 512;
	uint64_t *low = (uint64_t *)(g->ram + 0x4000), *directory = low + 512, *table = low + 1024;
	uint64_t nx = 1ull << 63;

	top[511] = top[0] & ~4ull;
	high[510] = high[0];
	top[0] = 0x4000 | 7;
	low[0] = 0x5000 | 7;
	directory[DIFF_BASE >> 21] = 0x6000 | 7;
	table[0] = DIFF_BASE | 7;
	table[1] = (DIFF_BASE + 0x1000) | 7;
	table[4] = DIFF_DATA | 7 | nx;
	table[5] = (DIFF_DATA + 0x1000) | 7 | nx;
	table[6] = (DIFF_DATA + 0x2000) | 5 | nx;
}

void diff_soft_init(void)
{
	struct guest *g = &guest;
	struct memslot slot = {
		.id = 1, .gfn = DIFF_BASE >> 12, .nr_pages = DIFF_SIZE >> 12, .hva = DIFF_BASE
	};

	guest_make(g, GUEST_LONG);
	assert_int_equal(memslot_create(g->mmu, &slot, false), 0);
	put_handlers(g);
	put_tables(g);
}

static void user_segments(struct cpu_state *s)
{
	struct cpu_seg data = { .limit = 0xffffffff,
				.sel = 0x2b,
				.type = 3,
				.s = 1,
				.dpl = 3,
				.p = 1,
				.db = 1,
				.g = 1 };

	for (int n = 0; n < CPU_NR_SEGS; n++)
		s->seg[n] = data;
	s->seg[CPU_CS].type = 11;
	s->seg[CPU_CS].sel = 0x33;
	s->seg[CPU_CS].l = 1;
	s->seg[CPU_CS].db = 0;
}

/* What the kernel finds: HLT has run in the handler of some vector, the frame is on its stack. */
static void collect(struct diff_state *st, const struct cpu_state *s)
{
	const uint64_t *frame = (const uint64_t *)(guest.ram + (s->gpr[CPU_RSP] - HIGH));

	st->vector = (s->rip - HANDLERS) / 16;
	st->error = 0;
	if (st->vector == 8 || (st->vector >= 10 && st->vector <= 14) || st->vector == 17)
		st->error = *frame++;
	st->rip = frame[0];
	st->rflags = frame[2];
	memcpy(st->gpr, s->gpr, sizeof(st->gpr));
	st->gpr[CPU_RSP] = frame[3];
	memcpy(st->xmm, s->xmm, sizeof(st->xmm));
	st->mxcsr = s->mxcsr;
	st->cr2 = st->vector == 14 ? s->cr2 : 0;
}

void diff_soft_run(struct diff_state *st)
{
	struct cpu_state *s = guest.s;

	user_segments(s);
	memcpy(s->gpr, st->gpr, sizeof(s->gpr));
	memcpy(s->xmm, st->xmm, sizeof(s->xmm));
	s->rip = st->rip;
	s->rflags = st->rflags;
	s->mxcsr = st->mxcsr;
	s->halted = false;
	guest_changed(&guest);
	guest_run(&guest, 100000);
	if (guest.exit.reason != CPU_EXIT_HLT) {
		st->vector = 1000 + guest.exit.reason;
		st->rip = s->rip;
		return;
	}
	collect(st, s);
}
