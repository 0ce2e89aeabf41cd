/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/memslot.h"

#include <errno.h>
#include <stdio.h>

#include "../cpu_time.h"
#include "fixture.h"

#define MAX_SLOTS 32764

static void slots_are_found_by_id_and_by_gfn(void **state)
{
	struct memslot other = { .id = 5, .as_id = 1, .gfn = 100, .nr_pages = 7 };
	struct memslot *a, *b;
	struct world w;

	world_make(&w, false);
	a = slot_make(&w, 5, 100, 10, NULL, 0);
	b = slot_make(&w, 32763, 110, 1, NULL, 0);
	assert_int_equal(memslot_create(w.mmu, &other, false), 0);
	assert_ptr_equal(memslot_find(w.mmu, 0, 5), a);
	assert_ptr_equal(memslot_find(w.mmu, 0, 32763), b);
	assert_ptr_not_equal(memslot_find(w.mmu, 1, 5), a);
	assert_null(memslot_find(w.mmu, 0, 6));
	assert_null(memslot_find(w.mmu, 2, 5));
	assert_null(memslot_find(w.mmu, 0, 40000));
	assert_ptr_equal(memslot_lookup(w.mmu, 0, 109), a);
	assert_ptr_equal(memslot_lookup(w.mmu, 0, 110), b);
	assert_null(memslot_lookup(w.mmu, 0, 111));
	assert_null(memslot_lookup(w.mmu, 0, 99));
	assert_null(memslot_lookup(w.mmu, 1, 107));
	assert_int_equal(memslot_total_pages(w.mmu), 18);
	world_unmake(&w);
}

static void overlap_is_with_other_slots_of_the_same_space(void **state)
{
	struct world w;

	world_make(&w, false);
	slot_make(&w, 1, 100, 10, NULL, 0);
	assert_true(memslot_overlaps(w.mmu, 0, 2, 109, 1));
	assert_true(memslot_overlaps(w.mmu, 0, 2, 90, 11));
	assert_true(memslot_overlaps(w.mmu, 0, 2, 0, 1000));
	assert_false(memslot_overlaps(w.mmu, 0, 2, 90, 10));
	assert_false(memslot_overlaps(w.mmu, 0, 2, 110, 5));
	assert_false(memslot_overlaps(w.mmu, 0, 1, 105, 10));
	assert_false(memslot_overlaps(w.mmu, 1, 2, 100, 10));
	world_unmake(&w);
}

static void a_page_of_a_file_has_one_slot(void **state)
{
	struct memslot what = { .id = 2, .gfn = 50, .nr_pages = 2, .flags = MEMSLOT_GUEST_MEMFD };
	struct gmem_file *file;
	struct world w;

	world_make(&w, true);
	assert_int_equal(gmem_file_create(8 * PAGE, 0, &file), 0);
	slot_make_file(&w, 1, 0, 4, NULL, file, 0);
	what.file = file;
	what.file_offset = 3 * PAGE;
	assert_int_equal(memslot_create(w.mmu, &what, false), -EEXIST);
	assert_null(memslot_find(w.mmu, 0, 2));
	assert_int_equal(memslot_total_pages(w.mmu), 4);
	what.file_offset = 4 * PAGE;
	assert_int_equal(memslot_create(w.mmu, &what, false), 0);
	memslot_delete(w.mmu, memslot_find(w.mmu, 0, 1));
	memslot_delete(w.mmu, memslot_find(w.mmu, 0, 2));
	slot_make_file(&w, 1, 0, 8, NULL, file, 0);
	file_unmake(file);
	world_unmake(&w);
}

static void a_deleted_slot_is_gone_from_the_tables(void **state)
{
	uint8_t *memory = memory_make(MB2, 0);
	struct mmu_leaf leaf;
	struct mmu_fault_info info;
	struct world w;

	world_make(&w, false);
	slot_make(&w, 1, GB / PAGE, MB2 / PAGE, memory, 0);
	touch_ok(w.v, GB, MMU_WRITE);
	memslot_delete(w.mmu, memslot_find(w.mmu, 0, 1));
	assert_int_equal(mmu_mapped_level(w.mmu, GB), -1);
	assert_int_equal(touch(w.v, GB, MMU_READ, &leaf, &info), MMU_FAULT_MMIO);
	mmu_check(w.mmu);
	world_unmake(&w);
	memory_unmake(memory, MB2);
}

