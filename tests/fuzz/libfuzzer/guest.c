/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest code on two engines: one with every fast path off, the other as it comes or with each forced. Both stop in
 * the same place with the same registers and the same memory. An input is a mode, flags, registers and code.
 */
#include <sys/mman.h>

#include "cpu/cpu.h"
#include "mmu/memslot.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/paths.h"
#include "target.h"

#define RAM_SIZE 0x20000u
#define TABLES 0x1000u /* four pages */
#define GDT 0x8000u
#define CODE 0x10000u
#define CODE_MAX 0x800u
#define DATA 0x18000u
#define STACK 0x1c000u
#define BUDGET 200u
#define MAX_EXITS 4

enum mode { REAL, PROTECTED, LONG, NR_MODES };

struct side {
	uint32_t off, always;
	struct mmu *mmu;
	struct mmu_vcpu *vcpu;
	struct cpu *cpu;
	struct cpu_state *s;
	uint8_t *ram;
	uint64_t tsc;
	struct cpu_exit exit;
};

static struct side sides[3] = {
	{ .off = (1u << OS_PATH_NR) - 1 },
	{ .off = 0 },
	{ .always = (1u << OS_PATH_NR) - 1 },
};
static struct side *current = sides;

uint64_t __wrap_os_tsc(void);
uint64_t __wrap_os_tsc(void)
{
	return current->tsc += 1000;
}

static void enter(struct side *s)
{
	current = s;
	os_paths_off = s->off;
	os_paths_always = s->always;
}

static void make(struct side *s)
{
	struct mmu_config config = { .gpa_bits = 48 };
	struct memslot slot = { .nr_pages = RAM_SIZE >> OS_PAGE_SHIFT };

	enter(s);
	s->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(s->ram != MAP_FAILED);
	slot.hva = (uintptr_t)s->ram;
	must(mmu_create(&config, &s->mmu) == 0);
	must(memslot_create(s->mmu, &slot, false) == 0);
	must(mmu_vcpu_create(s->mmu, &s->vcpu) == 0);
}

/* Afresh for each input: MSRs, an answer that is owed and what is remembered of memory are not an input's. */
static void make_cpu(struct side *s)
{
	enter(s);
	if (s->cpu)
		cpu_soft_ops.destroy(s->cpu);
	must(cpu_soft_ops.create(s->mmu, s->vcpu, &s->cpu) == 0);
	s->s = cpu_soft_ops.state(s->cpu);
}

/* ---- the guest --------------------------------------------------------------------------------- */

static void put64(uint8_t *ram, uint64_t at, uint64_t value)
{
	memcpy(ram + at, &value, 8);
}

/* What a processor remembers of tables that change may be seen, so the guest cannot reach its own. */
static bool is_table(uint64_t page)
{
	return page >= TABLES >> 12 && page < (TABLES >> 12) + 4;
}

static void make_ram(uint8_t *ram, const uint8_t *code, size_t size, enum mode mode)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
					0x00cf9b000000ffff };

	memset(ram, 0, RAM_SIZE);
	memcpy(ram + GDT, gdt, sizeof(gdt));
	for (unsigned int at = 0; at < 0x400; at += 8)
		put64(ram, DATA + at, 0x0102040810204081ull * at);
	if (mode == LONG) {
		put64(ram, TABLES, (TABLES + 0x1000) | 7);
		put64(ram, TABLES + 0x1000, (TABLES + 0x2000) | 7);
		put64(ram, TABLES + 0x2000, (TABLES + 0x3000) | 7);
		for (uint64_t page = 0; page < 512; page++)
			put64(ram, TABLES + 0x3000 + 8 * page, is_table(page) ? 0 : page << 12 | 7);
	}
	memcpy(ram + CODE, code, size < CODE_MAX ? size : CODE_MAX);
}

