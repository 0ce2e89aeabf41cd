/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The region: what is told comes out again, each record once, and what did not fit is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "obs/obs.h"
#include "see/see.h"

#define NR_PLACES 64u
#define NR_THREADS 3u
#define NR_EACH 20000u

static const struct obs_self self = { .pid = 7, .parent = 3, .name = "/usr/bin/program" };

static struct obs_region *region;
static struct see_drain drain;

/* What came out. */
static struct {
	uint64_t nr, lost;
	uint64_t nr_gaps, in_gaps;
	uint64_t gap_behind; /* the last gap: how many punches were before it */
	struct obs_record last;
	uint64_t next[NR_THREADS]; /* of each thread: the number that is still to come */
	bool disorder;
} got;

static int on_records(void *own, const struct obs_region *r, const struct obs_record *records,
		      size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		got.last = records[i];
		if (records[i].kind == OBS_GAP) {
			got.nr_gaps++;
			got.in_gaps += records[i].a;
			got.gap_behind = got.nr;
		}
		if (records[i].kind != OBS_PUNCH)
			continue;
		got.nr++;
		if (records[i].a >= NR_THREADS)
			continue;
		got.disorder |= records[i].b < got.next[records[i].a];
		got.disorder |= records[i].c != (records[i].a ^ records[i].b);
		got.next[records[i].a] = records[i].b + 1;
	}
	return 0;
}

static int on_lost(void *own, const struct obs_region *r, uint64_t nr)
{
	got.lost += nr;
	return 0;
}

static struct see_sink sink = { .records = on_records, .lost = on_lost };

static void drain_all(uint64_t now_ns, bool final)
{
	struct see_sink *sinks[] = { &sink };

	see_drain(&drain, sinks, 1, now_ns, final);
}

static int begin(void **state)
{
	uint64_t size = obs_region_size(NR_PLACES);

	region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (region == MAP_FAILED)
		return -1;
	obs_region_init(region, NR_PLACES);
	region->wants_records = 1;
	memset(&got, 0, sizeof(got));
	return see_drain_begin(region, &drain) || !obs_attach(region, size, &self);
}

static int end(void **state)
{
	obs_detach();
	see_drain_end(&drain);
	munmap(region, obs_region_size(NR_PLACES));
	return 0;
}

static struct obs_counter counter_of(enum obs_event kind)
{
	struct obs_counter sum = { 0 };

	for (uint32_t i = 0; i < OBS_NR_LANES; i++) {
		const struct obs_counter *c = &obs_lane_at(region, i)->kinds[kind];

		sum.nr += c->nr;
		sum.failed += c->failed;
		sum.ticks += c->ticks;
		for (uint32_t b = 0; b < OBS_NR_BUCKETS; b++)
			sum.buckets[b] += c->buckets[b];
	}
	return sum;
}

static uint64_t nr_of(enum obs_event kind)
{
	struct obs_counter sum = counter_of(kind);

	return sum.nr;
}

/* ---- one thread --------------------------------------------------------------------------------- */

static void a_process_that_attaches_is_in_the_table(void **state)
{
	const struct obs_process *p = obs_process_at(region, 0);

	assert_int_equal(region->nr_processes, 1);
	assert_int_equal(p->pid, 7);
	assert_int_equal(p->state, OBS_STATE_LIVES);
	assert_string_equal(p->name, "/usr/bin/program");
	drain_all(0, false);
	assert_int_equal(got.last.kind, OBS_PROCESS_MADE);
	assert_int_equal(got.last.a, 7);
}

static void a_record_has_what_was_told_and_the_context(void **state)
{
	uint64_t start = obs_start();

	os_context()->caller = 0x7fff12345678;
	os_context()->vm = 2;
	os_context()->vcpu = 5;
	obs_span_file(OBS_CONVERT, 9, start, -EAGAIN, 0x1000, 0x2000, 8);
	os_context()->caller = 0;
	drain_all(0, false);
	assert_int_equal(got.last.kind, OBS_CONVERT);
	assert_int_equal(obs_record_caller(&got.last), 0x7fff12345678);
	assert_int_equal(got.last.vm, 2);
	assert_int_equal(got.last.vcpu, 5);
	assert_int_equal(got.last.file, 9);
	assert_int_equal(got.last.result, -EAGAIN);
	assert_int_equal(got.last.time, start);
	assert_true(got.last.ticks > 0);
	assert_int_equal(got.last.a, 0x1000);
	assert_int_equal(got.last.c, 8);
}

