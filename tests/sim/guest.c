/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "world.h"

#include <string.h>

void guest_make(struct guest *g, const char *name)
{
	*g = (struct guest){ .name = name };
	sim_assert(!mmu_vcpu_create(world.mmu, &g->v));
	sim_name(g->v, sizeof(struct mmu_vcpu_head), name);
}

void guest_unmake(struct guest *g)
{
	mmu_vcpu_destroy(g->v);
	g->v = NULL;
}

static void drop_all(struct guest *g)
{
	memset(g->tlb, 0, sizeof(g->tlb));
}

void guest_poll(struct guest *g)
{
	sim_point();
	if (mmu_vcpu_requests(g->v) & MMU_REQ_FLUSH) {
		mmu_vcpu_flush_begin(g->v);
		drop_all(g);
		mmu_vcpu_flush_end(g->v);
	}
	g->live = true;
}

void guest_enter(struct guest *g)
{
	mmu_vcpu_enter(g->v);
	g->inside = true;
	guest_poll(g);
}

void guest_leave(struct guest *g)
{
	g->live = false;
	g->inside = false;
	mmu_vcpu_leave(g->v);
}

/* NULL: it must fault first. */
static uint8_t *translate(struct guest *g, uint64_t gfn, bool write)
{
	unsigned int i = gfn % GUEST_TLB;
	struct mmu_leaf leaf;

	if (g->tlb[i].host && g->tlb[i].gfn == gfn && (g->tlb[i].writable || !write))
		return g->tlb[i].host;
	if (!mmu_walk(g->v, gfn * PAGE, write ? MMU_WRITE : MMU_READ, &leaf))
		return NULL;
	g->tlb[i].gfn = gfn;
	g->tlb[i].host = leaf.host;
	g->tlb[i].writable = leaf.writable;
	return leaf.host;
}

static enum mmu_fault_result fault(struct guest *g, uint64_t gfn, bool write)
{
	enum mmu_fault_result result;

	guest_leave(g);
	result = mmu_fault(g->v, gfn * PAGE, write ? MMU_WRITE : MMU_READ, false, &g->info);
	guest_enter(g);
	return result;
}

enum mmu_fault_result guest_access(struct guest *g, uint64_t gfn, bool write)
{
	enum mmu_fault_result result = MMU_FAULT_OK;

	while (result == MMU_FAULT_OK) {
		uint8_t *host = translate(g, gfn, write);

		if (!host) {
			result = fault(g, gfn, write);
			continue;
		}
		sim_point();
		sim_alone_begin();
		walk_use(g->name, gfn, host, write);
		if (write)
			world_write(g->name, host);
		else
			world_read(g->name, host);
		sim_alone_end();
		guest_poll(g);
		return MMU_FAULT_OK;
	}
	sim_note("gfn %llx: exit %d", (unsigned long long)gfn, (int)result);
	return result;
}
