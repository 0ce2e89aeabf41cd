/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What VMs of the generations before guest_memfd ask of the mmu: other beginnings, guests that say what they take
 * pages for, and slots with a file that are logged or read only. */
#include <errno.h>

#include "fixture.h"
#include "os/paths.h"

#define BASE GB
#define NR ((uint64_t)16)
#define BARE_BASE (2 * GB)

static struct mmu_fault_info info;
static struct gmem_file *file;
static uint8_t *memory;
static int kept;

/* Slot 0 has a file, with these flags; slot 1 is memory of the program alone. */
static void make(struct world *w, const struct mmu_config *config, uint32_t flags)
{
	struct memslot what = { .gfn = BASE / PAGE,
				.nr_pages = NR,
				.flags = flags | MEMSLOT_GUEST_MEMFD,
				.keeps = &kept };

	assert_int_equal(mmu_create(config, &w->mmu), 0);
	assert_int_equal(mmu_vcpu_create(w->mmu, &w->v), 0);
	memory = memory_make(NR * PAGE, 0);
	assert_int_equal(gmem_file_create(NR * PAGE, 0, &file), 0);
	what.hva = (uintptr_t)memory;
	what.file = file;
	assert_int_equal(memslot_create(w->mmu, &what, false), 0);
	slot_make(w, 1, BARE_BASE / PAGE, NR, memory, 0);
}

static void unmake(struct world *w)
{
	mmu_check(w->mmu);
	world_unmake(w);
	file_unmake(file);
	memory_unmake(memory, NR * PAGE);
}

static void set_private(struct world *w, uint64_t gpa, bool is_private)
{
	assert_int_equal(mmu_set_attributes(w->mmu, gpa / PAGE, 1, is_private ? ATTR_PRIVATE : 0),
			 0);
}

static void all_is_private_at_first_where_there_is_a_file(void **state)
{
	const struct mmu_config config = { .has_private = true,
					   .starts_private = true,
					   .private_with_file = true,
					   .gpa_bits = 46 };
	struct memslot *slot;
	struct world w;

	make(&w, &config, 0);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_WRITE), file_address(file, 0));
	set_private(&w, BASE, false);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_WRITE), memory);
	assert_ptr_equal(touch_ok(w.v, BASE + PAGE, MMU_READ), file_address(file, PAGE));
	/* Memory of the program, and no memory at all. */
	assert_ptr_equal(touch_ok(w.v, BARE_BASE, MMU_WRITE), memory);
	assert_int_equal(mmu_fault(w.v, 3 * GB, MMU_READ, false, &info), MMU_FAULT_MMIO);
	/* What keeps the file is the caller's. */
	slot = memslot_find(w.mmu, 0, 0);
	assert_ptr_equal(slot->keeps, &kept);
	assert_null(memslot_find(w.mmu, 0, 1)->keeps);
	unmake(&w);
}

static void expect(struct world *w, uint64_t gpa, enum mmu_fault_result how, bool is_private)
{
	assert_int_equal(mmu_fault(w->v, gpa, MMU_READ, false, &info), how);
	if (how == MMU_FAULT_MEMORY) {
		assert_int_equal(info.error, -EFAULT);
		assert_int_equal(info.is_private, is_private);
	}
}

static void a_guest_says_what_it_takes_a_page_for(void **state)
{
	const struct mmu_config config = { .has_private = true,
					   .guest_says = true,
					   .gpa_bits = 46 };
	struct world w;

	make(&w, &config, 0);
	/* It has said nothing: what the attribute says. */
	expect(&w, BASE, MMU_FAULT_OK, false);
	assert_true(mmu_set_guest_kind(w.mmu, BASE / PAGE, 1, INJECT_PRIVATE));
	expect(&w, BASE, MMU_FAULT_MEMORY, true);
	expect(&w, BASE + PAGE, MMU_FAULT_OK, false);
	set_private(&w, BASE, true);
	expect(&w, BASE, MMU_FAULT_OK, true);
	assert_true(mmu_set_guest_kind(w.mmu, BASE / PAGE, 1, INJECT_SHARED));
	expect(&w, BASE, MMU_FAULT_MEMORY, false);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), -1);
	set_private(&w, BASE, false);
	expect(&w, BASE, MMU_FAULT_OK, false);
	unmake(&w);
}

