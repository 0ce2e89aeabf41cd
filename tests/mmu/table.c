/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The geometry of leaves: where each level begins, ends and is impossible. */
#include "fixture.h"
#include "os/paths.h"

static void expect_level(struct world *w, uint64_t gpa, int level)
{
	touch_ok(w->v, gpa, MMU_READ);
	assert_int_equal(mmu_mapped_level(w->mmu, gpa), level);
	mmu_check(w->mmu);
}

static void a_leaf_is_as_large_as_slot_and_alignment_allow(void **state)
{
	/* gfn and hva congruent at 1 GiB; the slot begins 1 page before and ends 1 page behind. */
	uint64_t size = 2 * GB + 2 * PAGE;
	uint8_t *memory = memory_make(size, GB - PAGE);
	uint64_t base = 5 * GB - PAGE;
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, base / PAGE, size / PAGE, memory, 0);
	expect_level(&w, base, LEVEL_4K);
	expect_level(&w, base + PAGE, LEVEL_1G);
	expect_level(&w, base + PAGE + GB - 1, LEVEL_1G);
	expect_level(&w, base + PAGE + GB, LEVEL_1G);
	expect_level(&w, base + size - PAGE, LEVEL_4K);
	world_unmake(&w);
	memory_unmake(memory, size);
}

static void a_slot_end_inside_a_block_forbids_the_block(void **state)
{
	uint64_t size = GB - PAGE;
	uint8_t *memory = memory_make(size, 0);
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, GB / PAGE, size / PAGE, memory, 0);
	expect_level(&w, GB, LEVEL_2M);
	expect_level(&w, 2 * GB - MB2 - 1, LEVEL_2M);
	expect_level(&w, 2 * GB - MB2, LEVEL_4K);
	expect_level(&w, 2 * GB - 2 * PAGE, LEVEL_4K);
	world_unmake(&w);
	memory_unmake(memory, size);
}

static void incongruent_addresses_forbid_larger_leaves(void **state)
{
	uint64_t size = 2 * GB;
	uint8_t *memory = memory_make(size, MB2);
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, GB / PAGE, GB / PAGE, memory, 0);
	slot_make(&w, 1, 4 * GB / PAGE + 1, MB2 / PAGE * 2, memory + GB, 0);
	expect_level(&w, GB + 5 * PAGE, LEVEL_2M);
	expect_level(&w, 4 * GB + MB2, LEVEL_4K);
	world_unmake(&w);
	memory_unmake(memory, size);
}

static void every_page_of_a_large_leaf_is_at_its_own_address(void **state)
{
	uint8_t *memory = memory_make(GB, 0);
	struct world w;
	struct mmu_leaf leaf;

	world_make_large(&w, false);
	slot_make(&w, 0, GB / PAGE, GB / PAGE, memory, 0);
	touch_ok(w.v, GB + 123 * PAGE, MMU_WRITE);
	for (uint64_t offset = 0; offset < GB; offset += 7919 * PAGE) {
		assert_true(walk(w.v, GB + offset + 5, MMU_WRITE, &leaf));
		assert_ptr_equal(leaf.host, memory + offset);
		assert_int_equal(leaf.level, LEVEL_1G);
	}
	assert_false(walk(w.v, GB - 1, MMU_READ, &leaf));
	assert_false(walk(w.v, 2 * GB, MMU_READ, &leaf));
	world_unmake(&w);
	memory_unmake(memory, GB);
}