static void a_refusal_is_a_record_with_its_rule(void **state)
{
	obs_refuse(RULE_MEMSLOT_OVERLAP);
	drain_all(0, false);
	assert_int_equal(got.last.kind, OBS_REFUSAL);
	assert_int_equal(got.last.rule, RULE_MEMSLOT_OVERLAP);
	assert_int_equal(got.last.result, -EEXIST);
}

static void what_does_not_fit_is_lost_and_counted(void **state)
{
	drain_all(0, false);
	for (uint64_t i = 0; i < NR_PLACES + 10; i++)
		obs_count(OBS_PUNCH, 100, i, 0);
	drain_all(0, false);
	assert_int_equal(got.nr, NR_PLACES);
	assert_int_equal(got.lost, 10);
	assert_int_equal(got.last.b, NR_PLACES - 1);
	assert_int_equal(nr_of(OBS_PUNCH), NR_PLACES + 10);
	obs_count(OBS_PUNCH, 100, 1000, 0);
	drain_all(0, false);
	assert_int_equal(got.nr, NR_PLACES + 1);
	assert_int_equal(got.lost, 10);
	/* Just where they are missing. */
	assert_int_equal(got.nr_gaps, 1);
	assert_int_equal(got.in_gaps, 10);
	assert_int_equal(got.gap_behind, NR_PLACES);
}

static void the_ring_goes_round(void **state)
{
	for (uint64_t i = 0; i < 10 * NR_PLACES; i++) {
		obs_count(OBS_PUNCH, 100, i, 0);
		drain_all(0, false);
		assert_int_equal(got.last.b, i);
	}
	assert_int_equal(got.nr, 10 * NR_PLACES);
	assert_int_equal(got.lost, 0);
}

static void nobody_reads_and_there_are_counters_alone(void **state)
{
	region->wants_records = 0;
	drain_all(0, false);
	obs_count(OBS_PUNCH, 100, 1, 0);
	drain_all(0, false);
	assert_int_equal(got.nr, 0);
	assert_int_equal(nr_of(OBS_PUNCH), 1);
}

/* As if a writer was killed between taking its place and filling it. */
static void a_place_that_is_never_filled_is_given_up(void **state)
{
	drain_all(0, false);
	atomic_fetch_add(&region->ring.head, 1);
	obs_count(OBS_PUNCH, 100, 1, 0);
	drain_all(1000, false);
	drain_all(1000000000, false);
	assert_int_equal(got.nr, 0);
	drain_all(4000000000, false);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.lost, 1);
	atomic_fetch_add(&region->ring.head, 1);
	drain_all(0, true);
	assert_int_equal(got.lost, 2);
}

/* Its place is given up, and it goes on later. */
static void a_writer_that_was_stopped_harms_no_later_record(void **state)
{
	struct obs_record *place;
	uint64_t n;

	drain_all(0, false);
	n = atomic_fetch_add(&region->ring.head, 1);
	place = obs_record_at(region, NR_PLACES, n);
	place->sequence = obs_sequence_taken(n);
	drain_all(1000, false);
	drain_all(4000000000, false);
	for (uint64_t i = 0; i < NR_PLACES; i++) {
		obs_count(OBS_PUNCH, 100, i, 0);
		drain_all(0, false);
	}
	assert_int_equal(place->sequence, obs_sequence_taken(n));
	assert_int_equal(got.nr, NR_PLACES - 1);
	assert_int_equal(got.lost, 2);
	place->sequence = obs_sequence_filled(n);
	for (uint64_t i = 0; i < NR_PLACES; i++) {
		obs_count(OBS_PUNCH, 100, i, 0);
		drain_all(0, false);
	}
	assert_int_equal(got.nr, 2 * NR_PLACES - 1);
	assert_int_equal(got.lost, 2);
	/* Who was stopped before he took it sees that he is late. */
	assert_false(obs_place_is_free(place->sequence, n, NR_PLACES));
}

