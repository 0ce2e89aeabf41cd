/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guests that run while their memory is taken away. The oracle: when a call that takes memory away has
 * returned (or begun, for a bracket), the test writes a pattern there, and nobody else changes it until
 * the memory is given back.
 */
#include <string.h>

#include "guest.h"

#define NR_GUESTS 2
#define NR_PAGES ((uint64_t)64)
#define BASE GB
#define TURNS 400

struct race {
	struct world w;
	struct guest guests[NR_GUESTS];
	struct gmem_file *file;
	uint8_t *memory;
	struct os_mutex slots; /* the VM's slots lock */
	uint64_t guest_pages, random, violations, start;
	_Atomic bool stop;
};

static void start_guests(struct race *r)
{
	for (uint64_t i = 0; i < NR_GUESTS; i++) {
		r->guests[i] = (struct guest){ .base = BASE, .nr_pages = r->guest_pages };
		guest_start(&r->guests[i], r->w.mmu, i + 1);
	}
}

static void stop_guests(struct race *r)
{
	for (int i = 0; i < NR_GUESTS; i++) {
		guest_stop(&r->guests[i]);
		assert_true(os_racy_load(&r->guests[i].accesses) > 0);
	}
}

static void make_slot(struct race *r)
{
	slot_make_file(&r->w, 0, BASE / PAGE, NR_PAGES, r->memory, r->file, 0);
}

static int setup(void **state)
{
	static struct race r;

	memset(&r, 0, sizeof(r));
	r.random = 4711;
	r.guest_pages = NR_PAGES;
	r.start = os_clock_ns();
	world_make(&r.w, true);
	r.memory = memory_make(NR_PAGES * PAGE, 0);
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, 0, &r.file), 0);
	make_slot(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct race *r = *state;

	if (r->file)
		file_unmake(r->file);
	world_unmake(&r->w);
	memory_unmake(r->memory, NR_PAGES * PAGE);
	return 0;
}

/* The first word of each page is what guests touch. */
static void write_pattern(uint8_t *page, uint64_t pattern)
{
	*(uint64_t *)(void *)page = pattern;
}

static void check_pattern(struct race *r, uint8_t *page, uint64_t pattern)
{
	r->violations += *(volatile uint64_t *)(void *)page != pattern;
}

/* Nobody may touch these pages of ours now. */
static void watch(struct race *r, uint8_t *pages, uint64_t nr)
{
	uint64_t pattern = guest_random(&r->random);

	for (uint64_t i = 0; i < nr; i++)
		write_pattern(pages + i * PAGE, pattern + i);
	for (int spin = 0; spin < 30; spin++) {
		os_relax();
		for (uint64_t i = 0; i < nr; i++)
			check_pattern(r, pages + i * PAGE, pattern + i);
	}
}

/* As many turns as fit into a while: on a busy machine each may cost a slice of time. */
static bool go_on(struct race *r, int turn, int max)
{
	return turn < 20 || (turn < max && os_clock_ns() - r->start < 700000000);
}

static void pick(struct race *r, uint64_t *first, uint64_t *nr)
{
	*first = guest_random(&r->random) % NR_PAGES;
	*nr = 1 + guest_random(&r->random) % 8;
	if (*nr > NR_PAGES - *first)
		*nr = NR_PAGES - *first;
}

static void after_a_conversion_the_other_kind_is_out_of_reach(void **state)
{
	struct race *r = *state;
	uint64_t first, nr;

	start_guests(r);
	for (int turn = 0; go_on(r, turn, TURNS); turn++) {
		pick(r, &first, &nr);
		assert_int_equal(
			mmu_set_attributes(r->w.mmu, BASE / PAGE + first, nr, ATTR_PRIVATE), 0);
		watch(r, r->memory + first * PAGE, nr);
		assert_int_equal(mmu_set_attributes(r->w.mmu, BASE / PAGE + first, nr, 0), 0);
		watch(r, file_address(r->file, first * PAGE), nr);
	}
	stop_guests(r);
	assert_int_equal(r->violations, 0);
}

