/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The snapshot that one process publishes and others read: whole, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "obs/account.h"
#include "os/os.h"

#define NR_PUBLISHED 20000u
#define NR_ROWS 200u

static struct account_area *area;
static struct account_snapshot *copy;

static int start(void **state)
{
	area = calloc(1, sizeof(*area));
	copy = calloc(1, sizeof(*copy));
	assert_true(area && copy);
	area->version = ACCOUNT_VERSION;
	return 0;
}

static int end(void **state)
{
	free(area);
	free(copy);
	return 0;
}

static void fill(struct account_snapshot *s, uint64_t number)
{
	s->number = number;
	s->nr_vms = 1;
	s->nr_vcpus = s->nr_files = 1;
	s->nr_slots = NR_ROWS;
	s->nr_runs = ACCOUNT_NR_RUNS;
	s->vms[0].nr_slots = number;
	s->vcpus[0].exits[5] = number;
	s->files[0].size = number;
	for (uint32_t i = 0; i < NR_ROWS; i++)
		s->slots[i].size = number;
	/* Faster written than read: it is overtaken in the middle of a copy. */
	s->runs[0].gpa = s->runs[ACCOUNT_NR_RUNS - 1].gpa = number;
}

static bool is_whole(const struct account_snapshot *s)
{
	bool whole = s->vms[0].nr_slots == s->number && s->vcpus[0].exits[5] == s->number &&
		     s->files[0].size == s->number && s->runs[0].gpa == s->number &&
		     s->runs[ACCOUNT_NR_RUNS - 1].gpa == s->number;

	for (uint32_t i = 0; i < NR_ROWS; i++)
		whole &= s->slots[i].size == s->number;
	return whole;
}

static void publish(uint64_t number)
{
	struct account_snapshot *latest, *s = obs_account_begin(area, &latest);

	fill(s, number);
	obs_account_finish(area, s);
}

static void nothing_is_read_before_there_is_something(void **state)
{
	assert_false(obs_account_read(area, copy));
	publish(7);
	assert_true(obs_account_read(area, copy));
	assert_int_equal(copy->number, 7);
	area->version++;
	assert_false(obs_account_read(area, copy));
}

static void who_dies_while_writing_leaves_the_last_one(void **state)
{
	struct account_snapshot *latest, *s;

	publish(1);
	publish(2);
	s = obs_account_begin(area, &latest);
	assert_int_equal(latest->number, 2);
	s->number = 3;
	s->nr_slots = 1;
	assert_true(obs_account_read(area, copy));
	assert_int_equal(copy->number, 2);
	assert_true(is_whole(copy));
	/* Whoever comes after it finds the half one and writes it anew. */
	assert_ptr_equal(obs_account_begin(area, &latest), s);
	fill(s, 4);
	obs_account_finish(area, s);
	assert_true(obs_account_read(area, copy));
	assert_int_equal(copy->number, 4);
}

static void numbers_that_are_too_large_are_cut(void **state)
{
	struct account_snapshot *latest, *s = obs_account_begin(area, &latest);

	s->nr_vms = s->nr_vcpus = s->nr_slots = s->nr_files = s->nr_runs = UINT32_MAX;
	obs_account_finish(area, s);
	assert_true(obs_account_read(area, copy));
	assert_int_equal(copy->nr_vms, ACCOUNT_NR_VMS);
	assert_int_equal(copy->nr_vcpus, ACCOUNT_NR_VCPUS);
	assert_int_equal(copy->nr_slots, ACCOUNT_NR_SLOTS);
	assert_int_equal(copy->nr_files, ACCOUNT_NR_FILES);
	assert_int_equal(copy->nr_runs, ACCOUNT_NR_RUNS);
	atomic_store(&area->latest, 3);
	assert_false(obs_account_read(area, copy));
}

/* The sequence is a lock that the thread sanitizer does not know. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#ifndef UNDER_TSAN
static void *publish_many(void *nothing)
{
	for (uint64_t n = 1; n <= NR_PUBLISHED; n++)
		publish(n);
	return NULL;
}

static void a_reader_never_has_parts_of_two(void **state)
{
	pthread_t writer;
	uint64_t last = 0;

	assert_int_equal(pthread_create(&writer, NULL, publish_many, NULL), 0);
	while (last < NR_PUBLISHED) {
		if (!obs_account_read(area, copy))
			continue;
		assert_true(is_whole(copy));
		assert_true(copy->number >= last);
		last = copy->number;
	}
	pthread_join(writer, NULL);
}
#endif

/* As many processes as there are areas; each finds its own again. */
static void areas_are_given_out_once(void **state)
{
	uint64_t size = obs_region_size(64);
	struct obs_region *r;
	void *memory;

	assert_int_equal(os_map_anon(size, OS_MAP_READ | OS_MAP_WRITE, &memory), 0);
	r = memory;
	obs_region_init(r, 64);
	assert_true(ACCOUNT_NR_AREAS >= 8);
	assert_null(obs_account_find(r, 0));
	for (uint32_t i = 0; i < ACCOUNT_NR_AREAS; i++)
		assert_ptr_equal(obs_account_take(r, 100 + i), account_area_at(r, i));
	assert_ptr_equal(obs_account_take(r, 103), account_area_at(r, 3));
	assert_ptr_equal(obs_account_find(r, 105), account_area_at(r, 5));
	assert_null(obs_account_take(r, 1));
	assert_true((char *)account_area_at(r, ACCOUNT_NR_AREAS) <=
		    (char *)obs_region_at(r, r->snapshot) + OBS_SNAPSHOT_SIZE);
	os_unmap(memory, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_read_before_there_is_something, start,
						end),
		cmocka_unit_test_setup_teardown(who_dies_while_writing_leaves_the_last_one, start,
						end),
		cmocka_unit_test_setup_teardown(numbers_that_are_too_large_are_cut, start, end),
#ifndef UNDER_TSAN
		cmocka_unit_test_setup_teardown(a_reader_never_has_parts_of_two, start, end),
#endif
		cmocka_unit_test(areas_are_given_out_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
