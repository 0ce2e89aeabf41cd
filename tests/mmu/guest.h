/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A simulated vCPU: a thread that enters, polls at every block, keeps translations in a TLB of its own,
 * reads and writes through host pointers, and leaves to fault: as an engine does, without instructions.
 *
 * The guest's accesses are atomic, the test's own are not: the thread sanitizer reports any that are
 * not ordered by a bracket.
 */
#ifndef GMEM_TESTS_MMU_GUEST_H
#define GMEM_TESTS_MMU_GUEST_H

#include "fixture.h"

#define GUEST_TLB_SIZE 64

struct guest_tlb_entry {
	uint64_t gfn;
	uint8_t *host; /* NULL: empty */
	bool writable;
};

struct guest {
	uint64_t base, nr_pages; /* the guest addresses it touches at random */
	bool restless;		 /* leaves and enters after every access */
	/* private */
	struct mmu_vcpu *v;
	struct os_thread *thread;
	uint64_t random;
	struct guest_tlb_entry tlb[GUEST_TLB_SIZE];
	_Atomic uint64_t accesses, flushes, refusals; /* refusals: faults that are exits */
};

void guest_start(struct guest *g, struct mmu *mmu, uint64_t seed);
void guest_stop(struct guest *g);
uint64_t guest_random(uint64_t *state);

#endif