static void inside_a_bracket_by_host_address_nobody_is_there(void **state)
{
	struct race *r = *state;
	uint64_t first, nr;

	start_guests(r);
	for (int turn = 0; go_on(r, turn, TURNS); turn++) {
		uint64_t hva;

		pick(r, &first, &nr);
		hva = (uint64_t)(uintptr_t)(r->memory + first * PAGE);
		assert_true(mmu_hva_invalidate_begin(r->w.mmu, hva, nr * PAGE));
		watch(r, r->memory + first * PAGE, nr);
		mmu_hva_invalidate_end(r->w.mmu, hva, nr * PAGE);
	}
	stop_guests(r);
	assert_int_equal(r->violations, 0);
}

/* Entering and the request to flush race with each other, at every access. */
static void who_enters_beside_a_bracket_flushes_first(void **state)
{
	struct race *r = *state;
	struct guest restless = { .base = BASE, .nr_pages = 1, .restless = true };
	uint64_t pattern;

	guest_start(&restless, r->w.mmu, 11);
	for (int turn = 0; go_on(r, turn, 4 * TURNS); turn++) {
		mmu_invalidate_begin(r->w.mmu, BASE / PAGE, BASE / PAGE + 1);
		pattern = guest_random(&r->random);
		write_pattern(r->memory, pattern);
		for (int spin = 0; spin < 60; spin++) {
			check_pattern(r, r->memory, pattern);
			os_relax();
		}
		mmu_invalidate_end(r->w.mmu, BASE / PAGE, BASE / PAGE + 1);
		for (int spin = 0; spin < turn % 64; spin++)
			os_relax();
	}
	guest_stop(&restless);
	assert_int_equal(r->violations, 0);
}

static void after_a_delete_nobody_is_there(void **state)
{
	struct race *r = *state;

	mmu_set_attributes(r->w.mmu, BASE / PAGE, NR_PAGES / 2, ATTR_PRIVATE);
	start_guests(r);
	for (int turn = 0; go_on(r, turn, TURNS / 2); turn++) {
		os_yield();
		memslot_delete(r->w.mmu, memslot_find(r->w.mmu, 0, 0));
		watch(r, r->memory, NR_PAGES);
		watch(r, file_address(r->file, 0), NR_PAGES);
		make_slot(r);
	}
	stop_guests(r);
	assert_int_equal(r->violations, 0);
}

/* Two slots take turns to be what BASE is. */
static void after_a_move_the_old_place_is_the_other_slots(void **state)
{
	struct race *r = *state;
	uint64_t near = BASE / PAGE, far = 16 * BASE / PAGE;
	uint8_t *other = memory_make(NR_PAGES * PAGE, 0);
	struct memslot *a = memslot_find(r->w.mmu, 0, 0), *b;

	memslot_delete(r->w.mmu, a);
	a = slot_make(&r->w, 1, near, NR_PAGES, r->memory, 0);
	b = slot_make(&r->w, 2, far, NR_PAGES, other, 0);
	start_guests(r);
	for (int turn = 0; go_on(r, turn, TURNS / 4); turn++) {
		assert_int_equal(memslot_move(r->w.mmu, a, far + NR_PAGES, 0, false), 0);
		watch(r, r->memory, NR_PAGES);
		assert_int_equal(memslot_move(r->w.mmu, b, near, 0, false), 0);
		os_yield();
		watch(r, r->memory, NR_PAGES);
		assert_int_equal(memslot_move(r->w.mmu, b, far, 0, false), 0);
		watch(r, other, NR_PAGES);
		assert_int_equal(memslot_move(r->w.mmu, a, near, 0, false), 0);
		os_yield();
	}
	stop_guests(r);
	assert_int_equal(r->violations, 0);
	memslot_delete(r->w.mmu, a);
	memslot_delete(r->w.mmu, b);
	memory_unmake(other, NR_PAGES * PAGE);
}

