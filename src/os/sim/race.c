/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Data races: two plain accesses to the same bytes, one of them a store, and nothing in the program that puts one
 * before the other. That is how a lock that is forgotten is found: between two points a fibre is alone, so the
 * forgotten lock alone would do no harm here.
 *
 * What is before what is kept in clocks (FastTrack, Flanagan and Freund, 2009): each fibre counts its releases,
 * and has a vector of how far it knows the others. A lock, or an atomic location, hands the vector of who releases
 * to who acquires. For each 8 bytes of heap and anonymous mappings the last plain store and the last two plain
 * loads are known. A race that this forgets is found in another schedule; none is told that is none.
 */
#include <string.h>
#include <sys/mman.h>

#include "os/sim/sim_private.h"

#define NR_SYNCS (1u << 14)
#define NR_READS 2

struct clock {
	uint32_t of[SIM_MAX_FIBRES];
};

struct access {
	uint32_t clock, pc; /* pc: from the start of the program */
	uint8_t fibre, bytes;
};

struct cell {
	uint32_t run;
	struct access store, loads[NR_READS];
};

struct sync {
	uintptr_t key;
	uint32_t run;
	struct clock clock;
};

extern const char __executable_start[];

static struct cell *cells;
static struct sync *syncs;
static struct clock clocks[SIM_MAX_FIBRES], pending[SIM_MAX_FIBRES], fenced[SIM_MAX_FIBRES];
static uint32_t run;

void sim_race_init(void)
{
	size_t size = ((SIM_HEAP_SIZE + SIM_ANON_SIZE) >> 3) * sizeof(struct cell);
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *table = mmap(NULL, NR_SYNCS * sizeof(struct sync), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED || table == MAP_FAILED)
		sim_fail("no address space");
	cells = map;
	syncs = table;
}

void sim_race_reset(void)
{
	run++;
	memset(clocks, 0, sizeof(clocks));
	memset(pending, 0, sizeof(pending));
	memset(fenced, 0, sizeof(fenced));
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static void join(struct clock *to, const struct clock *from)
{
	unsigned int i;

	for (i = 0; i < SIM_MAX_FIBRES; i++)
		if (to->of[i] < from->of[i])
			to->of[i] = from->of[i];
}

static struct clock *own(void)
{
	return &clocks[sim.self->index];
}

static struct sync *sync_find(uintptr_t key, bool make)
{
	unsigned int i = (unsigned int)((key * 0x9e3779b97f4a7c15ull) >> 50), tries;

	for (tries = 0; tries < NR_SYNCS; tries++, i = (i + 1) % NR_SYNCS) {
		struct sync *s = &syncs[i];

		if (s->run == run && s->key == key)
			return s;
		if (s->run == run)
			continue;
		if (!make)
			return NULL;
		s->run = run;
		s->key = key;
		memset(&s->clock, 0, sizeof(s->clock));
		return s;
	}
	sim_fail("too many locations: that are released");
}

void sim_race_acquire(const volatile void *addr, unsigned int part)
{
	struct sync *s = sim.self ? sync_find((uintptr_t)addr * 2 + part, false) : NULL;

	if (s)
		join(own(), &s->clock);
}

void sim_race_release(const volatile void *addr, unsigned int part)
{
	if (!sim.self)
		return;
	join(&sync_find((uintptr_t)addr * 2 + part, true)->clock, own());
	own()->of[sim.self->index]++;
}

static bool acquires(int order)
{
	return order == 1 || order == 2 || order >= 4;
}

static bool releases(int order)
{
	return order >= 3;
}

void sim_race_load(const volatile void *addr, int order)
{
	struct sync *s = sync_find((uintptr_t)addr * 2, false);

	if (s)
		join(acquires(order) ? own() : &pending[sim.self->index], &s->clock);
}

void sim_race_store(const volatile void *addr, int order)
{
	unsigned int me = sim.self->index;
	struct sync *s = sync_find((uintptr_t)addr * 2, releases(order) || fenced[me].of[me]);

	if (!s)
		return;
	s->clock = releases(order) ? clocks[me] : fenced[me];
	if (releases(order))
		own()->of[me]++;
}

void sim_race_rmw(const volatile void *addr, int order)
{
	unsigned int me = sim.self->index;
	struct sync *s = sync_find((uintptr_t)addr * 2, releases(order) || fenced[me].of[me]);

	if (!s)
		return;
	join(acquires(order) ? own() : &pending[me], &s->clock);
	join(&s->clock, releases(order) ? own() : &fenced[me]);
	if (releases(order))
		own()->of[me]++;
}

void sim_race_fence(int order)
{
	unsigned int me = sim.self->index;

	if (acquires(order))
		join(own(), &pending[me]);
	if (releases(order)) {
		fenced[me] = clocks[me];
		own()->of[me]++;
	}
}

void sim_race_spawned(const struct sim_fibre *f)
{
	if (sim.self) {
		clocks[f->index] = *own();
		own()->of[sim.self->index]++;
	}
	clocks[f->index].of[f->index] = 1;
}

/* Whatever another has done is before what this one does next. */
void sim_race_after(const struct sim_fibre *f)
{
	join(own(), &clocks[f->index]);
	clocks[f->index].of[f->index]++;
}

void sim_race_after_all(void)
{
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++)
		if (&sim.fibres[i] != sim.self)
			sim_race_after(&sim.fibres[i]);
}

