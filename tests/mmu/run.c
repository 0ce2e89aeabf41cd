/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Where no larger leaf is possible a fault maps a run of small ones: which, and which never. */
#include "fixture.h"
#include "mmu/mmu_private.h"
#include "os/paths.h"

#define BASE GB
#define NR_PAGES ((uint64_t)600)
#define RUN ((unsigned int)RUN_PAGES)

struct fixture {
	struct world w;
	uint8_t *memory;
	struct memslot *slot;
};

/* gfn and address are never congruent. */
static int setup(void **state)
{
	static struct fixture f;

	world_make_large(&f.w, true);
	f.memory = memory_make((NR_PAGES + 1) * PAGE, PAGE);
	f.slot = slot_make(&f.w, 0, BASE / PAGE, NR_PAGES, f.memory, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	world_unmake(&f->w);
	memory_unmake(f->memory, (NR_PAGES + 1) * PAGE);
	return 0;
}

static bool is_mapped(struct fixture *f, uint64_t page)
{
	return mmu_mapped_level(f->w.mmu, BASE + page * PAGE) == LEVEL_4K;
}

static void touch_page(struct fixture *f, uint64_t page, uint32_t access)
{
	touch_ok(f->w.v, BASE + page * PAGE, access);
	mmu_check(f->w.mmu);
}

/* Just these, of those from one page before to one behind. */
static void expect_mapped(struct fixture *f, uint64_t first, uint64_t nr)
{
	for (uint64_t page = first; page < first + nr; page++)
		assert_true(is_mapped(f, page));
	assert_false(first && is_mapped(f, first - 1));
	assert_false(is_mapped(f, first + nr));
}

static void a_fault_maps_the_aligned_run_around_its_page(void **state)
{
	struct fixture *f = *state;
	struct mmu_leaf leaf;

	touch_page(f, 5 * RUN + 3, MMU_WRITE);
	expect_mapped(f, 5 * RUN, RUN);
	for (uint64_t page = 5 * RUN; page < 6 * RUN; page++) {
		assert_true(walk(f->w.v, BASE + page * PAGE, MMU_WRITE, &leaf));
		assert_ptr_equal(leaf.host, f->memory + page * PAGE);
	}
	touch_page(f, 0, MMU_WRITE);
	touch_page(f, NR_PAGES - 1, MMU_WRITE);
	expect_mapped(f, NR_PAGES / RUN * RUN, NR_PAGES % RUN);
}

static void its_page_alone_gains_rights_afterwards(void **state)
{
	struct fixture *f = *state;
	struct mmu_leaf leaf;

	touch_page(f, 3, MMU_READ);
	assert_false(walk(f->w.v, BASE + 4 * PAGE, MMU_WRITE, &leaf));
	touch_page(f, 4, MMU_WRITE);
	assert_true(walk(f->w.v, BASE + 4 * PAGE, MMU_WRITE, &leaf));
	assert_false(walk(f->w.v, BASE + 3 * PAGE, MMU_WRITE, &leaf));
}

static void an_invalidation_of_one_page_leaves_the_others(void **state)
{
	struct fixture *f = *state;

	touch_page(f, 3, MMU_WRITE);
	mmu_invalidate_begin(f->w.mmu, BASE / PAGE + 5, BASE / PAGE + 6);
	assert_false(is_mapped(f, 5));
	assert_true(is_mapped(f, 4) && is_mapped(f, 6));
	mmu_invalidate_end(f->w.mmu, BASE / PAGE + 5, BASE / PAGE + 6);
	touch_page(f, 5, MMU_WRITE);
}

static void a_bracket_beside_the_page_keeps_the_run_away(void **state)
{
	struct fixture *f = *state;
	uint64_t hva = (uint64_t)(uintptr_t)f->memory + (RUN + 9) * PAGE;

	mmu_invalidate_begin(f->w.mmu, BASE / PAGE + 9, BASE / PAGE + 10);
	touch_ok(f->w.v, BASE + 3 * PAGE, MMU_WRITE);
	expect_mapped(f, 3, 1);
	mmu_invalidate_end(f->w.mmu, BASE / PAGE + 9, BASE / PAGE + 10);
	assert_true(mmu_hva_invalidate_begin(f->w.mmu, hva, PAGE));
	touch_ok(f->w.v, BASE + (RUN + 3) * PAGE, MMU_WRITE);
	expect_mapped(f, RUN + 3, 1);
	mmu_hva_invalidate_end(f->w.mmu, hva, PAGE);
	touch_page(f, 2 * RUN, MMU_WRITE);
	expect_mapped(f, 2 * RUN, RUN);
}

static void a_run_that_is_mixed_is_not_mapped(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mmu_set_attributes(f->w.mmu, BASE / PAGE + 7, 1, ATTR_PRIVATE), 0);
	touch_page(f, 3, MMU_WRITE);
	expect_mapped(f, 3, 1);
	assert_int_equal(mmu_set_attributes(f->w.mmu, BASE / PAGE + 7, 1, 0), 0);
	touch_page(f, 4, MMU_WRITE);
	expect_mapped(f, 0, RUN);
}

