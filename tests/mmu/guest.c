/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "guest.h"

#include <string.h>

#define ACCESSES_PER_BLOCK 16

uint64_t guest_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void count(_Atomic uint64_t *counter)
{
	os_racy_store(counter, os_racy_load(counter) + 1);
}

static struct guest_tlb_entry *translate(struct guest *g, uint64_t gfn, bool write)
{
	struct guest_tlb_entry *e = &g->tlb[gfn % GUEST_TLB_SIZE];
	struct mmu_leaf leaf;

	if (e->host && e->gfn == gfn && (e->writable || !write))
		return e;
	if (!mmu_walk(g->v, gfn * PAGE, write ? MMU_WRITE : MMU_READ, &leaf))
		return NULL;
	*e = (struct guest_tlb_entry){ gfn, leaf.host, leaf.writable };
	return e;
}

/* False when it must fault first. */
static bool access_page(struct guest *g, uint64_t gfn, bool write)
{
	struct guest_tlb_entry *e = translate(g, gfn, write);
	_Atomic uint64_t *word;

	if (!e)
		return false;
	word = (_Atomic uint64_t *)(void *)e->host;
	if (write)
		atomic_fetch_add_explicit(word, g->random | 1, memory_order_relaxed);
	else
		atomic_load_explicit(word, memory_order_relaxed);
	count(&g->accesses);
	return true;
}

static void fault(struct guest *g, uint64_t gfn, bool write)
{
	struct mmu_fault_info info;

	mmu_vcpu_leave(g->v);
	if (mmu_fault(g->v, gfn * PAGE, write ? MMU_WRITE : MMU_READ, false, &info) != MMU_FAULT_OK)
		count(&g->refusals);
	mmu_vcpu_enter(g->v);
}

static void flush(struct guest *g)
{
	mmu_vcpu_flush_begin(g->v);
	memset(g->tlb, 0, sizeof(g->tlb));
	mmu_vcpu_flush_end(g->v);
	count(&g->flushes);
}

/* Long after it looked at the requests: what it missed there shows. */
static void dawdle(void)
{
	for (int i = 0; i < 30; i++)
		os_relax();
}

static void run_block(struct guest *g)
{
	int nr = g->restless ? 1 : ACCESSES_PER_BLOCK;

	if (g->restless)
		dawdle();
	for (int i = 0; i < nr; i++) {
		uint64_t random = guest_random(&g->random);
		uint64_t gfn = g->base / PAGE + (random >> 8) % g->nr_pages;

		if (access_page(g, gfn, random & 1))
			continue;
		fault(g, gfn, random & 1);
		return;
	}
	if (!g->restless)
		return;
	mmu_vcpu_leave(g->v);
	mmu_vcpu_enter(g->v);
}

static void run(void *arg)
{
	struct guest *g = arg;
	uint32_t requests;

	mmu_vcpu_enter(g->v);
	while (!((requests = mmu_vcpu_requests(g->v)) & MMU_REQ_KICK)) {
		if (requests & MMU_REQ_FLUSH)
			flush(g);
		run_block(g);
	}
	mmu_vcpu_leave(g->v);
}

void guest_start(struct guest *g, struct mmu *mmu, uint64_t seed)
{
	g->random = seed * 0x9e3779b97f4a7c15u;
	assert_int_equal(mmu_vcpu_create(mmu, &g->v), 0);
	assert_int_equal(os_thread_create(run, g, "guest", &g->thread), 0);
	while (!os_racy_load(&g->accesses) && !os_racy_load(&g->refusals))
		os_yield();
}

void guest_stop(struct guest *g)
{
	mmu_vcpu_request(g->v, MMU_REQ_KICK);
	os_thread_join(g->thread);
	mmu_vcpu_destroy(g->v);
}
