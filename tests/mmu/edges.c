/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Slots that begin or end a page beside the edge of a large block, and what is mapped just there. */
#include "fixture.h"

#define BASE (4 * GB)

struct edge {
	uint64_t skip, less; /* pages at the beginning and at the end that the slot does not have */
	int level;	     /* of the leaf for a page in the middle of the block */
};

static const struct edge edges[] = {
	{ 0, 0, LEVEL_2M }, { 1, 0, LEVEL_4K },	  { 0, 1, LEVEL_4K },
	{ 1, 1, LEVEL_4K }, { 511, 0, LEVEL_4K }, { 0, 511, LEVEL_4K },
};
#define NR_EDGES (sizeof(edges) / sizeof(edges[0]))

/* The pages beside the slot, which would be part of a block too large, are no part of a leaf. */
static void expect_nothing_beside(struct world *w, uint64_t first, uint64_t nr)
{
	struct mmu_leaf leaf;

	assert_false(walk(w->v, (first - 1) * PAGE, MMU_READ, &leaf));
	assert_false(walk(w->v, (first + nr) * PAGE, MMU_READ, &leaf));
}

static void touch_ends(struct world *w, uint64_t first, uint64_t nr, const uint8_t *host)
{
	assert_ptr_equal(touch_ok(w->v, first * PAGE, MMU_WRITE), host);
	assert_ptr_equal(touch_ok(w->v, (first + nr - 1) * PAGE, MMU_WRITE),
			 host + (nr - 1) * PAGE);
	expect_nothing_beside(w, first, nr);
	mmu_check(w->mmu);
}

/* A block of 2 MiB, with less of it in the slot from case to case. */
static void a_leaf_lies_in_its_slot(void **state)
{
	for (size_t i = 0; i < NR_EDGES; i++) {
		const struct edge *e = &edges[i];
		uint64_t first = BASE / PAGE + e->skip, nr = 512 - e->skip - e->less;
		uint8_t *memory = memory_make(MB2, 0);
		struct world w;

		world_make_large(&w, false);
		slot_make(&w, 0, first, nr, memory + e->skip * PAGE, 0);
		touch_ok(w.v, (first + nr / 2) * PAGE, MMU_WRITE);
		assert_int_equal(mmu_mapped_level(w.mmu, (first + nr / 2) * PAGE), e->level);
		expect_nothing_beside(&w, first, nr);
		touch_ends(&w, first, nr, memory + e->skip * PAGE);
		world_unmake(&w);
		memory_unmake(memory, MB2);
	}
}

static void a_leaf_of_a_file_lies_in_its_slot(void **state)
{
	for (size_t i = 0; i < NR_EDGES; i++) {
		const struct edge *e = &edges[i];
		uint64_t first = BASE / PAGE + e->skip, nr = 512 - e->skip - e->less;
		struct gmem_file *file;
		struct world w;

		world_make_large(&w, true);
		assert_int_equal(gmem_file_create(MB2, 0, &file), 0);
		slot_make_file(&w, 0, first, nr, NULL, file, e->skip * PAGE);
		assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 512, ATTR_PRIVATE), 0);
		touch_ok(w.v, (first + nr / 2) * PAGE, MMU_WRITE);
		assert_int_equal(mmu_mapped_level(w.mmu, (first + nr / 2) * PAGE), e->level);
		expect_nothing_beside(&w, first, nr);
		touch_ends(&w, first, nr, file_address(file, e->skip * PAGE));
		file_unmake(file);
		world_unmake(&w);
	}
}

/* A page less at either end of 1 GiB: leaves of 2 MiB, but for the block at that end. */
static void a_leaf_of_1g_lies_in_its_slot(void **state)
{
	uint8_t *memory = memory_make(GB, 0);

	for (int at_end = 0; at_end < 2; at_end++) {
		uint64_t first = BASE / PAGE + !at_end, nr = GB / PAGE - 1;
		struct world w;

		world_make_large(&w, false);
		slot_make(&w, 0, first, nr, memory + !at_end * PAGE, 0);
		touch_ok(w.v, BASE + GB / 2, MMU_READ);
		assert_int_equal(mmu_mapped_level(w.mmu, BASE + GB / 2), LEVEL_2M);
		touch_ok(w.v, BASE + 3 * PAGE, MMU_READ);
		assert_int_equal(mmu_mapped_level(w.mmu, BASE + 3 * PAGE),
				 at_end ? LEVEL_2M : LEVEL_4K);
		touch_ok(w.v, BASE + GB - 3 * PAGE, MMU_READ);
		assert_int_equal(mmu_mapped_level(w.mmu, BASE + GB - 3 * PAGE),
				 at_end ? LEVEL_4K : LEVEL_2M);
		expect_nothing_beside(&w, first, nr);
		world_unmake(&w);
	}
	memory_unmake(memory, GB);
}

/* A file that ends a page before the end of a block has no leaf of that block. */
static void a_leaf_lies_in_its_file(void **state)
{
	struct gmem_file *file;
	struct world w;

	world_make_large(&w, true);
	assert_int_equal(gmem_file_create(2 * MB2 - PAGE, 0, &file), 0);
	slot_make_file(&w, 0, BASE / PAGE, 2 * MB2 / PAGE - 1, NULL, file, 0);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1024, ATTR_PRIVATE), 0);
	touch_ok(w.v, BASE + PAGE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + PAGE), LEVEL_2M);
	touch_ok(w.v, BASE + MB2 + PAGE, MMU_WRITE);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + MB2 + PAGE), LEVEL_4K);
	file_unmake(file);
	world_unmake(&w);
}

/* The first page and the last of all that slots stand on. */
static void a_change_of_the_programs_mappings_is_heard_at_the_edges(void **state)
{
	uint8_t *memory = memory_make(20 * PAGE, 0);
	uint64_t hva = (uint64_t)(uintptr_t)memory;
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, 18, memory + PAGE, 0);
	for (uint64_t page = 0; page < 18; page += 17) {
		touch_ok(w.v, BASE + page * PAGE, MMU_READ);
		assert_true(mmu_hva_invalidate_begin(w.mmu, hva + (page + 1) * PAGE, PAGE));
		assert_int_equal(mmu_mapped_level(w.mmu, BASE + page * PAGE), -1);
		mmu_hva_invalidate_end(w.mmu, hva + (page + 1) * PAGE, PAGE);
	}
	assert_false(mmu_hva_invalidate_begin(w.mmu, hva, PAGE));
	assert_false(mmu_hva_invalidate_begin(w.mmu, hva + 19 * PAGE, PAGE));
	world_unmake(&w);
	memory_unmake(memory, 20 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_lies_in_its_slot),
		cmocka_unit_test(a_leaf_of_a_file_lies_in_its_slot),
		cmocka_unit_test(a_leaf_of_1g_lies_in_its_slot),
		cmocka_unit_test(a_leaf_lies_in_its_file),
		cmocka_unit_test(a_change_of_the_programs_mappings_is_heard_at_the_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