static void a_conversion_drops_its_page_of_a_run(void **state)
{
	struct fixture *f = *state;

	touch_page(f, 3, MMU_WRITE);
	assert_int_equal(mmu_set_attributes(f->w.mmu, BASE / PAGE + 7, 2, ATTR_PRIVATE), 0);
	mmu_check(f->w.mmu);
	assert_true(is_mapped(f, 6) && is_mapped(f, 9));
	assert_false(is_mapped(f, 7) || is_mapped(f, 8));
}

static void a_logged_slot_has_each_page_written_by_itself(void **state)
{
	struct fixture *f = *state;
	uint64_t log[(NR_PAGES + 63) / 64];

	assert_int_equal(memslot_set_flags(f->w.mmu, f->slot, MEMSLOT_LOG_DIRTY, false), 0);
	touch_page(f, 3, MMU_WRITE);
	expect_mapped(f, 3, 1);
	memslot_dirty_get(f->w.mmu, f->slot, log, false);
	assert_int_equal(log[0], 1 << 3);
}

static void a_prefault_maps_one_page(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	assert_int_equal(mmu_fault(f->w.v, BASE + 3 * PAGE, MMU_READ, true, &info), MMU_FAULT_OK);
	expect_mapped(f, 3, 1);
}

static void without_large_leaves_there_are_no_runs(void **state)
{
	uint32_t off = os_paths_off;
	uint8_t *memory = memory_make(RUN * PAGE, 0);
	struct world w;

	os_paths_off |= 1u << OS_PATH_LEAVES;
	world_make(&w, false);
	os_paths_off = off;
	slot_make(&w, 0, BASE / PAGE, RUN, memory, 0);
	touch_ok(w.v, BASE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), LEVEL_4K);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + PAGE), -1);
	world_unmake(&w);
	memory_unmake(memory, RUN * PAGE);
}

/* ---- of a file --------------------------------------------------------------------------------- */

/* The slot begins in the middle of the file, so that runs of guest pages are none of the file. */
#define FILE_SKEW ((uint64_t)505)

static struct gmem_file *add_file(struct fixture *f, unsigned int flags)
{
	struct gmem_file *file;

	memslot_delete(f->w.mmu, f->slot);
	assert_int_equal(gmem_file_create((FILE_SKEW + NR_PAGES) * PAGE, flags, &file), 0);
	f->slot =
		slot_make_file(&f->w, 0, BASE / PAGE, NR_PAGES, f->memory, file, FILE_SKEW * PAGE);
	return file;
}

static void remove_file(struct fixture *f, struct gmem_file *file)
{
	memslot_delete(f->w.mmu, f->slot);
	file_unmake(file);
}

static uint64_t backed(struct gmem_file *file)
{
	return store_backed(gmem_file_store(file)) / PAGE;
}

static void a_run_of_a_file_gives_one_page_memory_and_stays_in_2m(void **state)
{
	struct fixture *f = *state;
	struct gmem_file *file = add_file(f, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);

	store_stay_small(gmem_file_store(file));
	touch_page(f, 3, MMU_WRITE);
	expect_mapped(f, 0, 512 - FILE_SKEW);
	assert_int_equal(backed(file), 1);
	touch_page(f, 9, MMU_WRITE);
	expect_mapped(f, 0, RUN);
	assert_int_equal(backed(file), 2);
	remove_file(f, file);
}

static void a_conversion_in_place_drops_its_page_of_a_run(void **state)
{
	struct fixture *f = *state;
	struct gmem_file *file = add_file(f, GMEM_FILE_IN_PLACE);

	/* Private pages are the file's, shared ones the memory's. */
	touch_page(f, RUN + 3, MMU_WRITE);
	expect_mapped(f, RUN, RUN);
	assert_int_equal(file_convert(file, (FILE_SKEW + RUN + 5) * PAGE, PAGE, 0), 0);
	mmu_check(f->w.mmu);
	assert_false(is_mapped(f, RUN + 5));
	assert_true(is_mapped(f, RUN + 4) && is_mapped(f, RUN + 6));
	touch_page(f, RUN + 5, MMU_WRITE);
	touch_page(f, 2 * RUN, MMU_WRITE);
	assert_int_equal(gmem_file_punch(file, (FILE_SKEW + 2 * RUN + 1) * PAGE, PAGE), 0);
	assert_false(is_mapped(f, 2 * RUN + 1));
	assert_true(is_mapped(f, 2 * RUN));
	remove_file(f, file);
}