static void set_segments(struct cpu_state *s, enum mode mode)
{
	struct cpu_seg data = {
		.limit = 0xffffffff, .sel = 0x10, .type = 3, .s = 1, .p = 1, .db = 1, .g = 1
	};

	if (mode == REAL)
		data = (struct cpu_seg){ .limit = 0xffff, .type = 3, .s = 1, .p = 1 };
	for (int n = 0; n < CPU_NR_SEGS; n++)
		s->seg[n] = data;
	s->seg[CPU_CS].type = 11;
	s->seg[CPU_CS].sel = mode == REAL ? CODE >> 4 : mode == LONG ? 8 : 24;
	s->seg[CPU_CS].base = mode == REAL ? CODE : 0;
	s->seg[CPU_CS].l = mode == LONG;
	s->seg[CPU_CS].db = mode == PROTECTED;
}

static void set_state(struct cpu_state *s, enum mode mode, struct input *in)
{
	set_segments(s, mode);
	for (int n = 0; n < 16; n++)
		s->gpr[n] = (uint64_t)(int64_t)(int16_t)take16(in);
	s->gpr[CPU_RSP] = mode == REAL ? 0x7000 : STACK;
	s->gpr[CPU_RSI] = mode == REAL ? 0x100 : DATA;
	for (int n = 0; n < 16; n++)
		s->xmm[n].u64[0] = s->xmm[n].u64[1] = s->gpr[n] * 0x3ff0000000000001ull;
	s->rip = mode == REAL ? 0 : CODE;
	s->rflags = 2 | (take16(in) & 0x8d5);
	s->gdt = (struct cpu_table){ GDT, 31 };
	s->idt = (struct cpu_table){ 0, mode == REAL ? 0x3ff : 0 };
	s->cr0 = 0x30 | (mode != REAL);
	s->cr2 = 0;
	s->cr3 = TABLES;
	s->cr4 = 0x600;
	s->efer = 0;
	s->mxcsr = 0x1f80;
	s->halted = false;
	s->interrupt_shadow = 0;
	s->exception = s->interrupt = (struct cpu_event){ 0 };
	s->tsc_offset = s->tsc_adjust = 0;
	if (mode == LONG) {
		s->cr0 |= 0x80010000u;
		s->cr4 |= 0x20;
		s->efer = 0xd01;
	}
}

/* ---- both -------------------------------------------------------------------------------------- */

static void compare(const struct side *x, const struct side *y)
{
	const struct cpu_state *a = x->s, *b = y->s;

	must(x->exit.reason == y->exit.reason);
	must(!memcmp(a->gpr, b->gpr, sizeof(a->gpr)));
	must(a->rip == b->rip);
	must(a->rflags == b->rflags);
	must(!memcmp(a->xmm, b->xmm, sizeof(a->xmm)) && a->mxcsr == b->mxcsr);
	must(a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4);
	must(a->efer == b->efer && a->halted == b->halted);
	must(a->interrupt_shadow == b->interrupt_shadow);
	for (int n = 0; n < CPU_NR_SEGS; n++)
		must(a->seg[n].base == b->seg[n].base && a->seg[n].sel == b->seg[n].sel);
	must(!memcmp(x->ram, y->ram, RAM_SIZE));
}

static bool asks_for_more(const struct side *s)
{
	return s->exit.reason == CPU_EXIT_IO || s->exit.reason == CPU_EXIT_MMIO ||
	       s->exit.reason == CPU_EXIT_HYPERCALL;
}

static void run(struct side *s)
{
	enter(s);
	cpu_soft_ops.run(s->cpu, BUDGET, &s->exit);
	cpu_soft_ops.state(s->cpu);
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
		run(a);
		run(b);
		if (!is_comparable(a, cr0) || !is_comparable(b, cr0))
			return;
		compare(a, b);
		if (!asks_for_more(a))
			return;
		enter(a);
		cpu_soft_ops.complete(a->cpu, answer);
		enter(b);
		cpu_soft_ops.complete(b->cpu, answer);
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
		make(&sides[n]);
	}
	make_cpu(slow);
	make_cpu(other);
	enter(slow);
	set_state(slow->s, mode, &in);
	make_ram(slow->ram, in.at, in.left, mode);
	memcpy(other->ram, slow->ram, RAM_SIZE);
	*other->s = *slow->s;
	for (int n = 0; n < 2; n++) {
		struct side *s = n ? other : slow;

		enter(s);
		s->tsc = 0;
		cpu_soft_ops.state_changed(s->cpu);
	}
	run_both(slow, other, slow->s->cr0);
}
