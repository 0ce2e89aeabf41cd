/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The simulator finds what is known to be broken, by each search, tells the shortest schedule, and repeats it to the
 * last access; where nothing is broken it finds nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/sim/sim_private.h"

#define SCHEDULES 30000

static const unsigned int searches[] = { SIM_RANDOM, SIM_PCT, SIM_EXHAUSTIVE };

struct broken {
	const char *name, *key;
	uint32_t shortest; /* choices; at most */
};

static const struct broken broken[] = {
	{ "toy_lost_update", "scenario", 2 },
	{ "toy_dekker", "scenario", 5 },
	{ "toy_missed_wake", "deadlock", 2 },
	{ "toy_abba", "deadlock", 2 },
	{ "toy_freed", "use of freed memory", 2 },
	{ "toy_unmapped", "fault", 2 },
	{ "toy_deep", "scenario", 4 },
	{ "toy_leak", "leak of memory", 0 },
	{ "finds_readers_together", "scenario", 2 },
	{ "finds_lock_held_at_end", "a lock is held at the end", 0 },
	{ "finds_foreign_unlock", "unlock of a lock that it does not hold", 2 },
	{ "finds_lock_taken_twice", "deadlock with itself", 0 },
	{ "finds_no_progress", "no progress", 0 },
	{ "finds_choice", "scenario", 2 },
	{ "finds_stack_overflow", "no stack left", 0 },
	{ "finds_double_free", "use of freed memory", 0 },
	{ "finds_fd_left", "leak of descriptors", 0 },
	{ "finds_invariant", "halves", 2 },
	{ "finds_data_race", "data race", 1 },
	{ "finds_missing_release", "data race", 1 },
	{ "finds_store_under_read_lock", "data race", 2 },
};

static const char *const right[] = { "toy_right_update", "toy_dekker_fence", "rule_locks",
				     "rule_waits",	 "rule_spins",	     "rule_catches",
				     "rule_invariant",	 "rule_no_race" };

static void search(const char *name, unsigned int how, uint64_t nr, struct sim_slot *slot)
{
	struct sim_job job = { .scenario = sim_scenario_find(name), .search = how, .nr = nr };

	assert_non_null(job.scenario);
	sim_job_finish(sim_job_start(&job, slot), slot);
}

static void again_by_seed(const struct sim_scenario *s, const struct sim_slot *found)
{
	struct sim_slot *slot = sim_slot_new();
	struct sim_job job = { .scenario = sim_seed_scenario(found->seed),
			       .search = sim_seed_search(found->seed),
			       .first = found->seed & ((1ull << 44) - 1),
			       .nr = 1,
			       .one = true };

	assert_ptr_equal(job.scenario, s);
	sim_job_finish(sim_job_start(&job, slot), slot);
	assert_true(slot->failed);
	assert_string_equal(slot->text, found->text);
	assert_int_equal(slot->hash, found->hash);
	sim_slot_free(slot);
}

/* Twice, and by way of its text. */
static void again_by_schedule(const struct sim_scenario *s, const struct sim_slot *found,
			      bool was_shrunk)
{
	struct sim_slot *one = sim_slot_new(), *two = sim_slot_new();
	char *text = malloc(1 << 20);

	assert_non_null(text);
	sim_schedule_text(found->choices, found->nr_choices, text, 1 << 20);
	assert_int_equal(sim_schedule_parse(text, one->choices, &one->nr_choices), 0);
	assert_int_equal(one->nr_choices, found->nr_choices);
	assert_memory_equal(one->choices, found->choices,
			    found->nr_choices * sizeof(found->choices[0]));
	sim_replay(s, found->choices, found->nr_choices, false, one);
	sim_replay(s, found->choices, found->nr_choices, false, two);
	assert_true(one->failed && two->failed);
	assert_string_equal(one->key, found->key);
	assert_string_equal(one->text, two->text);
	assert_int_equal(one->hash, two->hash);
	assert_int_equal(one->points, two->points);
	if (!was_shrunk)
		assert_int_equal(one->hash, found->hash);
	free(text);
	sim_slot_free(one);
	sim_slot_free(two);
}

