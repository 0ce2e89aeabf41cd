/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Probabilistic concurrency testing (Burckhardt and others, 2010): fibres have priorities, the highest that can go
 * on does, and at a few points, drawn before, the one that runs falls below all others. A bug that needs d such
 * changes is found with a probability that does not sink with the number of ways to interleave.
 *
 * The range from which the points are drawn is part of the seed (sim_pct_seed()): about as long as the schedules before
 * were, or less.
 */
#include "os/sim/sim_private.h"

#define MAX_CHANGES 4

static uint64_t state, changes[MAX_CHANGES], lowest;
static unsigned int nr_changes, next_change;
static bool holds;

/* Powers of two, four steps each. */
static uint64_t range_of(uint64_t seed)
{
	static const unsigned int quarter[4] = { 64, 76, 91, 108 };
	uint64_t code = seed >> SIM_PCT_SHIFT & 63;

	return ((uint64_t)quarter[code % 4] << (code / 4)) / 64;
}

uint64_t sim_pct_seed(uint64_t seed, uint64_t points)
{
	uint64_t code = 12, spread;

	while (code < 63 && range_of(code << SIM_PCT_SHIFT) < points)
		code++;
	/* Every other schedule tries a shorter range. */
	spread = seed & 1 ? sim_rng(&(uint64_t){ seed }) % 16 : 0;
	return seed | (code > spread + 8 ? code - spread : 8) << SIM_PCT_SHIFT;
}

static void begin(uint64_t seed)
{
	uint64_t range;
	unsigned int i, k;

	state = seed;
	range = range_of(seed);
	nr_changes = 1 + (unsigned int)(sim_rng(&state) % MAX_CHANGES);
	next_change = 0;
	lowest = 1u << 20;
	holds = sim_rng(&state) & 1;
	for (i = 0; i < nr_changes; i++) {
		uint64_t at = 1 + sim_rng(&state) % range;

		for (k = i; k && changes[k - 1] > at; k--)
			changes[k] = changes[k - 1];
		changes[k] = at;
	}
}

static void spawned(struct sim_fibre *f)
{
	f->priority = (1u << 20) + sim_rng(&state) % (1u << 30);
}

static void fall(struct sim_fibre *f)
{
	f->priority = lowest--;
}

static unsigned int highest(uint32_t mask)
{
	unsigned int best = (unsigned int)__builtin_ctz(mask);

	for (mask &= mask - 1; mask; mask &= mask - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(mask);

		if (sim.fibres[i].priority > sim.fibres[best].priority)
			best = i;
	}
	return best;
}

static unsigned int decide(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			   bool may_stay)
{
	switch (kind) {
	case SIM_GO:
		if (next_change < nr_changes && sim.contended >= changes[next_change]) {
			next_change++;
			fall(sim.self);
		}
		return highest(mask);
	case SIM_HOLD:
		return holds && sim_rng(&state) % 4 == 0;
	case SIM_PICK:
		return (unsigned int)(sim_rng(&state) % (unsigned int)__builtin_popcount(mask));
	default:
		return by_default;
	}
}

const struct sim_policy sim_policy_pct = {
	.name = "pct",
	.begin = begin,
	.decide = decide,
	.spawned = spawned,
	.yielded = fall,
};