static void only_pages_of_which_the_guest_has_spoken_are_mapped_one_by_one(void **state)
{
	const struct mmu_config config = { .has_private = true,
					   .guest_says = true,
					   .gpa_bits = 46 };
	uint8_t *large = memory_make(2 * MB2, 0);
	uint32_t off = os_paths_off;
	struct world w;

	os_paths_off &= ~(1u << OS_PATH_LEAVES);
	make(&w, &config, 0);
	os_paths_off = off;
	slot_make(&w, 2, 4 * GB / PAGE, 2 * MB2 / PAGE, large, 0);
	expect(&w, 4 * GB, MMU_FAULT_OK, false);
	assert_int_equal(mmu_mapped_level(w.mmu, 4 * GB), LEVEL_2M);
	assert_true(mmu_set_guest_kind(w.mmu, 4 * GB / PAGE + 1, 1, INJECT_SHARED));
	assert_int_equal(mmu_mapped_level(w.mmu, 4 * GB), -1);
	expect(&w, 4 * GB, MMU_FAULT_OK, false);
	assert_int_equal(mmu_mapped_level(w.mmu, 4 * GB), LEVEL_4K);
	/* Nothing is mapped along with it, which the guest may take for something else. */
	assert_int_equal(mmu_mapped_level(w.mmu, 4 * GB + PAGE), -1);
	expect(&w, 4 * GB + MB2, MMU_FAULT_OK, false);
	assert_int_equal(mmu_mapped_level(w.mmu, 4 * GB + MB2), LEVEL_2M);
	unmake(&w);
	memory_unmake(large, 2 * MB2);
}

static void elsewhere_it_cannot(void **state)
{
	const struct mmu_config config = { .has_private = true, .gpa_bits = 46 };
	struct world w;

	make(&w, &config, 0);
	assert_false(mmu_set_guest_kind(w.mmu, BASE / PAGE, 1, INJECT_PRIVATE));
	expect(&w, BASE, MMU_FAULT_OK, false);
	unmake(&w);
}

static void a_logged_page_of_a_file_is_writable_once_it_is_written(void **state)
{
	const struct mmu_config config = { .has_private = true,
					   .starts_private = true,
					   .gpa_bits = 46 };
	struct memslot *slot;
	struct mmu_leaf leaf;
	uint64_t bits;
	struct world w;

	make(&w, &config, MEMSLOT_LOG_DIRTY);
	slot = memslot_find(w.mmu, 0, 0);
	for (int turn = 0; turn < 2; turn++) {
		touch_ok(w.v, BASE, MMU_READ);
		assert_false(walk(w.v, BASE, MMU_WRITE, &leaf));
		memslot_dirty_get(w.mmu, slot, &bits, true);
		assert_int_equal(bits, 0);
		touch_ok(w.v, BASE, MMU_WRITE);
		memslot_dirty_get(w.mmu, slot, &bits, true);
		assert_int_equal(bits, 1);
	}
	unmake(&w);
}

static void a_write_to_a_read_only_page_of_a_file_is_a_device_access(void **state)
{
	const struct mmu_config config = { .has_private = true,
					   .starts_private = true,
					   .gpa_bits = 46 };
	struct mmu_leaf leaf;
	struct world w;

	make(&w, &config, MEMSLOT_READONLY);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_READ), file_address(file, 0));
	assert_false(walk(w.v, BASE, MMU_WRITE, &leaf));
	assert_int_equal(mmu_fault(w.v, BASE, MMU_WRITE, false, &info), MMU_FAULT_MMIO);
	set_private(&w, BASE, false);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_READ), memory);
	assert_int_equal(mmu_fault(w.v, BASE, MMU_WRITE, false, &info), MMU_FAULT_MMIO);
	unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_private_at_first_where_there_is_a_file),
		cmocka_unit_test(a_guest_says_what_it_takes_a_page_for),
		cmocka_unit_test(only_pages_of_which_the_guest_has_spoken_are_mapped_one_by_one),
		cmocka_unit_test(elsewhere_it_cannot),
		cmocka_unit_test(a_logged_page_of_a_file_is_writable_once_it_is_written),
		cmocka_unit_test(a_write_to_a_read_only_page_of_a_file_is_a_device_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
