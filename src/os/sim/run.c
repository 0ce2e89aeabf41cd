/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One schedule, from an empty world to an empty world. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/sim/sim_private.h"

#define MAX_POINTS 200000
#define CLOCK_START 1000000000ull

struct sim_slot *sim_slot;

/* The process is ruins from here on, so it ends; what it found is in the slot. */
void sim_fail(const char *fmt, ...)
{
	struct sim_slot *slot = sim_slot;
	size_t len;
	va_list args;

	sim.quiet++;
	if (!slot->failed) {
		slot->failed = true;
		va_start(args, fmt);
		vsnprintf(slot->text, sizeof(slot->text), fmt, args);
		va_end(args);
		len = strcspn(slot->text, ":");
		snprintf(slot->key, sizeof(slot->key), "%.*s", (int)len, slot->text);
		slot->points += sim.now;
		slot->hash = sim.hash;
		slot->runs++;
		if (sim.recording)
			sim_timeline_print(sim_timeline_whole);
	}
	fflush(NULL);
	_exit(1);
}

static void reset(const struct sim_scenario *s)
{
	sim_heap_reset();
	sim_maps_reset();
	sim_race_reset();
	sim.scenario = s;
	sim.max_points = s->max_points ? s->max_points : MAX_POINTS;
	sim.self = NULL;
	sim.runnable = sim.yielded = 0;
	sim.now = sim.contended = sim.nr_switches = sim.wait_order = 0;
	sim.clock = CLOCK_START;
	sim.hash = 0xcbf29ce484222325ull;
	sim.nr_stores = sim.nr_conds = sim.nr_words = 0;
	sim.check_points = false;
	sim.random = 1;
	sim.actors_left = sim.nr_fibres = sim.nr_checks = sim.nr_names = 0;
	sim_slot->nr_choices = 0;
}

static void let_actors_go(void)
{
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++)
		if (sim.fibres[i].blocked && sim.fibres[i].why == SIM_ON_SETUP)
			sim_unblock(&sim.fibres[i]);
}

static void join_threads(void)
{
	unsigned int i;

	if (sim.scenario->threads_stay)
		return;
	for (i = 1; i < sim.nr_fibres; i++)
		sim_join(&sim.fibres[i]);
}

static void first_fibre(void *arg)
{
	sim.scenario->setup();
	sim_stores_drain();
	let_actors_go();
	while (sim.actors_left)
		sim_block(SIM_ON_ACTORS, NULL);
	sim_race_after_all();
	sim_checks_run(SIM_AT_SWITCH);
	sim_checks_run(SIM_AT_END);
	/* What a check looks at is going away. */
	sim.nr_checks = 0;
	sim.check_points = false;
	if (sim.scenario->teardown)
		sim.scenario->teardown();
	join_threads();
}

static void nothing_left(unsigned int fds)
{
	unsigned int now = sim_fds_live();

	if (sim.scenario->threads_stay)
		return;
	if (os_alloc_live())
		sim_fail("leak of memory: %llu bytes", (unsigned long long)os_alloc_live());
	if (sim_maps_live())
		sim_fail("leak of mappings: %u", sim_maps_live());
	if (now != fds)
		sim_fail("leak of descriptors: %d", (int)(now - fds));
}

void sim_run(const struct sim_scenario *s)
{
	static unsigned int fds;
	static bool counted;
	struct sim_fibre *first;

	reset(s);
	if (!counted)
		fds = sim_fds_live();
	counted = true;
	first = sim_fibre_new("main", first_fibre, NULL, false);
	sim.self = first;
	sim.quiet = 0;
	sim_context_switch(&sim.main_sp, first->sp);
	sim.quiet = 1;
	sim.self = NULL;
	nothing_left(fds);
	sim_slot->runs++;
	sim_slot->points += sim.now;
	sim_slot->switches += sim.nr_switches;
	if (sim.now > sim_slot->max_points)
		sim_slot->max_points = sim.now;
	if (sim.contended > sim_slot->max_contended)
		sim_slot->max_contended = sim.contended;
	sim_slot->hash = sim.hash;
}