static void a_moved_slot_is_at_its_new_place_only(void **state)
{
	uint8_t *memory = memory_make(MB2, 0);
	struct memslot *slot;
	struct mmu_leaf leaf;
	struct mmu_fault_info info;
	struct world w;

	world_make(&w, true);
	slot = slot_make(&w, 1, GB / PAGE, MB2 / PAGE, memory, 0);
	mmu_set_attributes(w.mmu, 2 * GB / PAGE + 1, 1, ATTR_PRIVATE);
	*touch_ok(w.v, GB, MMU_WRITE) = 3;
	assert_int_equal(memslot_move(w.mmu, slot, 2 * GB / PAGE, 0, false), 0);
	assert_int_equal(touch(w.v, GB, MMU_READ, &leaf, &info), MMU_FAULT_MMIO);
	assert_int_equal(*touch_ok(w.v, 2 * GB, MMU_READ), 3);
	/* The attributes did not move. */
	assert_int_equal(touch(w.v, 2 * GB + PAGE, MMU_READ, &leaf, &info), MMU_FAULT_MEMORY);
	assert_null(memslot_lookup(w.mmu, 0, GB / PAGE));
	mmu_check(w.mmu);
	/* A move may overlap the old place. */
	assert_int_equal(memslot_move(w.mmu, slot, 2 * GB / PAGE + 8, 0, false), 0);
	assert_ptr_equal(touch_ok(w.v, 2 * GB + 8 * PAGE, MMU_READ), memory);
	assert_int_equal(memslot_total_pages(w.mmu), MB2 / PAGE);
	world_unmake(&w);
	memory_unmake(memory, MB2);
}

static void the_other_address_space_is_no_vcpus(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct memslot what = {
		.id = 0, .as_id = 1, .gfn = 5, .nr_pages = 1, .hva = (uint64_t)(uintptr_t)memory
	};
	struct mmu_leaf leaf;
	struct mmu_fault_info info;
	struct world w;

	world_make(&w, false);
	assert_int_equal(memslot_create(w.mmu, &what, false), 0);
	assert_int_equal(touch(w.v, 5 * PAGE, MMU_READ, &leaf, &info), MMU_FAULT_MMIO);
	assert_false(mmu_hva_invalidate_begin(w.mmu, (uint64_t)(uintptr_t)memory, PAGE));
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

static void a_change_of_the_programs_mappings_drops_what_lies_there(void **state)
{
	uint8_t *memory = memory_make(4 * MB2, 0);
	uint64_t hva = (uint64_t)(uintptr_t)memory;
	struct mmu_leaf leaf;
	struct world w;

	world_make_large(&w, false);
	/* The same memory at two places of the guest. */
	slot_make(&w, 1, GB / PAGE, 4 * MB2 / PAGE, memory, 0);
	slot_make(&w, 2, 2 * GB / PAGE, MB2 / PAGE, memory + MB2, 0);
	for (uint64_t i = 0; i < 4; i++)
		touch_ok(w.v, GB + i * MB2, MMU_READ);
	touch_ok(w.v, 2 * GB, MMU_READ);
	assert_true(mmu_hva_invalidate_begin(w.mmu, hva + 2 * MB2 - 1, 2));
	assert_int_equal(mmu_mapped_level(w.mmu, GB), LEVEL_2M);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + MB2), -1);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + 2 * MB2), -1);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + 3 * MB2), LEVEL_2M);
	assert_int_equal(mmu_mapped_level(w.mmu, 2 * GB), -1);
	/* Beside the bracket, but not in a leaf that reaches into it. */
	touch_ok(w.v, GB + MB2, MMU_READ);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + MB2), LEVEL_4K);
	mmu_hva_invalidate_end(w.mmu, hva + 2 * MB2 - 1, 2);
	assert_false(walk(w.v, 2 * GB, MMU_READ, &leaf));
	touch_ok(w.v, 2 * GB, MMU_READ);
	assert_false(mmu_hva_invalidate_begin(w.mmu, hva + 4 * MB2, PAGE));
	assert_false(mmu_hva_invalidate_begin(w.mmu, hva - PAGE, PAGE));
	assert_false(mmu_hva_invalidate_begin(w.mmu, hva, 0));
	world_unmake(&w);
	memory_unmake(memory, 4 * MB2);
}

static double ms_since(uint64_t start)
{
	return (double)(cpu_time_ns() - start) / 1e6;
}

static uint64_t scattered(uint64_t i)
{
	return i * 20011 % MAX_SLOTS;
}