static void a_process_ends_once(void **state)
{
	drain_all(0, false);
	obs_end();
	obs_end();
	drain_all(0, false);
	assert_int_equal(nr_of(OBS_PROCESS_GONE), 1);
	assert_int_equal(obs_process_at(region, 0)->state, OBS_STATE_GONE);
}

static void lengths_are_counted_by_their_logarithm(void **state)
{
	struct obs_counter c;
	uint64_t nr = 0;

	obs_span(OBS_SHOOTDOWN, os_tsc() - (1ull << 30), -EINTR, 0, 0, 0);
	obs_span(OBS_SHOOTDOWN, os_tsc() - (1ull << 36), 0, 0, 0, 0);
	obs_count(OBS_SHOOTDOWN, 0, 0, 0);
	c = counter_of(OBS_SHOOTDOWN);
	assert_int_equal(c.nr, 3);
	assert_int_equal(c.failed, 1);
	assert_true(c.ticks >= (1ull << 36) + (1ull << 30));
	for (uint32_t b = 30; b < OBS_NR_BUCKETS; b++)
		nr += c.buckets[b];
	assert_int_equal(nr, 2);
	for (uint32_t b = 36; b < OBS_NR_BUCKETS; b++)
		nr -= c.buckets[b];
	assert_int_equal(nr, 1);
}

static void long_times_keep_their_length(void **state)
{
	static const uint64_t ticks[] = { 0, 1, 0x7fffffff, 0x80000000, 1ull << 40, 1ull << 62 };
	struct obs_record r = { 0 };

	for (size_t i = 0; i < 5; i++) {
		r.ticks = obs_ticks_pack(ticks[i]);
		assert_true(obs_record_ticks(&r) <= ticks[i]);
		assert_true(ticks[i] - obs_record_ticks(&r) < 1u << OBS_TICKS_SHIFT);
	}
	r.ticks = obs_ticks_pack(ticks[5]);
	assert_int_equal(obs_record_ticks(&r), 0x7fffffffull << OBS_TICKS_SHIFT);
}

static void a_child_of_a_fork_has_a_place_of_its_own(void **state)
{
	struct obs_self child = { .pid = 8, .parent = 7, .name = "program" };

	obs_after_fork(&child);
	obs_count(OBS_PUNCH, 100, 1, 0);
	drain_all(0, false);
	assert_int_equal(got.last.process, 1);
	assert_int_equal(region->nr_processes, 2);
}

static void code_is_told_once(void **state)
{
	struct obs_code code = { 0x1000, 0x2000, 0x800, "/lib/code", NULL, 0 };

	assert_false(obs_knows_caller(0x1800));
	obs_add_code(&code);
	assert_true(obs_knows_caller(0x1800));
	assert_false(obs_knows_caller(0x2000));
	assert_int_equal(region->nr_modules, 1);
	assert_string_equal(obs_module_at(region, 0)->path, "/lib/code");
	assert_int_equal(obs_module_at(region, 0)->process, 1);
}

static void another_version_is_no_region(void **state)
{
	obs_detach();
	region->version++;
	assert_false(obs_attach(region, region->size, &self));
	region->version--;
	assert_false(obs_attach(region, region->size - 4096, &self));
	region->ring.nr = 3;
	assert_false(obs_attach(region, region->size, &self));
	assert_false(obs_on());
}

/* ---- many --------------------------------------------------------------------------------------- */

static void *tell_many(void *arg)
{
	uint64_t me = (uintptr_t)arg;

	for (uint64_t i = 0; i < NR_EACH; i++)
		obs_count(OBS_PUNCH, me, i, me ^ i);
	return NULL;
}

static void writers_and_the_reader_do_not_disturb_each_other(void **state)
{
	pthread_t threads[NR_THREADS];

	drain_all(0, false);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_many, (void *)i), 0);
	while (nr_of(OBS_PUNCH) < NR_THREADS * NR_EACH)
		drain_all(0, false);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	drain_all(0, true);
	assert_false(got.disorder);
	assert_int_equal(got.nr + got.lost, NR_THREADS * NR_EACH);
	assert_true(got.nr >= NR_PLACES);
}