static void an_invalidation_drops_the_leaves_it_meets_and_no_others(void **state)
{
	uint8_t *memory = memory_make(GB, 2 * MB2);
	uint64_t base = GB + 2 * MB2;
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, base / PAGE, GB / PAGE - 1024, memory, 0);
	for (uint64_t i = 0; i < 4; i++)
		expect_level(&w, base + i * MB2, LEVEL_2M);
	/* The last page of block 1 and the first of block 2. */
	mmu_invalidate_begin(w.mmu, (base + 2 * MB2) / PAGE - 1, (base + 2 * MB2) / PAGE + 1);
	mmu_invalidate_end(w.mmu, (base + 2 * MB2) / PAGE - 1, (base + 2 * MB2) / PAGE + 1);
	assert_int_equal(mmu_mapped_level(w.mmu, base), LEVEL_2M);
	assert_int_equal(mmu_mapped_level(w.mmu, base + MB2), -1);
	assert_int_equal(mmu_mapped_level(w.mmu, base + 2 * MB2), -1);
	assert_int_equal(mmu_mapped_level(w.mmu, base + 3 * MB2), LEVEL_2M);
	mmu_check(w.mmu);
	world_unmake(&w);
	memory_unmake(memory, GB);
}

static void a_leaf_stays_out_of_a_bracket_that_runs_beside_its_page(void **state)
{
	uint8_t *memory = memory_make(GB, 0);
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, GB / PAGE, GB / PAGE, memory, 0);
	mmu_invalidate_begin(w.mmu, (GB + MB2) / PAGE, (GB + MB2) / PAGE + 1);
	touch_ok(w.v, GB, MMU_READ);
	assert_int_equal(mmu_mapped_level(w.mmu, GB), LEVEL_2M);
	touch_ok(w.v, GB + MB2 + PAGE, MMU_READ);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + MB2 + PAGE), LEVEL_4K);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + MB2), -1);
	mmu_invalidate_end(w.mmu, (GB + MB2) / PAGE, (GB + MB2) / PAGE + 1);
	/* The next fault of the block takes all of it; its smaller leaves' tables go. */
	expect_level(&w, GB + MB2, LEVEL_1G);
	assert_int_equal(mmu_mapped_level(w.mmu, GB + MB2 + PAGE), LEVEL_1G);
	world_unmake(&w);
	memory_unmake(memory, GB);
}

static void guest_addresses_of_52_bits_are_mapped(void **state)
{
	struct mmu_config config = { .gpa_bits = 52 };
	uint64_t top = ((uint64_t)1 << 52) - GB;
	uint8_t *memory = memory_make(GB, 0);
	struct world w;

	assert_int_equal(mmu_create(&config, &w.mmu), 0);
	assert_int_equal(mmu_vcpu_create(w.mmu, &w.v), 0);
	slot_make(&w, 0, top / PAGE, GB / PAGE, memory, 0);
	assert_ptr_equal(touch_ok(w.v, top + GB - PAGE, MMU_WRITE), memory + GB - PAGE);
	expect_level(&w, top + GB - PAGE, os_path_off(OS_PATH_LEAVES) ? LEVEL_4K : LEVEL_1G);
	world_unmake(&w);
	memory_unmake(memory, GB);
}

static void tables_are_used_again(void **state)
{
	uint8_t *memory = memory_make(64 * MB2, PAGE);
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, GB / PAGE, 64 * MB2 / PAGE, memory, 0);
	for (int turn = 0; turn < 200; turn++) {
		for (uint64_t i = 0; i < 64; i++)
			touch_ok(w.v, GB + i * MB2, MMU_READ);
		mmu_invalidate_begin(w.mmu, GB / PAGE, 2 * GB / PAGE);
		mmu_invalidate_end(w.mmu, GB / PAGE, 2 * GB / PAGE);
		mmu_check(w.mmu);
	}
	world_unmake(&w);
	memory_unmake(memory, 64 * MB2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_is_as_large_as_slot_and_alignment_allow),
		cmocka_unit_test(a_slot_end_inside_a_block_forbids_the_block),
		cmocka_unit_test(incongruent_addresses_forbid_larger_leaves),
		cmocka_unit_test(every_page_of_a_large_leaf_is_at_its_own_address),
		cmocka_unit_test(an_invalidation_drops_the_leaves_it_meets_and_no_others),
		cmocka_unit_test(a_leaf_stays_out_of_a_bracket_that_runs_beside_its_page),
		cmocka_unit_test(guest_addresses_of_52_bits_are_mapped),
		cmocka_unit_test(tables_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
