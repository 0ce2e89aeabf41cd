/* SPDX-License-Identifier: GPL-2.0-only OR MIT */

#include "fixture.h"

#define NR_PAGES 200
#define WORDS 4
#define BASE GB

struct fixture {
	struct world w;
	struct memslot *slot;
	uint8_t *memory;
	uint64_t log[WORDS];
};

static int setup(void **state)
{
	static struct fixture f;

	world_make_large(&f.w, false);
	f.memory = memory_make(MB2, 0);
	f.slot = slot_make(&f.w, 0, BASE / PAGE, NR_PAGES, f.memory, MEMSLOT_LOG_DIRTY);
	assert_int_equal(memslot_dirty_words(f.slot), WORDS);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	world_unmake(&f->w);
	memory_unmake(f->memory, MB2);
	return 0;
}

static void get(struct fixture *f, bool clear)
{
	memslot_dirty_get(f->w.mmu, f->slot, f->log, clear);
	mmu_check(f->w.mmu);
}

static void expect_log(struct fixture *f, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	assert_int_equal(f->log[0], a);
	assert_int_equal(f->log[1], b);
	assert_int_equal(f->log[2], c);
	assert_int_equal(f->log[3], d);
}

static void writes_are_logged_and_reads_are_not(void **state)
{
	struct fixture *f = *state;

	touch_ok(f->w.v, BASE, MMU_READ);
	touch_ok(f->w.v, BASE + 3 * PAGE, MMU_WRITE);
	touch_ok(f->w.v, BASE + 199 * PAGE, MMU_WRITE);
	get(f, false);
	expect_log(f, 8, 0, 0, 0x80);
	get(f, true);
	expect_log(f, 8, 0, 0, 0x80);
	get(f, true);
	expect_log(f, 0, 0, 0, 0);
}

static void what_was_told_faults_again_and_the_rest_does_not(void **state)
{
	struct fixture *f = *state;
	struct mmu_leaf leaf;

	touch_ok(f->w.v, BASE, MMU_WRITE);
	get(f, false);
	assert_true(walk(f->w.v, BASE, MMU_WRITE, &leaf));
	get(f, true);
	assert_false(walk(f->w.v, BASE, MMU_WRITE, &leaf));
	assert_true(walk(f->w.v, BASE, MMU_READ, &leaf));
	touch_ok(f->w.v, BASE, MMU_WRITE);
	get(f, true);
	expect_log(f, 1, 0, 0, 0);
}

static void clear_takes_the_bits_that_are_asked_for(void **state)
{
	struct fixture *f = *state;
	uint64_t bits[2] = { 2, 1 };
	struct mmu_leaf leaf;

	for (uint64_t page = 64; page < 130; page++)
		touch_ok(f->w.v, BASE + page * PAGE, MMU_WRITE);
	memslot_dirty_clear(f->w.mmu, f->slot, 64, 128, bits);
	get(f, false);
	expect_log(f, 0, ~(uint64_t)2, 2, 0);
	assert_false(walk(f->w.v, BASE + 65 * PAGE, MMU_WRITE, &leaf));
	assert_true(walk(f->w.v, BASE + 66 * PAGE, MMU_WRITE, &leaf));
	/* A bit that is not set is not cleared: nothing happens to its page. */
	touch_ok(f->w.v, BASE, MMU_READ);
	bits[0] = UINT64_MAX;
	memslot_dirty_clear(f->w.mmu, f->slot, 0, 64, bits);
	get(f, false);
	expect_log(f, 0, ~(uint64_t)2, 2, 0);
}

static void logging_keeps_leaves_small_and_its_end_lets_them_grow(void **state)
{
	struct fixture *f = *state;

	memslot_delete(f->w.mmu, f->slot);
	f->slot = slot_make(&f->w, 0, BASE / PAGE, MB2 / PAGE, f->memory, 0);
	touch_ok(f->w.v, BASE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), LEVEL_2M);
	assert_int_equal(memslot_set_flags(f->w.mmu, f->slot, MEMSLOT_LOG_DIRTY, false), 0);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), -1);
	touch_ok(f->w.v, BASE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), LEVEL_4K);
	assert_int_equal(os_racy_load(&f->slot->dirty[0]), 1);
	assert_int_equal(memslot_set_flags(f->w.mmu, f->slot, 0, false), 0);
	assert_null(f->slot->dirty);
	touch_ok(f->w.v, BASE, MMU_READ);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), LEVEL_2M);
}

static void a_log_may_start_with_every_page(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(memslot_set_flags(f->w.mmu, f->slot, 0, false), 0);
	assert_int_equal(memslot_set_flags(f->w.mmu, f->slot, MEMSLOT_LOG_DIRTY, true), 0);
	get(f, true);
	expect_log(f, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0xff);
}

static void a_move_keeps_the_log(void **state)
{
	struct fixture *f = *state;

	touch_ok(f->w.v, BASE + 5 * PAGE, MMU_WRITE);
	assert_int_equal(memslot_move(f->w.mmu, f->slot, 2 * BASE / PAGE, MEMSLOT_LOG_DIRTY, false),
			 0);
	touch_ok(f->w.v, 2 * BASE + 6 * PAGE, MMU_WRITE);
	get(f, true);
	expect_log(f, 0x60, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(writes_are_logged_and_reads_are_not),
		T(what_was_told_faults_again_and_the_rest_does_not),
		T(clear_takes_the_bits_that_are_asked_for),
		T(logging_keeps_leaves_small_and_its_end_lets_them_grow),
		T(a_log_may_start_with_every_page),
		T(a_move_keeps_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