static int prepare(void *type, uint64_t offset, uint64_t size)
{
	++*(uint64_t *)type;
	return 0;
}

static void pages_that_must_be_prepared_are_mapped_one_by_one(void **state)
{
	static const struct gmem_type_ops ops = { .prepare = prepare };
	struct fixture *f = *state;
	uint64_t nr_prepared = 0;
	struct gmem_file *file;

	memslot_delete(f->w.mmu, f->slot);
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, GMEM_FILE_IN_PLACE, &file), 0);
	gmem_file_set_type(file, &ops, &nr_prepared);
	f->slot = slot_make_file(&f->w, 0, BASE / PAGE, NR_PAGES, f->memory, file, 0);
	touch_page(f, 3, MMU_WRITE);
	expect_mapped(f, 3, 1);
	touch_page(f, 4, MMU_WRITE);
	assert_int_equal(nr_prepared, 2);
	remove_file(f, file);
}

/* ---- the slot of the last fault ------------------------------------------------------------------ */

static void a_slot_that_came_in_the_place_of_the_last_one_is_found(void **state)
{
	struct fixture *f = *state;

	touch_page(f, 3, MMU_WRITE);
	memslot_delete(f->w.mmu, f->slot);
	f->slot = slot_make(&f->w, 7, BASE / PAGE, NR_PAGES, f->memory + PAGE, 0);
	assert_ptr_equal(touch_ok(f->w.v, BASE, MMU_WRITE), f->memory + PAGE);
	assert_int_equal(memslot_move(f->w.mmu, f->slot, BASE / PAGE + 2, 0, false), 0);
	assert_ptr_equal(touch_ok(f->w.v, BASE + 2 * PAGE, MMU_WRITE), f->memory + PAGE);
	mmu_check(f->w.mmu);
}

/* Where it lay lies something else that looks as it did. */
static void a_slot_that_was_deleted_is_not_that_of_the_next_fault(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;
	struct memslot was = *f->slot, *place;

	touch_page(f, 3, MMU_WRITE);
	memslot_delete(f->w.mmu, f->slot);
	place = os_alloc(sizeof(*place));
	assert_non_null(place);
	*place = was;
	assert_int_equal(mmu_fault(f->w.v, BASE + 3 * PAGE, MMU_WRITE, false, &info),
			 MMU_FAULT_MMIO);
	os_free(place, sizeof(*place));
	assert_false(is_mapped(f, 3));
}

static void between_two_slots_each_fault_finds_its_own(void **state)
{
	struct fixture *f = *state;
	uint8_t *other = memory_make(RUN * PAGE, 0);
	struct mmu_fault_info info;

	slot_make(&f->w, 1, 2 * BASE / PAGE, RUN, other, 0);
	for (uint64_t page = 0; page < RUN; page++) {
		assert_ptr_equal(touch_ok(f->w.v, BASE + page * RUN * PAGE, MMU_WRITE),
				 f->memory + page * RUN * PAGE);
		assert_ptr_equal(touch_ok(f->w.v, 2 * BASE + page * PAGE, MMU_WRITE),
				 other + page * PAGE);
		assert_int_equal(mmu_fault(f->w.v, 2 * BASE + RUN * PAGE, MMU_WRITE, false, &info),
				 MMU_FAULT_MMIO);
	}
	memslot_delete(f->w.mmu, memslot_find(f->w.mmu, 0, 1));
	memory_unmake(other, RUN * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_fault_maps_the_aligned_run_around_its_page),
		T(its_page_alone_gains_rights_afterwards),
		T(an_invalidation_of_one_page_leaves_the_others),
		T(a_bracket_beside_the_page_keeps_the_run_away),
		T(a_run_that_is_mixed_is_not_mapped),
		T(a_conversion_drops_its_page_of_a_run),
		T(a_logged_slot_has_each_page_written_by_itself),
		T(a_prefault_maps_one_page),
		T(without_large_leaves_there_are_no_runs),
		T(a_run_of_a_file_gives_one_page_memory_and_stays_in_2m),
		T(a_conversion_in_place_drops_its_page_of_a_run),
		T(pages_that_must_be_prepared_are_mapped_one_by_one),
		T(a_slot_that_came_in_the_place_of_the_last_one_is_found),
		T(a_slot_that_was_deleted_is_not_that_of_the_next_fault),
		T(between_two_slots_each_fault_finds_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
