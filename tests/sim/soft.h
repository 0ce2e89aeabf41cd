/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A vCPU that runs guest code on cpu/soft, in 64-bit mode with page tables of its own. Its program counts in words
 * of the first page of BASE, and of two pages at once:
 *
 *	word 1 + n		guest n writes a counter, and may read it back
 *	word 4			all guests add 1 with a lock prefix
 *	the last four bytes,	guest 0 writes its counter there, half in the next page
 *	and four of the next
 *
 * Code and page tables lie in memory of the program, each behind a memslot of its own, so that every step of every
 * translation is a guest access, too.
 */
#ifndef GMEM_TESTS_SIM_SOFT_H
#define GMEM_TESTS_SIM_SOFT_H

#include "cpu/cpu.h"
#include "world.h"

#define NR_SOFT 2u
#define SOFT_WORD 1u
#define SOFT_SUM 4u
#define SOFT_CODE_SLOT 7u

struct soft_guest {
	unsigned int nr;
	unsigned int turns;
	bool reads_back; /* what it wrote is what it reads: nobody punches or has another half */
	bool crosses;	 /* also at the end of the page */
	struct mmu_vcpu *v;
	struct cpu *cpu;
	struct cpu_exit exit;
};
extern struct soft_guest soft_guests[NR_SOFT];

/* In setup, after world_make_mapped(). */
struct soft_guest *soft_make(unsigned int nr, struct soft_guest what);
/* In teardown, before world_unmake(). */
void soft_unmake(void);
/* An actor: to its end. */
void soft_runs(void *arg);
/* An actor: kicks it, twice. */
void soft_kicker(void *arg);

#endif
