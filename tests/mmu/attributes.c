/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Attributes and the size of leaves. */
#include "../obs/observed.h"
#include "fixture.h"

struct fixture {
	struct world w;
	struct gmem_file *file;
	uint8_t *memory;
};

static int setup(void **state)
{
	static struct fixture f;

	world_make_large(&f.w, true);
	f.memory = memory_make(2 * GB, 0);
	assert_int_equal(gmem_file_create(2 * GB, 0, &f.file), 0);
	slot_make_file(&f.w, 0, GB / PAGE, 2 * GB / PAGE, f.memory, f.file, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	file_unmake(f->file);
	world_unmake(&f->w);
	memory_unmake(f->memory, 2 * GB);
	return 0;
}

static void set(struct fixture *f, uint64_t gpa, uint64_t size, uint32_t attributes)
{
	assert_int_equal(mmu_set_attributes(f->w.mmu, gpa / PAGE, size / PAGE, attributes), 0);
	mmu_check(f->w.mmu);
}

static int level_at(struct fixture *f, uint64_t gpa)
{
	touch_ok(f->w.v, gpa, MMU_READ);
	mmu_check(f->w.mmu);
	return mmu_mapped_level(f->w.mmu, gpa);
}

static void one_private_page_forbids_every_leaf_around_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(level_at(f, GB), LEVEL_1G);
	set(f, GB + 10 * MB2 + PAGE, PAGE, ATTR_PRIVATE);
	assert_int_equal(mmu_mapped_level(f->w.mmu, GB), -1);
	assert_int_equal(level_at(f, GB), LEVEL_2M);
	assert_int_equal(level_at(f, GB + 10 * MB2), LEVEL_4K);
	assert_int_equal(level_at(f, GB + 10 * MB2 + PAGE), LEVEL_4K);
	assert_int_equal(level_at(f, GB + 11 * MB2), LEVEL_2M);
	assert_int_equal(level_at(f, 2 * GB), LEVEL_1G);
}

static void uniform_again_allows_the_large_leaf_at_the_next_fault(void **state)
{
	struct fixture *f = *state;

	set(f, GB + 10 * MB2 + PAGE, PAGE, ATTR_PRIVATE);
	assert_int_equal(level_at(f, GB + 10 * MB2), LEVEL_4K);
	assert_int_equal(level_at(f, GB + 10 * MB2 + PAGE), LEVEL_4K);
	set(f, GB + 10 * MB2 + PAGE, PAGE, 0);
	assert_int_equal(mmu_mapped_level(f->w.mmu, GB + 10 * MB2), LEVEL_4K);
	assert_int_equal(level_at(f, GB + 10 * MB2 + PAGE), LEVEL_1G);
	assert_int_equal(mmu_mapped_level(f->w.mmu, GB + 10 * MB2), LEVEL_1G);
}

static void private_memory_gets_large_leaves_too(void **state)
{
	struct fixture *f = *state;

	set(f, GB, GB, ATTR_PRIVATE);
	assert_int_equal(level_at(f, GB + 5 * PAGE), LEVEL_1G);
	assert_ptr_equal(touch_ok(f->w.v, GB + 3 * MB2, MMU_WRITE), file_address(f->file, 3 * MB2));
	assert_int_equal(level_at(f, 2 * GB), LEVEL_1G);
	assert_ptr_equal(touch_ok(f->w.v, 2 * GB, MMU_WRITE), f->memory + GB);
}

static void setting_what_is_already_so_invalidates_nothing(void **state)
{
	struct fixture *f = *state;
	set(f, GB, 4 * MB2, ATTR_PRIVATE);
	touch_ok(f->w.v, GB + MB2, MMU_WRITE);
	observed_begin();
	set(f, GB + PAGE, MB2, ATTR_PRIVATE);
	assert_int_equal(observed_nr(OBS_INVALIDATE), 0);
	assert_int_equal(mmu_mapped_level(f->w.mmu, GB + MB2), LEVEL_2M);
	set(f, GB + PAGE, MB2, 0);
	assert_int_equal(observed_nr(OBS_INVALIDATE), 1);
	observed_end();
}

static void attributes_are_the_guest_addresses_and_outlive_slots(void **state)
{
	struct fixture *f = *state;

	set(f, GB, PAGE, ATTR_PRIVATE);
	set(f, 100 * GB, PAGE, ATTR_PRIVATE);
	memslot_delete(f->w.mmu, memslot_find(f->w.mmu, 0, 0));
	slot_make_file(&f->w, 3, GB / PAGE, GB / PAGE, f->memory, f->file, GB);
	assert_ptr_equal(touch_ok(f->w.v, GB, MMU_READ), file_address(f->file, GB));
	assert_int_equal(attr_map_get(mmu_attributes(f->w.mmu), 100 * GB / PAGE), ATTR_PRIVATE);
}

static void contents_of_both_kinds_are_separate_and_kept(void **state)
{
	struct fixture *f = *state;

	*touch_ok(f->w.v, GB, MMU_WRITE) = 1;
	set(f, GB, PAGE, ATTR_PRIVATE);
	assert_int_equal(*touch_ok(f->w.v, GB, MMU_READ), 0);
	*touch_ok(f->w.v, GB, MMU_WRITE) = 2;
	set(f, GB, PAGE, 0);
	assert_int_equal(*touch_ok(f->w.v, GB, MMU_READ), 1);
	set(f, GB, PAGE, ATTR_PRIVATE);
	assert_int_equal(*touch_ok(f->w.v, GB, MMU_READ), 2);
}

static void a_punch_drops_the_leaves_of_every_binding_it_meets(void **state)
{
	struct fixture *f = *state;

	memslot_delete(f->w.mmu, memslot_find(f->w.mmu, 0, 0));
	slot_make_file(&f->w, 0, GB / PAGE, MB2 / PAGE, f->memory, f->file, 0);
	slot_make_file(&f->w, 1, 5 * GB / PAGE, MB2 / PAGE, f->memory, f->file, MB2);
	set(f, 0, 8 * GB, ATTR_PRIVATE);
	*touch_ok(f->w.v, GB + MB2 - PAGE, MMU_WRITE) = 1;
	*touch_ok(f->w.v, 5 * GB, MMU_WRITE) = 2;
	assert_int_equal(gmem_file_punch(f->file, MB2 - PAGE, 2 * PAGE), 0);
	assert_int_equal(mmu_mapped_level(f->w.mmu, GB + MB2 - PAGE), -1);
	assert_int_equal(mmu_mapped_level(f->w.mmu, 5 * GB), -1);
	assert_int_equal(*touch_ok(f->w.v, GB + MB2 - PAGE, MMU_READ), 0);
	assert_int_equal(*touch_ok(f->w.v, 5 * GB, MMU_READ), 0);
	mmu_check(f->w.mmu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(one_private_page_forbids_every_leaf_around_it),
		T(uniform_again_allows_the_large_leaf_at_the_next_fault),
		T(private_memory_gets_large_leaves_too),
		T(setting_what_is_already_so_invalidates_nothing),
		T(attributes_are_the_guest_addresses_and_outlive_slots),
		T(contents_of_both_kinds_are_separate_and_kept),
		T(a_punch_drops_the_leaves_of_every_binding_it_meets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
