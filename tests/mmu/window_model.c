/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Windows against a list that forgets nothing: what is open, or has closed since, is never denied; with few at a time
 * the answer is exact.
 */
#include "fixture.h"

#include "guest.h"
#include "mmu/window.h"

#define NR_BRACKETS 14 /* at once: more than there are entries */
#define NR_STEPS 200000
#define LIMIT 64

struct range {
	uint64_t start, end;
};

static struct range open_now[NR_BRACKETS];
static uint32_t nr_open;
static struct range closed[NR_STEPS];
static uint64_t nr_closed;

static bool meets(const struct range *a, uint64_t start, uint64_t end)
{
	return a->start < end && start < a->end;
}

static bool open_in_model(uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < nr_open; i++)
		if (meets(&open_now[i], start, end))
			return true;
	return false;
}

static bool closed_in_model(uint64_t since, uint64_t start, uint64_t end)
{
	for (uint64_t i = since; i < nr_closed; i++)
		if (meets(&closed[i], start, end))
			return true;
	return false;
}

static struct range pick(uint64_t *random)
{
	uint64_t start = guest_random(random) % LIMIT;

	return (struct range){ start, start + 1 + guest_random(random) % 8 };
}

static void step(struct window_set *set, uint64_t *random, uint32_t most)
{
	struct range r = pick(random);

	if (nr_open < most && guest_random(random) % 2) {
		window_open(set, r.start, r.end);
		open_now[nr_open++] = r;
	} else if (nr_open) {
		uint32_t i = (uint32_t)(guest_random(random) % nr_open);

		window_close(set, open_now[i].start, open_now[i].end);
		closed[nr_closed++] = open_now[i];
		open_now[i] = open_now[--nr_open];
	}
}

static void compare(struct window_set *set, uint64_t *random, bool exact)
{
	struct range r = pick(random);
	uint64_t ago = guest_random(random) % (2 * WINDOW_NR_CLOSED), since, sequence;

	ago = ago < nr_closed ? ago : nr_closed;
	since = nr_closed - ago;
	sequence = window_sequence(set) - ago;
	if (open_in_model(r.start, r.end) || exact)
		assert_int_equal(window_is_open(set, r.start, r.end),
				 open_in_model(r.start, r.end));
	if (closed_in_model(since, r.start, r.end) || ago <= WINDOW_NR_CLOSED)
		assert_int_equal(window_closed_since(set, sequence, r.start, r.end),
				 closed_in_model(since, r.start, r.end));
	else
		assert_true(window_closed_since(set, sequence, r.start, r.end));
	assert_int_equal(window_set_idle(set), !nr_open);
}

static void run(uint32_t most)
{
	struct window_set set = { 0 };
	uint64_t random = 4711 + most;

	nr_open = 0;
	nr_closed = 0;
	for (int i = 0; i < NR_STEPS; i++) {
		step(&set, &random, most);
		compare(&set, &random, most < WINDOW_NR_OPEN);
	}
}

static void few_brackets_are_known_exactly(void **state)
{
	run(1);
	run(WINDOW_NR_OPEN - 1);
}

static void of_many_none_is_forgotten(void **state)
{
	run(NR_BRACKETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_brackets_are_known_exactly),
		cmocka_unit_test(of_many_none_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
