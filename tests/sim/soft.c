/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "soft.h"

#include <string.h>

#include "core/attr_node.h"
#include "cpu/soft/soft.h"
#include "mmu/mmu_private.h"

#define OWN_FIRST NR_PAGES /* of the memory, behind what is watched */
#define OWN_PAGES 5u
#define CODE_SIZE 128u
#define TABLE_BITS 7u
#define LARGE 0x80u

struct soft_guest soft_guests[NR_SOFT];

/* ---- code -------------------------------------------------------------------------------------- */

struct code {
	uint8_t *at;
	unsigned int len;
};

static void put(struct code *c, const void *bytes, unsigned int len)
{
	memcpy(c->at + c->len, bytes, len);
	c->len += len;
}

#define PUT(c, ...) \
	put(c, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* mov [r12 + disp32], rbx; and back, compared: fail is 2 bytes in front of the start. */
static void put_store(struct code *c, uint32_t disp, bool reads_back)
{
	PUT(c, 0x49, 0x89, 0x9c, 0x24);
	put(c, &disp, 4);
	if (!reads_back)
		return;
	PUT(c, 0x49, 0x8b, 0x84, 0x24); /* mov rax, [r12 + disp] */
	put(c, &disp, 4);
	PUT(c, 0x48, 0x39, 0xd8);		     /* cmp rax, rbx */
	PUT(c, 0x75, (uint8_t) - (int)(c->len + 2)); /* jne fail */
}

/* Returns where it starts. */
static unsigned int put_program(struct soft_guest *g, uint8_t *at)
{
	struct code c = { .at = at };
	unsigned int loop;

	PUT(&c, 0xe6, 0xe9); /* fail: out 0xe9, al */
	loop = c.len;
	PUT(&c, 0x48, 0xff, 0xc3); /* inc rbx */
	put_store(&c, 8 * (SOFT_WORD + g->nr), g->reads_back);
	PUT(&c, 0xf0, 0x49, 0x83, 0x44, 0x24, 8 * SOFT_SUM, 1); /* lock add qword [r12 + ..], 1 */
	if (g->crosses)
		put_store(&c, PAGE - 4, g->reads_back);
	PUT(&c, 0x48, 0xff, 0xc9);				/* dec rcx */
	PUT(&c, 0x75, (uint8_t)((int)loop - (int)(c.len + 2))); /* jnz loop */
	PUT(&c, 0xf4);						/* hlt */
	sim_assert(c.len <= CODE_SIZE);
	return loop;
}

/* ---- life -------------------------------------------------------------------------------------- */

static uint64_t *own(unsigned int page)
{
	return (uint64_t *)(void *)(world.memory + (OWN_FIRST + page) * PAGE);
}

/* Guest addresses are guest physical ones: the first 2 MiB, and those at 1 GiB. */
static void make_tables(void)
{
	own(1)[0] = 2 * PAGE | TABLE_BITS;
	own(2)[0] = 3 * PAGE | TABLE_BITS;
	own(2)[1] = 4 * PAGE | TABLE_BITS;
	own(3)[0] = TABLE_BITS | LARGE;
	own(4)[0] = BASE * PAGE | TABLE_BITS | LARGE;
	world_slot(SOFT_CODE_SLOT, 0, 1, OWN_FIRST, 0, NULL, 0);
	world_slot(SOFT_CODE_SLOT + 1, 1, OWN_PAGES - 1, OWN_FIRST + 1, 0, NULL, 0);
}

static void start(struct soft_guest *g)
{
	struct cpu_state *s = cpu_soft_ops.state(g->cpu);

	for (int n = 0; n < CPU_NR_SEGS; n++)
		s->seg[n] = (struct cpu_seg){
			.limit = 0xffffffff, .sel = 0x10, .type = 3, .s = 1, .p = 1, .db = 1, .g = 1
		};
	s->seg[CPU_CS].type = 11;
	s->seg[CPU_CS].sel = 8;
	s->seg[CPU_CS].l = 1;
	s->seg[CPU_CS].db = 0;
	s->cr0 = 0x80000031;
	s->cr3 = PAGE;
	s->cr4 = 0x20;
	s->efer = 0xd00;
	s->rip = g->nr * CODE_SIZE + put_program(g, (uint8_t *)own(0) + g->nr * CODE_SIZE);
	s->gpr[CPU_RCX] = g->turns;
	s->gpr[CPU_RBX] = (uint64_t)(g->nr + 1) << 32;
	s->gpr[12] = BASE * PAGE;
	cpu_soft_ops.state_changed(g->cpu);
}

/* A flush that is done reached all there was to flush: then what is cached is good. */
static void check_cached(void *arg)
{
	const struct soft_guest *g = arg;
	const struct soft *c = (const struct soft *)g->cpu;

	if (!os_racy_load(&g->v->head.inside) || sim_mutex_holder(&world.mmu->lock) ||
	    atomic_load(&g->v->flushed) < atomic_load(&world.mmu->flush_wanted))
		return;
	for (uint64_t gfn = BASE; gfn < BASE + NR_PAGES; gfn++)
		for (int access = 0; access < ACCESS_NR; access++) {
			const struct tlb_entry *e = &c->tlb[access][gfn & (TLB_SIZE - 1)];

			if ((e->tag & ~(uint64_t)0xfff) == gfn * PAGE)
				walk_cached("a vCPU", gfn, e->host, access == ACCESS_WRITE);
		}
}

struct soft_guest *soft_make(unsigned int nr, struct soft_guest what)
{
	struct soft_guest *g = &soft_guests[nr];

	if (!nr) {
		memset(soft_guests, 0, sizeof(soft_guests));
		make_tables();
	}
	*g = what;
	g->nr = nr;
	sim_assert(!mmu_vcpu_create(world.mmu, &g->v));
	sim_assert(!cpu_soft_ops.create(world.mmu, g->v, &g->cpu));
	sim_name(g->v, sizeof(struct mmu_vcpu_head), nr ? "vCPU 1" : "vCPU 0");
	start(g);
	sim_invariant(SIM_AT_SWITCH, check_cached, g);
	return g;
}

void soft_unmake(void)
{
	for (unsigned int i = 0; i < NR_SOFT; i++) {
		struct soft_guest *g = &soft_guests[i];

		if (!g->cpu)
			continue;
		cpu_soft_ops.destroy(g->cpu);
		mmu_vcpu_destroy(g->v);
	}
}

/* ---- actors ------------------------------------------------------------------------------------ */

static bool goes_on(struct soft_guest *g)
{
	switch (g->exit.reason) {
	case CPU_EXIT_KICK:
	case CPU_EXIT_MMIO:	 /* the memslot is away: not answered, it is tried again */
	case CPU_EXIT_EMULATION: /* ... where the code is */
	case CPU_EXIT_MEMORY_FAULT:
		sim_note("exit %d", (int)g->exit.reason);
		return true;
	case CPU_EXIT_HLT:
		return false;
	case CPU_EXIT_IO:
		sim_fail("guest: it reads what it did not write");
	default:
		sim_fail("guest: exit %d", (int)g->exit.reason);
	}
}

void soft_runs(void *arg)
{
	struct soft_guest *g = arg;

	do {
		cpu_soft_ops.run(g->cpu, 0, &g->exit);
	} while (goes_on(g));
	sim_assert(cpu_soft_ops.state(g->cpu)->gpr[CPU_RBX] ==
		   ((uint64_t)(g->nr + 1) << 32) + g->turns);
}

void soft_kicker(void *arg)
{
	struct soft_guest *g = arg;

	for (int i = 0; i < 2; i++) {
		sim_point();
		mmu_vcpu_request(g->v, MMU_REQ_KICK);
	}
}
