/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest for tests of the soft CPU: one VM with RAM from 0, one vCPU (or more on the same RAM), started
 * flat in real, protected or long mode, and code as bytes.
 *
 *	gpa	0x00000		free (the interrupt table of real mode)
 *		0x01000		long mode: page tables, every gva = gpa up to 1 GiB in 2 MiB pages
 *		0x08000		GUEST_GDT: null, code 64, data, code 32, code 16, data 16
 *		0x10000		GUEST_CODE
 *		0x80000		GUEST_STACK, downwards
 *		0x100000	GUEST_DATA, up to the RAM's end; behind it are devices
 */
#ifndef GMEM_TESTS_CPU_HARNESS_H
#define GMEM_TESTS_CPU_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "mmu/memslot.h"
#include "mmu/mmu.h"

#define GUEST_GDT 0x8000u
#define GUEST_CODE 0x10000u
#define GUEST_STACK 0x80000u
#define GUEST_DATA 0x100000u
#define GUEST_RAM ((uint64_t)16 << 20)
#define GUEST_TABLES 0x1000u

enum guest_mode { GUEST_REAL, GUEST_PROTECTED, GUEST_LONG };

struct guest {
	struct mmu *mmu;
	struct mmu_vcpu *v;
	struct cpu *cpu;
	struct cpu_state *s; /* of the vCPU; changed: guest_changed() */
	struct cpu_exit exit;
	uint8_t *ram; /* host address of gpa 0 */
};

void guest_make(struct guest *g, enum guest_mode mode);
/* A second vCPU on the same RAM, in the same mode; unmade before the first. */
void guest_make_beside(struct guest *g, const struct guest *first, enum guest_mode mode);
void guest_unmake(struct guest *g);
void guest_unmake_beside(struct guest *g);

/* Segments, control registers, RIP at GUEST_CODE, RSP at GUEST_STACK (real mode: 0x7000, DS.. at 0). */
void guest_start(struct guest *g, enum guest_mode mode);
void guest_changed(struct guest *g);

/* Copies code to GUEST_CODE (or to gpa). */
void guest_code(struct guest *g, const void *bytes, size_t size);
void guest_put(struct guest *g, uint64_t gpa, const void *bytes, size_t size);
#define GUEST_CODE_BYTES(g, ...) \
	guest_code((g), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Runs until there is a reason to stop, or budget instructions (0: none). */
enum cpu_exit_reason guest_run(struct guest *g, uint64_t budget);
/* Runs and asserts the reason. */
void guest_run_to(struct guest *g, enum cpu_exit_reason reason);
void guest_complete(struct guest *g, const void *data);

/* Long mode: maps the 4 KiB page at gva to gpa with these flags (1 P, 2 W, 4 U, 1ull << 63 NX), splitting
 * the large page; 0 flags: not present. Returns the host address of its entry. */
uint64_t *guest_map(struct guest *g, uint64_t gva, uint64_t gpa, uint64_t flags);

static inline uint64_t guest_read(const struct guest *g, uint64_t gpa, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, g->ram + gpa, size);
	return v;
}

static inline void guest_write(struct guest *g, uint64_t gpa, unsigned int size, uint64_t value)
{
	memcpy(g->ram + gpa, &value, size);
}

/* Installs handlers in long mode for all 32 vectors: each ends in HLT with RAX = vector; the stack then
 * has the frame (error code where there is one). */
void guest_handlers(struct guest *g);
#define GUEST_IDT 0x9000u
#define GUEST_HANDLERS 0xa000u /* vector n at + 16 * n */

#endif
