/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Engines beside each other: the same guest on each, with other fast paths. They must stop in the same places with the
 * same registers and the same memory. One thread; the clock is the engines' own (-Wl,--wrap=os_tsc).
 *
 * The guest's page tables lie where it cannot write: what a processor remembers of tables that change may be seen.
 */
#ifndef FUZZ_ENGINES_H
#define FUZZ_ENGINES_H

#include "cpu/cpu.h"
#include "mmu/memslot.h"

#define TABLES 0x1000u /* four pages, not in the guest's own addresses */
#define GDT 0x8000u
#define CODE 0x10000u

enum mode { REAL, PROTECTED, LONG, NR_MODES };

struct side {
	uint32_t off, always; /* paths */
	uint32_t ram_size;    /* at most 2 MiB */
	struct mmu *mmu;
	struct mmu_vcpu *vcpu;
	struct cpu *cpu;
	struct cpu_state *s;
	uint8_t *ram;
	uint64_t tsc;
	struct cpu_exit exit;
};

/* The process's paths and clock are this one's from here on. */
void side_enter(struct side *s);
/* By off, always and ram_size; no processor. */
void side_make(struct side *s);
/* A processor afresh. */
void side_make_cpu(struct side *s);
void side_unmake(struct side *s);
/* Memory, registers and clock as the other's. */
void side_start_as(struct side *s, const struct side *other);
void side_run(struct side *s, uint64_t budget);
void side_complete(struct side *s, const void *answer);
/* It waits for an answer. */
bool side_asks(const struct side *s);
/* NULL: nothing does. */
const char *sides_differ(const struct side *a, const struct side *b);

void put64(uint8_t *ram, uint64_t at, uint64_t value);
void make_gdt(uint8_t *ram);
/* 4 KiB pages, each where it is, with the rights that flags_of() gives, but for the tables themselves. */
void make_tables(uint8_t *ram, unsigned int (*flags_of)(unsigned int page));
/* All but the general registers, XMM, RFLAGS and the IDT. */
void set_mode(struct cpu_state *s, enum mode mode);

#endif
