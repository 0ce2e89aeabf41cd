/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "harness.h"

#include <signal.h>
#include <sys/mman.h>

#include "os/fault.h"

#define TABLE_FLAGS 7u
#define LARGE 0x80u

/* cmocka has its own handlers for each test: what is the engine's goes to it first. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	os_fault_signal(signo, info, context);
	signal(signo, SIG_DFL);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	assert_int_equal(os_fault_init(), 0);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static void add_ram(struct guest *g)
{
	struct memslot slot = { .nr_pages = GUEST_RAM >> 12 };

	g->ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->ram, MAP_FAILED);
	slot.hva = (uint64_t)(uintptr_t)g->ram;
	assert_int_equal(memslot_create(g->mmu, &slot, false), 0);
}

static void make_tables(struct guest *g)
{
	uint64_t *table = (uint64_t *)(g->ram + GUEST_TABLES);

	table[0] = (GUEST_TABLES + 0x1000) | TABLE_FLAGS;
	table[512] = (GUEST_TABLES + 0x2000) | TABLE_FLAGS;
	for (uint64_t n = 0; n < 512; n++)
		table[1024 + n] = n << 21 | TABLE_FLAGS | LARGE;
}

static void make_gdt(struct guest *g)
{
	static const uint64_t gdt[] = {
		0,
		0x00af9b000000ffff, /* 0x08: 64-bit code */
		0x00cf93000000ffff, /* 0x10: data */
		0x00cf9b000000ffff, /* 0x18: 32-bit code */
		0x008f9b000000ffff, /* 0x20: 16-bit code, 4 GiB */
		0x000093000000ffff, /* 0x28: 16-bit data */
	};

	memcpy(g->ram + GUEST_GDT, gdt, sizeof(gdt));
}

static void add_vcpu(struct guest *g, enum guest_mode mode)
{
	assert_int_equal(mmu_vcpu_create(g->mmu, &g->v), 0);
	assert_int_equal(cpu_soft_ops.create(g->mmu, g->v, &g->cpu), 0);
	g->s = cpu_soft_ops.state(g->cpu);
	guest_start(g, mode);
}

void guest_make(struct guest *g, enum guest_mode mode)
{
	struct mmu_config config = { .gpa_bits = 48 };

	memset(g, 0, sizeof(*g));
	catch_faults();
	assert_int_equal(mmu_create(&config, &g->mmu), 0);
	add_ram(g);
	make_tables(g);
	make_gdt(g);
	add_vcpu(g, mode);
}

void guest_make_beside(struct guest *g, const struct guest *first, enum guest_mode mode)
{
	memset(g, 0, sizeof(*g));
	g->mmu = first->mmu;
	g->ram = first->ram;
	add_vcpu(g, mode);
}

void guest_unmake_beside(struct guest *g)
{
	cpu_soft_ops.destroy(g->cpu);
	mmu_vcpu_destroy(g->v);
}

void guest_unmake(struct guest *g)
{
	struct memslot *slot;

	guest_unmake_beside(g);
	while ((slot = memslot_any(g->mmu)))
		memslot_delete(g->mmu, slot);
	mmu_destroy(g->mmu);
	munmap(g->ram, GUEST_RAM);
}

static void start_segments(struct guest *g, enum guest_mode mode)
{
	bool real = mode == GUEST_REAL;
	struct cpu_seg data = { .limit = real ? 0xffff : 0xffffffff,
				.sel = real ? 0 : 0x10,
				.type = 3,
				.s = 1,
				.p = 1,
				.db = !real,
				.g = !real };

	for (int n = 0; n < CPU_NR_SEGS; n++)
		g->s->seg[n] = data;
	g->s->seg[CPU_CS].type = 11;
	g->s->seg[CPU_CS].sel = mode == GUEST_LONG ? 8 : real ? GUEST_CODE >> 4 : 0x18;
	g->s->seg[CPU_CS].base = real ? GUEST_CODE : 0;
	g->s->seg[CPU_CS].l = mode == GUEST_LONG;
	g->s->seg[CPU_CS].db = mode == GUEST_PROTECTED;
}

