/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "engines.h"

#include <string.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/paths.h"

static struct side *current;

uint64_t __wrap_os_tsc(void);
uint64_t __wrap_os_tsc(void)
{
	return current->tsc += 1000;
}

/* ---- engines ----------------------------------------------------------------------------------- */

void side_enter(struct side *s)
{
	current = s;
	os_paths_off = s->off;
	os_paths_always = s->always;
}

void side_make(struct side *s)
{
	struct mmu_config config = { .gpa_bits = 48 };
	struct memslot slot = { .nr_pages = s->ram_size >> OS_PAGE_SHIFT };

	side_enter(s);
	s->ram =
		mmap(NULL, s->ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	os_assert(s->ram != MAP_FAILED);
	slot.hva = (uintptr_t)s->ram;
	os_assert(mmu_create(&config, &s->mmu) == 0);
	os_assert(memslot_create(s->mmu, &slot, false) == 0);
	os_assert(mmu_vcpu_create(s->mmu, &s->vcpu) == 0);
}

void side_make_cpu(struct side *s)
{
	side_enter(s);
	if (s->cpu)
		cpu_soft_ops.destroy(s->cpu);
	os_assert(cpu_soft_ops.create(s->mmu, s->vcpu, &s->cpu) == 0);
	s->s = cpu_soft_ops.state(s->cpu);
}

void side_unmake(struct side *s)
{
	side_enter(s);
	cpu_soft_ops.destroy(s->cpu);
	s->cpu = NULL;
	mmu_vcpu_destroy(s->vcpu);
	memslot_delete(s->mmu, memslot_any(s->mmu));
	mmu_destroy(s->mmu);
	munmap(s->ram, s->ram_size);
}

void side_start_as(struct side *s, const struct side *other)
{
	side_enter(s);
	if (s != other) {
		memcpy(s->ram, other->ram, s->ram_size);
		*s->s = *other->s;
	}
	s->tsc = 0;
	cpu_soft_ops.state_changed(s->cpu);
}

void side_run(struct side *s, uint64_t budget)
{
	side_enter(s);
	cpu_soft_ops.run(s->cpu, budget, &s->exit);
	cpu_soft_ops.state(s->cpu);
}

void side_complete(struct side *s, const void *answer)
{
	side_enter(s);
	cpu_soft_ops.complete(s->cpu, answer);
}

bool side_asks(const struct side *s)
{
	return s->exit.reason == CPU_EXIT_IO || s->exit.reason == CPU_EXIT_MMIO ||
	       s->exit.reason == CPU_EXIT_HYPERCALL;
}

static bool same_segments(const struct cpu_state *a, const struct cpu_state *b)
{
	for (int n = 0; n < CPU_NR_SEGS; n++)
		if (a->seg[n].base != b->seg[n].base || a->seg[n].sel != b->seg[n].sel)
			return false;
	return true;
}

const char *sides_differ(const struct side *x, const struct side *y)
{
	const struct cpu_state *a = x->s, *b = y->s;

	if (x->exit.reason != y->exit.reason)
		return "reason of the exit";
	if (memcmp(a->gpr, b->gpr, sizeof(a->gpr)))
		return "registers";
	if (a->rip != b->rip)
		return "RIP";
	if (a->rflags != b->rflags)
		return "RFLAGS";
	if (memcmp(a->xmm, b->xmm, sizeof(a->xmm)) || a->mxcsr != b->mxcsr)
		return "XMM registers";
	if (a->cr0 != b->cr0 || a->cr2 != b->cr2 || a->cr3 != b->cr3 || a->cr4 != b->cr4 ||
	    a->efer != b->efer)
		return "control registers";
	if (!same_segments(a, b))
		return "segments";
	if (a->halted != b->halted || a->interrupt_shadow != b->interrupt_shadow)
		return "what stands still";
	return memcmp(x->ram, y->ram, x->ram_size) ? "memory" : NULL;
}

/* ---- the guest --------------------------------------------------------------------------------- */

void put64(uint8_t *ram, uint64_t at, uint64_t value)
{
	memcpy(ram + at, &value, sizeof(value));
}

void make_gdt(uint8_t *ram)
{
	static const uint64_t gdt[] = {
		0,
		0x00af9b000000ffff,
		0x00cf93000000ffff,
		0x00cf9b000000ffff,
	};

	memcpy(ram + GDT, gdt, sizeof(gdt));
}

void make_tables(uint8_t *ram, unsigned int (*flags_of)(unsigned int page))
{
	put64(ram, TABLES, (TABLES + 0x1000) | 7);
	put64(ram, TABLES + 0x1000, (TABLES + 0x2000) | 7);
	put64(ram, TABLES + 0x2000, (TABLES + 0x3000) | 7);
	for (unsigned int n = 0; n < 512; n++) {
		uint64_t at = (uint64_t)n << OS_PAGE_SHIFT;
		bool is_table = at >= TABLES && at < TABLES + 0x4000;
		unsigned int flags = flags_of(n);

		put64(ram, TABLES + 0x3000 + 8 * n, is_table ? 0 : at | flags);
	}
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

void set_mode(struct cpu_state *s, enum mode mode)
{
	set_segments(s, mode);
	s->rip = mode == REAL ? 0 : CODE;
	s->gdt = (struct cpu_table){ GDT, 31 };
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
		s->cr0 |= 0x80010000u; /* PG WP */
		s->cr4 |= 0x20;
		s->efer = 0xd01;
	}
}
