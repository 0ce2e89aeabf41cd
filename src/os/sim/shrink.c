/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The shortest schedule: choices are left away, first many at a time, as long as what remains fails in the same way
 * (delta debugging, Zeller and Hildebrandt, 2002). What a replay really chose is what counts.
 */
#include <stdlib.h>
#include <string.h>

#include "os/sim/sim_private.h"

#define MAX_TRIES 1500

struct shrink {
	const struct sim_scenario *scenario;
	struct sim_slot *slot;
	struct sim_choice *best;
	uint32_t nr_best;
	unsigned int tries;
	char key[sizeof(((struct sim_slot *)0)->key)];
};

/* True: it fails as well, and is the best now. */
static bool try(struct shrink *s, const struct sim_choice *choices, uint32_t nr)
{
	s->tries++;
	sim_replay(s->scenario, choices, nr, false, s->slot);
	if (!s->slot->failed || strcmp(s->slot->key, s->key) || s->slot->nr_choices > s->nr_best ||
	    (s->slot->nr_choices == s->nr_best && nr == s->nr_best))
		return false;
	memcpy(s->best, s->slot->choices, s->slot->nr_choices * sizeof(*s->best));
	s->nr_best = s->slot->nr_choices;
	return true;
}

static bool try_without(struct shrink *s, uint32_t from, uint32_t nr)
{
	struct sim_choice *rest = malloc((s->nr_best + 1) * sizeof(*rest));
	bool fails;

	if (!rest)
		return false;
	memcpy(rest, s->best, from * sizeof(*rest));
	memcpy(rest + from, s->best + from + nr, (s->nr_best - from - nr) * sizeof(*rest));
	fails = try(s, rest, s->nr_best - nr);
	free(rest);
	return fails;
}

/* From the end: what came last mattered most often, so that what is tried first may go. */
static bool one_pass(struct shrink *s, uint32_t piece)
{
	bool any = false;
	uint32_t from = 0;

	while (from < s->nr_best && s->tries < MAX_TRIES) {
		uint32_t nr = piece < s->nr_best - from ? piece : s->nr_best - from;

		if (try_without(s, from, nr))
			any = true;
		else
			from += nr;
	}
	return any;
}

unsigned int sim_shrink(const struct sim_scenario *scenario, struct sim_slot *failed)
{
	struct shrink s = { .scenario = scenario, .slot = sim_slot_new() };
	uint32_t piece;

	s.best = malloc(sizeof(failed->choices));
	if (!s.slot || !s.best)
		return 0;
	memcpy(s.key, failed->key, sizeof(s.key));
	memcpy(s.best, failed->choices, failed->nr_choices * sizeof(*s.best));
	s.nr_best = failed->nr_choices;
	try(&s, NULL, 0);
	for (piece = (s.nr_best + 1) / 2; piece && s.tries < MAX_TRIES; piece /= 2)
		one_pass(&s, piece);
	while (s.tries < MAX_TRIES && one_pass(&s, 1))
		;
	memcpy(failed->choices, s.best, s.nr_best * sizeof(*s.best));
	failed->nr_choices = s.nr_best;
	free(s.best);
	sim_slot_free(s.slot);
	return s.tries;
}