void guest_start(struct guest *g, enum guest_mode mode)
{
	struct cpu_state *s = g->s;

	memset(s->gpr, 0, sizeof(s->gpr));
	start_segments(g, mode);
	s->rip = mode == GUEST_REAL ? 0 : GUEST_CODE;
	s->gpr[CPU_RSP] = mode == GUEST_REAL ? 0x7000 : GUEST_STACK;
	s->rflags = 2;
	s->gdt.base = GUEST_GDT;
	s->gdt.limit = 47;
	s->cr0 = 0x30 | (mode != GUEST_REAL);
	s->cr4 = 0x600; /* SSE */
	s->efer = 0;
	s->cr3 = GUEST_TABLES;
	s->halted = false;
	s->interrupt_shadow = 0;
	s->exception = s->interrupt = (struct cpu_event){ 0 };
	if (mode == GUEST_LONG) {
		s->cr0 |= 1u << 31;
		s->cr4 |= 1u << 5;
		s->efer = 0xd01; /* SCE LME LMA NXE */
	}
	guest_changed(g);
}

void guest_changed(struct guest *g)
{
	cpu_soft_ops.state_changed(g->cpu);
}

void guest_put(struct guest *g, uint64_t gpa, const void *bytes, size_t size)
{
	memcpy(g->ram + gpa, bytes, size);
}

void guest_code(struct guest *g, const void *bytes, size_t size)
{
	guest_put(g, GUEST_CODE, bytes, size);
}

enum cpu_exit_reason guest_run(struct guest *g, uint64_t budget)
{
	cpu_soft_ops.run(g->cpu, budget, &g->exit);
	cpu_soft_ops.state(g->cpu);
	return g->exit.reason;
}

void guest_run_to(struct guest *g, enum cpu_exit_reason reason)
{
	assert_int_equal(guest_run(g, 0), reason);
}

void guest_complete(struct guest *g, const void *data)
{
	cpu_soft_ops.complete(g->cpu, data);
}

/* Tables of 4 KiB pages that guest_map() has made lie at the end of the RAM, by their 2 MiB. */
static uint64_t *split(struct guest *g, uint64_t gva)
{
	uint64_t n = gva >> 21 & 511, at = GUEST_RAM - (n % 64 + 1) * 4096;
	uint64_t *directory = (uint64_t *)(g->ram + GUEST_TABLES + 0x2000);
	uint64_t *table = (uint64_t *)(g->ram + at);

	if (!(directory[n] & LARGE))
		return table;
	for (uint64_t k = 0; k < 512; k++)
		table[k] = n << 21 | k << 12 | TABLE_FLAGS;
	directory[n] = at | TABLE_FLAGS;
	return table;
}

uint64_t *guest_map(struct guest *g, uint64_t gva, uint64_t gpa, uint64_t flags)
{
	uint64_t *entry = &split(g, gva)[gva >> 12 & 511];

	*entry = flags ? gpa | flags : 0;
	return entry;
}

void guest_handlers(struct guest *g)
{
	for (uint64_t n = 0; n < 32; n++) {
		uint64_t at = GUEST_HANDLERS + 16 * n;
		uint8_t code[] = { 0xb8, n, 0, 0, 0, 0xf4 }; /* mov eax, n; hlt */
		uint64_t gate = (at & 0xffff) | 8 << 16 | 0x8e0000000000 | (at & 0xffff0000) << 32;

		guest_put(g, at, code, sizeof(code));
		guest_write(g, GUEST_IDT + 16 * n, 8, gate);
		guest_write(g, GUEST_IDT + 16 * n + 8, 8, 0);
	}
	g->s->idt.base = GUEST_IDT;
	g->s->idt.limit = 32 * 16 - 1;
	guest_changed(g);
}