static void finds(const struct broken *b, unsigned int how)
{
	const struct sim_scenario *s = sim_scenario_find(b->name);
	struct sim_slot *slot = sim_slot_new();

	search(b->name, how, SCHEDULES, slot);
	if (!slot->failed)
		fail_msg("%s is not found by search %u", b->name, how);
	if (strncmp(slot->key, b->key, strlen(b->key)))
		fail_msg("%s fails otherwise: %s", b->name, slot->text);
	if (slot->seed)
		again_by_seed(s, slot);
	again_by_schedule(s, slot, false);
	sim_shrink(s, slot);
	if (slot->nr_choices > b->shortest)
		fail_msg("%s: %u choices remain", b->name, slot->nr_choices);
	again_by_schedule(s, slot, true);
	sim_slot_free(slot);
}

static void each_search_finds_what_is_broken(void **state)
{
	unsigned int i, k;

	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		for (k = 0; k < 3; k++)
			finds(&broken[i], searches[k]);
}

static void no_search_finds_what_is_not_there(void **state)
{
	struct sim_slot *slot = sim_slot_new();
	unsigned int i, k;

	for (i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		for (k = 0; k < 3; k++) {
			if (!(sim_scenario_find(right[i])->searches & searches[k]))
				continue;
			search(right[i], searches[k], 3000, slot);
			if (slot->failed)
				fail_msg("%s: %s", right[i], slot->text);
		}
	sim_slot_free(slot);
}

static void the_exhaustive_search_ends(void **state)
{
	struct sim_slot *slot = sim_slot_new();

	search("toy_dekker_fence", SIM_EXHAUSTIVE, 100000, slot);
	assert_true(slot->exhausted);
	assert_int_equal(slot->nr_exhausted_late, 0);
	search("rule_locks", SIM_EXHAUSTIVE, 100000, slot);
	assert_true(slot->exhausted);
	sim_slot_free(slot);
}

/* The same seeds give the same schedules, whatever ran before. */
static void a_search_repeats_itself(void **state)
{
	struct sim_slot *one = sim_slot_new(), *two = sim_slot_new();
	unsigned int k;

	for (k = 0; k < 2; k++) {
		search("rule_waits", searches[k], 500, one);
		search("rule_waits", searches[k], 500, two);
		assert_int_equal(one->points, two->points);
		assert_int_equal(one->switches, two->switches);
		assert_int_equal(one->hash, two->hash);
	}
	sim_slot_free(one);
	sim_slot_free(two);
}

static void a_schedule_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[] = { "",	     "1",      "1.2",	 "1.2x3",  "1.2g",
					   "1.2g1,", "99.1g1", "1.2g1 ", "1.2g99", "g" };
	struct sim_slot *slot = sim_slot_new();
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sim_schedule_parse(bad[i], slot->choices, &slot->nr_choices), -1);
	assert_int_equal(sim_schedule_parse("-", slot->choices, &slot->nr_choices), 0);
	assert_int_equal(slot->nr_choices, 0);
	/* What is not there any more is passed over. */
	assert_int_equal(
		sim_schedule_parse("1.2g9,2.1000g1,1.3c1", slot->choices, &slot->nr_choices), 0);
	sim_replay(sim_scenario_find("toy_right_update"), slot->choices, slot->nr_choices, false,
		   slot);
	assert_false(slot->failed);
	sim_slot_free(slot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_search_finds_what_is_broken),
		cmocka_unit_test(no_search_finds_what_is_not_there),
		cmocka_unit_test(the_exhaustive_search_ends),
		cmocka_unit_test(a_search_repeats_itself),
		cmocka_unit_test(a_schedule_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
