/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Store buffers, as x86 has them: a store that others do not see yet, first in first out, its own thread sees it.
 *
 * A plain store cannot be kept back (the compiler has it done by the processor at once): see sim_touch().
 */
#include <string.h>

#include "os/sim/sim_private.h"

#define LONG_AGO 10000 /* points: no real buffer keeps a store for good */

void sim_stores_push(volatile void *addr, uint32_t size, uint64_t value)
{
	struct sim_fibre *f = sim.self;

	if (f->nr_stores == SIM_BUFFER_SIZE)
		sim_stores_drain_one(f);
	f->stores[f->nr_stores++] =
		(struct sim_store){ .addr = addr, .value = value, .since = sim.now, .size = size };
	sim.nr_stores++;
	if (sim.recording)
		sim_record_text("its store waits in the buffer");
}

static void look_whether_alive(const struct sim_fibre *f, const struct sim_store *s)
{
	uintptr_t at = (uintptr_t)s->addr - SIM_HEAP_BASE;

	if (at < SIM_HEAP_SIZE && sim_shadow[at >> 3] < SIM_LIVE)
		sim_heap_bad(s->addr, s->size, f->op.pc);
}

void sim_stores_drain_one(struct sim_fibre *f)
{
	struct sim_store s = f->stores[0];

	look_whether_alive(f, &s);
	memcpy((void *)(uintptr_t)s.addr, &s.value, s.size);
	f->nr_stores--;
	sim.nr_stores--;
	memmove(&f->stores[0], &f->stores[1], f->nr_stores * sizeof(f->stores[0]));
}

void sim_stores_drain_fibre(struct sim_fibre *f)
{
	while (f->nr_stores)
		sim_stores_drain_one(f);
}

void sim_stores_drain_all(void)
{
	unsigned int i;

	for (i = 0; sim.nr_stores; i++)
		sim_stores_drain_fibre(&sim.fibres[i]);
}

void sim_stores_expire(void)
{
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++) {
		struct sim_fibre *f = &sim.fibres[i];

		while (f->nr_stores && sim.now - f->stores[0].since > LONG_AGO)
			sim_stores_drain_one(f);
	}
}

static bool overlaps(const struct sim_store *s, uintptr_t addr, uint32_t size)
{
	return (uintptr_t)s->addr < addr + size && addr < (uintptr_t)s->addr + s->size;
}

bool sim_stores_forward(const volatile void *addr, uint32_t size, uint64_t *value)
{
	struct sim_fibre *f = sim.self;
	unsigned int i;

	for (i = f->nr_stores; i-- > 0;) {
		const struct sim_store *s = &f->stores[i];

		if (!overlaps(s, (uintptr_t)addr, size))
			continue;
		if (s->addr == addr && s->size == size) {
			*value = s->value;
			return true;
		}
		sim_stores_drain_fibre(f);
		return false;
	}
	return false;
}

bool sim_store_buffered(const volatile void *addr, size_t size)
{
	unsigned int i, k;

	for (i = 0; i < sim.nr_fibres; i++)
		for (k = 0; k < sim.fibres[i].nr_stores; k++)
			if (overlaps(&sim.fibres[i].stores[k], (uintptr_t)addr, (uint32_t)size))
				return true;
	return false;
}