/* ---- one that is killed ------------------------------------------------------------------------- */

static void tell_for_ever(void)
{
	for (uint64_t i = 0;; i++)
		obs_count(OBS_PUNCH, 1, i, 1 ^ i);
}

/* Wherever it was: what comes out is whole, and each number is told or lost. */
static void what_a_killed_writer_leaves_is_never_half_a_record(void **state)
{
	uint64_t all = 0;

	for (int round = 0; round < 200; round++) {
		const struct timespec pause = { .tv_nsec = 20000 + 3989 * round };
		pid_t child = fork();

		if (!child)
			tell_for_ever();
		for (int i = 0; i < 3; i++) {
			nanosleep(&pause, NULL);
			drain_all(0, false);
		}
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		drain_all(0, true);
		got.next[1] = 0;
		all += got.nr;
		assert_false(got.disorder);
		assert_false(drain.is_damaged);
		assert_int_equal(region->ring.tail, region->ring.head);
	}
	assert_true(all > 0);
}

/* ---- the region is as writable to the program as all of its memory ------------------------------- */

static void a_head_that_cannot_be_is_put_right(void **state)
{
	drain_all(0, false);
	obs_count(OBS_PUNCH, 0, 0, 0);
	region->ring.head = region->ring.tail - 1;
	drain_all(0, false);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.lost, 1);
	assert_true(drain.is_damaged);
	obs_count(OBS_PUNCH, 0, 1, 1);
	drain_all(0, false);
	assert_int_equal(got.nr, 2);
	assert_int_equal(got.lost, 1);
}

/* A number for each place, that nobody has taken: they are not waited for one after the other. */
static void a_head_that_leads_too_far_is_waited_for_once(void **state)
{
	drain_all(0, false);
	region->ring.head = region->ring.tail + NR_PLACES;
	drain_all(1000, false);
	drain_all(4000000000, false);
	assert_int_equal(got.lost, NR_PLACES);
	obs_count(OBS_PUNCH, 0, 0, 0);
	drain_all(4000000000, false);
	assert_int_equal(got.nr, 1);
}

static void a_tail_of_another_is_put_right(void **state)
{
	drain_all(0, false);
	obs_count(OBS_PUNCH, 0, 0, 0);
	drain_all(0, false);
	region->ring.tail = 0;
	drain_all(0, false);
	assert_int_equal(got.nr, 1);
	assert_int_equal(region->ring.tail, region->ring.head);
	assert_true(drain.is_damaged);
}

/* Neither side goes by it: each would leave the region. */
static void a_layout_that_was_changed_leads_nobody_astray(void **state)
{
	drain_all(0, false);
	region->processes = region->modules = region->lanes = 1ull << 50;
	region->snapshot = region->injection = region->size = 1ull << 50;
	region->ring.nr = region->ring.offset = 1ull << 50;
	obs_count(OBS_PUNCH, 0, 0, 0);
	assert_int_equal(nr_of(OBS_PUNCH), 1);
	assert_int_equal(obs_process_at(region, 0)->pid, 7);
	drain_all(0, false);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.lost, 1);
	assert_true(drain.is_damaged);
	assert_int_equal(obs_region_check(region, obs_region_size(NR_PLACES)), NR_PLACES);
	/* It is told once. */
	region->lanes = 0;
	drain_all(0, false);
	assert_int_equal(got.lost, 1);
}

static void a_place_that_was_spoilt_is_lost_and_used_again(void **state)
{
	uint64_t n;

	drain_all(0, false);
	n = region->ring.head;
	obs_count(OBS_PUNCH, 0, 0, 0);
	obs_count(OBS_PUNCH, 0, 1, 1);
	obs_record_at(region, NR_PLACES, n)->sequence = 0xabcdef01;
	drain_all(0, false);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.lost, 2);
	for (uint64_t i = 2; i < 2 + 2 * NR_PLACES; i++) {
		obs_count(OBS_PUNCH, 0, i, i);
		drain_all(0, false);
	}
	assert_int_equal(got.nr, 1 + 2 * NR_PLACES);
	assert_int_equal(got.lost, 2);
}