/* A second consumer of the file: between its begin and end the pages are nobody's. Registered before
 * the mmu, it is told after it. */
struct watcher {
	struct gmem_consumer consumer;
	struct race *race;
	uint64_t nr_changes;
};

static int watcher_begin(struct gmem_consumer *c, const struct gmem_change *change)
{
	struct watcher *w = (struct watcher *)c;

	w->nr_changes++;
	watch(w->race, file_address(w->race->file, change->offset), change->size / PAGE);
	return 0;
}

static void watcher_end(struct gmem_consumer *c, const struct gmem_change *change)
{
}

static const struct gmem_consumer_ops watcher_ops = { .begin = watcher_begin, .end = watcher_end };

static void inside_a_files_bracket_nobody_is_there(void **state)
{
	struct race *r = *state;
	struct watcher watcher = { .consumer.ops = &watcher_ops, .race = r };
	uint64_t first, nr;

	memslot_delete(r->w.mmu, memslot_find(r->w.mmu, 0, 0));
	gmem_file_add_consumer(r->file, &watcher.consumer);
	make_slot(r);
	mmu_set_attributes(r->w.mmu, BASE / PAGE, NR_PAGES, ATTR_PRIVATE);
	start_guests(r);
	for (int turn = 0; go_on(r, turn, TURNS / 2); turn++) {
		pick(r, &first, &nr);
		assert_int_equal(gmem_file_punch(r->file, first * PAGE, nr * PAGE), 0);
	}
	stop_guests(r);
	assert_int_equal(r->violations, 0);
	assert_true(watcher.nr_changes > 20);
	gmem_file_remove_consumer(r->file, &watcher.consumer);
}

static void after_a_release_the_file_stays_empty_and_the_slot_stays(void **state)
{
	struct race *r = *state;

	mmu_set_attributes(r->w.mmu, BASE / PAGE, NR_PAGES, ATTR_PRIVATE);
	start_guests(r);
	for (int turn = 0; go_on(r, turn, TURNS / 8); turn++) {
		uint64_t refusals;

		gmem_file_release(r->file);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(store_backed(gmem_file_store(r->file)), 0);
			os_yield();
		}
		gmem_file_put(r->file);
		assert_null(memslot_find(r->w.mmu, 0, 0)->file);
		refusals = os_racy_load(&r->guests[0].refusals);
		while (os_racy_load(&r->guests[0].refusals) == refusals)
			os_yield();
		memslot_delete(r->w.mmu, memslot_find(r->w.mmu, 0, 0));
		assert_int_equal(gmem_file_create(NR_PAGES * PAGE, 0, &r->file), 0);
		make_slot(r);
	}
	stop_guests(r);
}

/* As a live migration: what the log tells is copied after it was told. At the end the copy is whole. */
static void no_write_escapes_the_dirty_log(void **state)
{
	static uint64_t copy[NR_PAGES], log[1], clear[1];
	struct race *r = *state;
	struct memslot *slot;
	bool last = false;

	memslot_delete(r->w.mmu, memslot_find(r->w.mmu, 0, 0));
	slot = slot_make(&r->w, 0, BASE / PAGE, NR_PAGES, r->memory, MEMSLOT_LOG_DIRTY);
	memset(copy, 0, sizeof(copy));
	start_guests(r);
	for (int turn = 0; !last; turn++) {
		last = !go_on(r, turn, TURNS) && turn % 2;
		if (last)
			stop_guests(r);
		if (turn % 2) {
			memslot_dirty_get(r->w.mmu, slot, log, true);
		} else {
			memslot_dirty_get(r->w.mmu, slot, log, false);
			clear[0] = log[0] & guest_random(&r->random);
			memslot_dirty_clear(r->w.mmu, slot, 0, NR_PAGES, clear);
			log[0] = clear[0];
		}
		for (uint64_t page = 0; page < NR_PAGES; page++)
			if (log[0] >> page & 1)
				copy[page] = atomic_load(
					(_Atomic uint64_t *)(void *)(r->memory + page * PAGE));
	}
	for (uint64_t page = 0; page < NR_PAGES; page++)
		r->violations += copy[page] != *(uint64_t *)(void *)(r->memory + page * PAGE);
	assert_int_equal(r->violations, 0);
}

