/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Random schedules. How likely another fibre goes on at a point, and how likely a store is held back, is drawn for
 * each schedule: some change at nearly every point, some a few times in all.
 */
#include "os/sim/sim_private.h"

static uint64_t state;
static unsigned int switch_shift, hold_shift, drain_shift, early_shift;

uint64_t sim_rng(uint64_t *s)
{
	uint64_t x = *s += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static bool chance(unsigned int shift)
{
	return !(sim_rng(&state) & ((1ull << shift) - 1));
}

static unsigned int any_of(uint32_t mask)
{
	unsigned int skip =
		(unsigned int)(sim_rng(&state) >> 8) % (unsigned int)__builtin_popcount(mask);

	while (skip--)
		mask &= mask - 1;
	return (unsigned int)__builtin_ctz(mask);
}

static void begin(uint64_t seed)
{
	state = seed;
	switch_shift = 1 + (unsigned int)(sim_rng(&state) % 11);
	hold_shift = 1 + (unsigned int)(sim_rng(&state) % 4);
	drain_shift = 2 + (unsigned int)(sim_rng(&state) % 11);
	early_shift = 5 + (unsigned int)(sim_rng(&state) % 6);
}

static unsigned int decide(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			   bool may_stay)
{
	switch (kind) {
	case SIM_GO:
		if (may_stay && !chance(switch_shift))
			return by_default;
		return any_of(mask);
	case SIM_HOLD:
		return chance(hold_shift);
	case SIM_EARLY:
		return chance(early_shift) ? any_of(mask) : by_default;
	case SIM_DRAIN:
		return chance(drain_shift) ? any_of(mask) : by_default;
	default:
		return any_of(mask);
	}
}

const struct sim_policy sim_policy_random = {
	.name = "random",
	.begin = begin,
	.decide = decide,
};