static void what_can_be_no_record_is_not_shown(void **state)
{
	uint64_t n;

	drain_all(0, false);
	n = region->ring.head;
	for (uint64_t i = 0; i < 4; i++)
		obs_count(OBS_PUNCH, 0, i, i);
	obs_record_at(region, NR_PLACES, n)->kind = OBS_NR_EVENTS;
	obs_record_at(region, NR_PLACES, n + 1)->kind = OBS_NONE;
	obs_record_at(region, NR_PLACES, n + 2)->process = OBS_MAX_PROCESSES + 1;
	drain_all(0, false);
	assert_int_equal(got.nr, 1);
	assert_int_equal(got.last.b, 3);
	assert_int_equal(got.lost, 4);
}

static void a_counter_of_losses_that_leaps_is_no_loss_of_as_many(void **state)
{
	drain_all(0, false);
	region->ring.lost = 1ull << 60;
	drain_all(0, false);
	region->ring.lost = 3;
	drain_all(0, false);
	region->ring.lost += 2;
	drain_all(0, false);
	assert_true(drain.is_damaged);
	assert_true(got.lost <= 4);
}

static _Atomic bool spoils;

/* xorshift */
static void *spoil(void *arg)
{
	uint64_t nr = obs_region_size(NR_PLACES) / sizeof(uint64_t), x = 88172645463325252ull;
	uint64_t from = OBS_AT_RING / sizeof(uint64_t);

	while (atomic_load(&spoils)) {
		uint64_t at;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = x & 1 ? (x >> 8) % 64 : from + (x >> 8) % (nr - from);
		if (&((uint64_t *)region)[at] != (void *)&region->wants_records)
			__atomic_store_n(&((uint64_t *)region)[at], x & 2 ? x : (x >> 40) % 200,
					 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void all_of_it_spoilt_all_the_time_ends_well(void **state)
{
	struct timespec now, end;
	pthread_t thread;

#ifdef __SANITIZE_THREAD__
	skip(); /* it races on purpose */
#endif
	atomic_store(&spoils, true);
	assert_int_equal(pthread_create(&thread, NULL, spoil, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec++;
	do {
		for (uint64_t i = 0; i < 100; i++)
			obs_count(OBS_PUNCH, 100, i, 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
		drain_all((uint64_t)now.tv_sec * 1000000000, false);
	} while (now.tv_sec < end.tv_sec);
	atomic_store(&spoils, false);
	pthread_join(thread, NULL);
	drain_all(0, true);
	assert_true(drain.is_damaged);
	assert_true(got.lost > 0);
	/* And it is a region again, but for places that look as if a writer stood still there. */
	got.nr = 0;
	for (uint64_t i = 0; i < 3 * NR_PLACES; i++) {
		obs_count(OBS_PUNCH, 100, i, 0);
		drain_all(0, true);
	}
	assert_true(got.nr >= NR_PLACES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_that_attaches_is_in_the_table),
		TEST(a_record_has_what_was_told_and_the_context),
		TEST(a_refusal_is_a_record_with_its_rule),
		TEST(what_does_not_fit_is_lost_and_counted),
		TEST(the_ring_goes_round),
		TEST(nobody_reads_and_there_are_counters_alone),
		TEST(a_place_that_is_never_filled_is_given_up),
		TEST(a_writer_that_was_stopped_harms_no_later_record),
		TEST(a_head_that_cannot_be_is_put_right),
		TEST(a_head_that_leads_too_far_is_waited_for_once),
		TEST(a_tail_of_another_is_put_right),
		TEST(a_layout_that_was_changed_leads_nobody_astray),
		TEST(a_place_that_was_spoilt_is_lost_and_used_again),
		TEST(what_can_be_no_record_is_not_shown),
		TEST(a_counter_of_losses_that_leaps_is_no_loss_of_as_many),
		TEST(all_of_it_spoilt_all_the_time_ends_well),
		TEST(what_a_killed_writer_leaves_is_never_half_a_record),
		TEST(a_process_ends_once),
		TEST(lengths_are_counted_by_their_logarithm),
		TEST(long_times_keep_their_length),
		TEST(a_child_of_a_fork_has_a_place_of_its_own),
		TEST(code_is_told_once),
		TEST(another_version_is_no_region),
		TEST(writers_and_the_reader_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