/* ---- everything at once --------------------------------------------------------------------- */

static void convert_forever(void *arg)
{
	struct race *r = arg;
	uint64_t random = 99;

	while (!os_racy_load(&r->stop)) {
		uint64_t x = guest_random(&random);

		os_mutex_lock(&r->slots);
		mmu_set_attributes(r->w.mmu, BASE / PAGE + x % (NR_PAGES / 2), 1 + x / 64 % 30,
				   x & 1 << 20 ? ATTR_PRIVATE : 0);
		os_mutex_unlock(&r->slots);
	}
}

static void punch_forever(void *arg)
{
	struct race *r = arg;
	uint64_t random = 77;

	while (!os_racy_load(&r->stop)) {
		gmem_file_punch(r->file, guest_random(&random) % NR_PAGES * PAGE, 4 * PAGE);
		os_yield();
	}
}

static void change_slots_forever(void *arg)
{
	struct race *r = arg;
	uint64_t turn = 0;

	while (!os_racy_load(&r->stop)) {
		os_mutex_lock(&r->slots);
		if (turn++ % 2) {
			memslot_delete(r->w.mmu, memslot_find(r->w.mmu, 0, 0));
			make_slot(r);
		} else {
			struct memslot *slot = memslot_find(r->w.mmu, 0, 1);
			uint64_t bits[1];

			memslot_set_flags(r->w.mmu, slot, slot->flags ^ MEMSLOT_LOG_DIRTY,
					  turn & 4);
			if (slot->dirty)
				memslot_dirty_get(r->w.mmu, slot, bits, true);
		}
		os_mutex_unlock(&r->slots);
		os_yield();
	}
}

static void everything_at_once_leaves_whole_tables(void **state)
{
	static void (*const changers[])(void *) = { convert_forever, punch_forever,
						    change_slots_forever };
	struct race *r = *state;
	struct os_thread *threads[3];
	uint64_t start = os_clock_ns();

	/* Guests reach both: the slot of the file, and one of the same memory behind it. */
	slot_make(&r->w, 1, BASE / PAGE + NR_PAGES, 32, r->memory, 0);
	r->guest_pages = NR_PAGES + 32;
	start_guests(r);
	for (int i = 0; i < 3; i++)
		assert_int_equal(os_thread_create(changers[i], r, "changer", &threads[i]), 0);
	while (os_clock_ns() - start < 500000000) {
		uint64_t hva = (uint64_t)(uintptr_t)r->memory;

		if (mmu_hva_invalidate_begin(r->w.mmu, hva, 3 * PAGE))
			mmu_hva_invalidate_end(r->w.mmu, hva, 3 * PAGE);
		os_yield();
	}
	os_racy_store(&r->stop, true);
	for (int i = 0; i < 3; i++)
		os_thread_join(threads[i]);
	stop_guests(r);
	mmu_check(r->w.mmu);
	gmem_file_check(r->file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(after_a_conversion_the_other_kind_is_out_of_reach),
		T(inside_a_bracket_by_host_address_nobody_is_there),
		T(who_enters_beside_a_bracket_flushes_first),
		T(after_a_delete_nobody_is_there),
		T(after_a_move_the_old_place_is_the_other_slots),
		T(inside_a_files_bracket_nobody_is_there),
		T(after_a_release_the_file_stays_empty_and_the_slot_stays),
		T(no_write_escapes_the_dirty_log),
		T(everything_at_once_leaves_whole_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