/* ---- accesses -------------------------------------------------------------------------------- */

_Noreturn static void race(const struct access *before, bool was_store, const volatile void *addr,
			   const char *what, const void *pc)
{
	char name[80];

	sim_addr_text(addr, name, sizeof(name));
	sim_fail("data race: %s: %s by %s {0x%llx} and %s by %s {%p}", name,
		 was_store ? "a store" : "a load", sim.fibres[before->fibre].name,
		 (unsigned long long)((uintptr_t)__executable_start + before->pc), what,
		 sim.self->name, pc);
}

static bool is_race(const struct access *before, uint8_t bytes)
{
	return before->bytes & bytes && before->fibre != sim.self->index &&
	       before->clock > own()->of[before->fibre];
}

static struct cell *cell_of(uintptr_t at)
{
	struct cell *c = &cells[(at - SIM_HEAP_BASE) >> 3];

	if (c->run != run) {
		memset(c, 0, sizeof(*c));
		c->run = run;
	}
	return c;
}

static void note_load(struct cell *c, const struct access *a)
{
	/* The last of each of two fibres. */
	if (c->loads[0].bytes && c->loads[0].fibre != a->fibre)
		c->loads[1] = c->loads[0];
	c->loads[0] = *a;
}

static void plain_at(uintptr_t at, uint8_t bytes, bool writes, const void *pc)
{
	struct cell *c = cell_of(at);
	struct access a = { .clock = own()->of[sim.self->index],
			    .pc = (uint32_t)((uintptr_t)pc - (uintptr_t)__executable_start),
			    .fibre = (uint8_t)sim.self->index,
			    .bytes = bytes };
	const volatile void *addr = (const volatile void *)at;
	unsigned int i;

	if (is_race(&c->store, bytes))
		race(&c->store, true, addr, writes ? "a store" : "a load", pc);
	if (!writes) {
		note_load(c, &a);
		return;
	}
	for (i = 0; i < NR_READS; i++)
		if (is_race(&c->loads[i], bytes))
			race(&c->loads[i], false, addr, "a store", pc);
	c->store = a;
}

static uint8_t bytes_of(uintptr_t at, uintptr_t end)
{
	unsigned int first = at & 7, last = end - (at & ~(uintptr_t)7) >= 8 ? 8 : end & 7;

	return (uint8_t)(((1u << last) - 1) & ~((1u << first) - 1));
}

void sim_race_plain(const volatile void *addr, uint32_t size, bool writes, const void *pc)
{
	uintptr_t at = (uintptr_t)addr, end = at + size;

	if (sim.quiet)
		return;
	for (; at < end; at = (at & ~(uintptr_t)7) + 8)
		plain_at(at, bytes_of(at, end), writes, pc);
}

/* An atomic access to what another has stored by a plain one. */
void sim_race_atomic(const volatile void *addr, uint32_t size, const void *pc)
{
	uintptr_t at = (uintptr_t)addr;
	struct cell *c;

	if (sim.quiet || at - SIM_HEAP_BASE >= SIM_HEAP_SIZE + SIM_ANON_SIZE)
		return;
	c = cell_of(at);
	if (is_race(&c->store, bytes_of(at, at + size)))
		race(&c->store, true, addr, "an atomic access", pc);
}