static void every_slot_there_can_be_is_added_fast(void **state)
{
	uint64_t start = cpu_time_ns(), hits = 0;
	double create, lookup;
	struct world w;

	world_make(&w, true);
	for (uint64_t i = 0; i < MAX_SLOTS; i++) {
		uint64_t at = scattered(i);

		assert_false(memslot_overlaps(w.mmu, 0, (uint32_t)at, at * 16, 16));
		slot_make(&w, (uint32_t)at, at * 16, 16, (void *)(uintptr_t)(GB + at * 64 * PAGE),
			  0);
	}
	create = ms_since(start);
	print_message("%d slots added in %.1f ms\n", MAX_SLOTS, create);
	mmu_check(w.mmu);
	start = cpu_time_ns();
	for (uint64_t i = 0; i < 100000; i++)
		hits += mmu_hva_invalidate_begin(
			w.mmu, GB + (i % MAX_SLOTS) * 64 * PAGE + 20 * PAGE, PAGE);
	lookup = ms_since(start) * 1e6 / 100000;
	assert_int_equal(hits, 0);
	print_message("munmap between %d slots costs %.0f ns", MAX_SLOTS, lookup);
	start = cpu_time_ns();
	for (uint64_t i = 0; i < 100000; i++)
		hits += mmu_hva_invalidate_begin(w.mmu, GB / 2, PAGE);
	print_message(", away from them %.1f ns\n", ms_since(start) * 1e6 / 100000);
	start = cpu_time_ns();
	world_unmake(&w);
	print_message("all deleted in %.1f ms\n", ms_since(start));
	/* Far above what it takes anywhere, far below what a list or a sorted array would. */
	assert_true(create < 3000);
}

static void every_slot_on_one_file_too(void **state)
{
	uint64_t start = cpu_time_ns();
	struct gmem_file *file;
	struct world w;

	world_make(&w, true);
	assert_int_equal(gmem_file_create(MAX_SLOTS * PAGE, 0, &file), 0);
	for (uint64_t i = 0; i < MAX_SLOTS; i++)
		slot_make_file(&w, (uint32_t)i, 2 * i, 1, NULL, file, scattered(i) * PAGE);
	print_message("%d slots of a file added in %.1f ms\n", MAX_SLOTS, ms_since(start));
	mmu_set_attributes(w.mmu, 0, 1u << 20, ATTR_PRIVATE);
	touch_ok(w.v, 0, MMU_WRITE);
	assert_int_equal(gmem_file_punch(file, 0, PAGE), 0);
	assert_int_equal(mmu_mapped_level(w.mmu, 0), -1);
	file_unmake(file);
	world_unmake(&w);
}

/* The slot of the released file stays, with what watched it; the next file mostly gets the same address. */
static void a_file_in_the_place_of_a_released_one_is_watched(void **state)
{
	struct gmem_file *old, *file;
	struct world w;

	world_make(&w, true);
	mmu_set_attributes(w.mmu, 0, 1u << 20, ATTR_PRIVATE);
	assert_int_equal(gmem_file_create(PAGE, 0, &old), 0);
	slot_make_file(&w, 0, 0, 1, NULL, old, 0);
	file_unmake(old);
	assert_int_equal(gmem_file_create(2 * PAGE, 0, &file), 0);
	slot_make_file(&w, 1, 16, 1, NULL, file, 0);
	slot_make_file(&w, 2, 32, 1, NULL, file, PAGE);
	touch_ok(w.v, 16 * PAGE, MMU_WRITE);
	touch_ok(w.v, 32 * PAGE, MMU_WRITE);
	assert_int_equal(gmem_file_punch(file, 0, 2 * PAGE), 0);
	assert_int_equal(mmu_mapped_level(w.mmu, 16 * PAGE), -1);
	assert_int_equal(mmu_mapped_level(w.mmu, 32 * PAGE), -1);
	file_unmake(file);
	world_unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_are_found_by_id_and_by_gfn),
		cmocka_unit_test(overlap_is_with_other_slots_of_the_same_space),
		cmocka_unit_test(a_page_of_a_file_has_one_slot),
		cmocka_unit_test(a_deleted_slot_is_gone_from_the_tables),
		cmocka_unit_test(a_moved_slot_is_at_its_new_place_only),
		cmocka_unit_test(the_other_address_space_is_no_vcpus),
		cmocka_unit_test(a_change_of_the_programs_mappings_drops_what_lies_there),
		cmocka_unit_test(every_slot_there_can_be_is_added_fast),
		cmocka_unit_test(every_slot_on_one_file_too),
		cmocka_unit_test(a_file_in_the_place_of_a_released_one_is_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
