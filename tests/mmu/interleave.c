/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The races of a guest fault, one by one and always: what happens between the look-up of a page and
 * the install of its leaf, and between the begin and the end of a bracket, is done there by hooks.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file_private.h"
#include "fixture.h"
#include "mmu/probe.h"

#define BASE GB
#define NR_PAGES ((uint64_t)512)

struct fixture {
	struct world w;
	struct mmu_vcpu *other; /* the second thread's */
	struct gmem_file *file;
	uint8_t *memory;
	struct os_thread *thread;
	bool ok; /* what the second thread saw */
	_Atomic bool done;
};

/* Called once, after the first page has been looked up / before the attributes are set / before a fault holds
 * the file. */
static void (*after_look_up)(struct fixture *f), (*before_set)(struct fixture *f);
static void (*before_hold)(struct fixture *f);
static struct fixture *fixture;
static int nr_look_ups;

int __real_probe_page(uint64_t address, bool write);
int __wrap_probe_page(uint64_t address, bool write);
int __wrap_probe_page(uint64_t address, bool write)
{
	int ret = __real_probe_page(address, write);
	void (*hook)(struct fixture * f) = after_look_up;

	nr_look_ups++;
	after_look_up = NULL;
	if (hook)
		hook(fixture);
	return ret;
}

void __real_attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value);
void __wrap_attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value);
void __wrap_attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	void (*hook)(struct fixture * f) = before_set;

	before_set = NULL;
	if (hook)
		hook(fixture);
	__real_attr_map_set(map, first, nr, value);
}

void __real_gmem_file_fault_begin(struct gmem_file *file);
void __wrap_gmem_file_fault_begin(struct gmem_file *file);
void __wrap_gmem_file_fault_begin(struct gmem_file *file)
{
	void (*hook)(struct fixture * f) = before_hold;

	before_hold = NULL;
	if (hook)
		hook(fixture);
	__real_gmem_file_fault_begin(file);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	world_make(&f.w, true);
	assert_int_equal(mmu_vcpu_create(f.w.mmu, &f.other), 0);
	f.memory = memory_make(NR_PAGES * PAGE, 0);
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, 0, &f.file), 0);
	slot_make_file(&f.w, 0, BASE / PAGE, NR_PAGES, f.memory, f.file, 0);
	nr_look_ups = 0;
	fixture = &f;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_null(after_look_up);
	assert_null(before_set);
	assert_null(before_hold);
	if (f->file)
		file_unmake(f->file);
	mmu_vcpu_destroy(f->other);
	world_unmake(&f->w);
	memory_unmake(f->memory, NR_PAGES * PAGE);
	return 0;
}

static uint64_t hva(struct fixture *f)
{
	return (uint64_t)(uintptr_t)f->memory;
}

static enum mmu_fault_result fault(struct fixture *f, uint32_t access, struct mmu_fault_info *info)
{
	return mmu_fault(f->w.v, BASE, access, false, info);
}

static void start(struct fixture *f, void (*fn)(void *))
{
	assert_int_equal(os_thread_create(fn, f, "second", &f->thread), 0);
}

static void join(struct fixture *f)
{
	os_thread_join(f->thread);
	mmu_check(f->w.mmu);
}

/* ---- a bracket that is over when the leaf would be installed --------------------------------- */

static void become_private(struct fixture *f)
{
	assert_int_equal(mmu_set_attributes(f->w.mmu, BASE / PAGE, 1, ATTR_PRIVATE), 0);
}

static void become_shared(struct fixture *f)
{
	assert_int_equal(mmu_set_attributes(f->w.mmu, BASE / PAGE, 1, 0), 0);
}

static void a_page_that_became_private_is_not_mapped_shared(void **state)
{
	struct fixture *f = *state;

	after_look_up = become_private;
	assert_ptr_equal(touch_ok(f->w.v, BASE, MMU_WRITE), file_address(f->file, 0));
	assert_int_equal(nr_look_ups, 2);
	mmu_check(f->w.mmu);
}

static void a_page_that_became_shared_is_not_mapped_private(void **state)
{
	struct fixture *f = *state;

	become_private(f);
	after_look_up = become_shared;
	assert_ptr_equal(touch_ok(f->w.v, BASE, MMU_WRITE), f->memory);
	mmu_check(f->w.mmu);
}

static void become_shared_and_punch(struct fixture *f)
{
	become_shared(f);
	assert_int_equal(gmem_file_punch(f->file, 0, PAGE), 0);
}

/* The windows would have told before the leaf is in, but after the page has been given memory. */
static void a_page_that_became_shared_and_was_punched_gets_no_memory(void **state)
{
	struct fixture *f = *state;

	become_private(f);
	before_hold = become_shared_and_punch;
	assert_ptr_equal(touch_ok(f->w.v, BASE, MMU_WRITE), f->memory);
	assert_int_equal(store_backed(gmem_file_store(f->file)), 0);
	mmu_check(f->w.mmu);
}

/* The slot has no count of the file that would outlive it. */
static void delete_and_count(struct fixture *f)
{
	memslot_delete(f->w.mmu, memslot_find(f->w.mmu, 0, 0));
	assert_int_equal(atomic_load(&f->file->refs), 2);
}

static void a_fault_keeps_the_file_whose_slot_is_deleted_beside_it(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	become_private(f);
	before_hold = delete_and_count;
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_MEMORY);
	assert_int_equal(atomic_load(&f->file->refs), 1);
}

static void delete_and_punch(struct fixture *f)
{
	memslot_delete(f->w.mmu, memslot_find(f->w.mmu, 0, 0));
	assert_int_equal(gmem_file_punch(f->file, 0, PAGE), 0);
}

static void a_page_whose_slot_was_deleted_and_that_was_punched_gets_no_memory(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	become_private(f);
	before_hold = delete_and_punch;
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_MEMORY);
	assert_int_equal(store_backed(gmem_file_store(f->file)), 0);
}

static void protect(struct fixture *f)
{
	assert_true(mmu_hva_invalidate_begin(f->w.mmu, hva(f), PAGE));
	assert_int_equal(mprotect(f->memory, PAGE, PROT_READ), 0);
	mmu_hva_invalidate_end(f->w.mmu, hva(f), PAGE);
}

static void memory_that_was_protected_is_not_mapped_writable(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	/* Again: cmocka puts its own handlers in before each test. */
	assert_int_equal(os_fault_init(), 0);
	after_look_up = protect;
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_ERROR);
	assert_int_equal(info.error, -EFAULT);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), -1);
}

static void delete (struct fixture *f)
{
	memslot_delete(f->w.mmu, memslot_find(f->w.mmu, 0, 0));
}

static void a_slot_that_was_deleted_is_not_mapped(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	after_look_up = delete;
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_MMIO);
	mmu_check(f->w.mmu);
}

static void replace(struct fixture *f)
{
	delete (f);
	slot_make(&f->w, 0, BASE / PAGE, NR_PAGES - 1, f->memory + PAGE, MEMSLOT_LOG_DIRTY);
}

static void a_slot_that_was_replaced_is_looked_up_anew(void **state)
{
	struct fixture *f = *state;
	uint64_t log[NR_PAGES / 64];

	after_look_up = replace;
	assert_ptr_equal(touch_ok(f->w.v, BASE, MMU_WRITE), f->memory + PAGE);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), LEVEL_4K);
	memslot_dirty_get(f->w.mmu, memslot_find(f->w.mmu, 0, 0), log, false);
	assert_int_equal(log[0], 1);
	mmu_check(f->w.mmu);
}

static void convert_neighbour(struct fixture *f)
{
	assert_int_equal(mmu_set_attributes(f->w.mmu, BASE / PAGE + 9, 1, ATTR_PRIVATE), 0);
}

/* It costs no second look-up, but the block is mixed now. */
static void a_neighbour_that_changed_makes_the_leaf_small(void **state)
{
	struct fixture *f = *state;

	after_look_up = convert_neighbour;
	touch_ok(f->w.v, BASE, MMU_WRITE);
	assert_int_equal(nr_look_ups, 1);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), LEVEL_4K);
	mmu_check(f->w.mmu);
}

static void convert_far_and_often(struct fixture *f)
{
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(mmu_set_attributes(f->w.mmu, 1000 + i, 1, ATTR_PRIVATE), 0);
}

static void more_changes_than_are_remembered_cost_a_second_look_up(void **state)
{
	struct fixture *f = *state;

	after_look_up = convert_far_and_often;
	touch_ok(f->w.v, BASE, MMU_WRITE);
	assert_int_equal(nr_look_ups, 2);
}

/* ---- a bracket that runs when the leaf would be installed ------------------------------------ */

static void end_gfn_bracket_later(void *arg)
{
	struct fixture *f = arg;

	usleep(20000);
	f->ok = mmu_mapped_level(f->w.mmu, BASE) == -1;
	mmu_invalidate_end(f->w.mmu, BASE / PAGE, BASE / PAGE + 1);
}

static void begin_gfn_bracket(struct fixture *f)
{
	mmu_invalidate_begin(f->w.mmu, BASE / PAGE, BASE / PAGE + 1);
	start(f, end_gfn_bracket_later);
}

static void nothing_is_installed_inside_a_bracket(void **state)
{
	struct fixture *f = *state;

	after_look_up = begin_gfn_bracket;
	touch_ok(f->w.v, BASE, MMU_WRITE);
	join(f);
	assert_true(f->ok);
}

static void end_hva_bracket_later(void *arg)
{
	struct fixture *f = arg;

	usleep(20000);
	f->ok = mmu_mapped_level(f->w.mmu, BASE) == -1;
	mmu_hva_invalidate_end(f->w.mmu, hva(f), PAGE);
}

static void begin_hva_bracket(struct fixture *f)
{
	assert_true(mmu_hva_invalidate_begin(f->w.mmu, hva(f), PAGE));
	start(f, end_hva_bracket_later);
}

static void nothing_is_installed_inside_a_bracket_by_address(void **state)
{
	struct fixture *f = *state;

	after_look_up = begin_hva_bracket;
	touch_ok(f->w.v, BASE, MMU_WRITE);
	join(f);
	assert_true(f->ok);
}

static void touch_beside(void *arg)
{
	struct fixture *f = arg;

	f->ok = touch_ok(f->other, BASE, MMU_WRITE) == file_address(f->file, 0);
}

static void fault_beside(struct fixture *f)
{
	start(f, touch_beside);
	usleep(20000);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), -1);
}

static void attributes_change_inside_their_bracket(void **state)
{
	struct fixture *f = *state;

	touch_ok(f->w.v, BASE, MMU_WRITE);
	before_set = fault_beside;
	become_private(f);
	join(f);
	assert_true(f->ok);
}

/* ---- changes of a file wait for a fault on its page ------------------------------------------ */

static void punch_beside(void *arg)
{
	struct fixture *f = arg;

	f->ok = gmem_file_punch(f->file, 0, PAGE) == 0;
	atomic_store(&f->done, true);
}

static void start_punch(struct fixture *f)
{
	start(f, punch_beside);
	usleep(20000);
	assert_false(atomic_load(&f->done));
}

static void a_punch_waits_for_the_fault_and_drops_its_leaf(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	become_private(f);
	after_look_up = start_punch;
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_OK);
	join(f);
	assert_true(f->ok);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), -1);
}

static void release_beside(void *arg)
{
	struct fixture *f = arg;

	gmem_file_release(f->file);
	gmem_file_put(f->file);
	atomic_store(&f->done, true);
}

static void start_release(struct fixture *f)
{
	start(f, release_beside);
	usleep(20000);
	assert_false(atomic_load(&f->done));
}

static void a_release_waits_for_the_fault_and_drops_its_leaf(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;

	become_private(f);
	after_look_up = start_release;
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_OK);
	join(f);
	f->file = NULL;
	assert_null(memslot_find(f->w.mmu, 0, 0)->file);
	assert_int_equal(mmu_mapped_level(f->w.mmu, BASE), -1);
	assert_int_equal(fault(f, MMU_WRITE, &info), MMU_FAULT_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_page_that_became_private_is_not_mapped_shared),
		T(a_page_that_became_shared_is_not_mapped_private),
		T(a_page_that_became_shared_and_was_punched_gets_no_memory),
		T(a_fault_keeps_the_file_whose_slot_is_deleted_beside_it),
		T(a_page_whose_slot_was_deleted_and_that_was_punched_gets_no_memory),
		T(memory_that_was_protected_is_not_mapped_writable),
		T(a_slot_that_was_deleted_is_not_mapped),
		T(a_slot_that_was_replaced_is_looked_up_anew),
		T(a_neighbour_that_changed_makes_the_leaf_small),
		T(more_changes_than_are_remembered_cost_a_second_look_up),
		T(nothing_is_installed_inside_a_bracket),
		T(nothing_is_installed_inside_a_bracket_by_address),
		T(attributes_change_inside_their_bracket),
		T(a_punch_waits_for_the_fault_and_drops_its_leaf),
		T(a_release_waits_for_the_fault_and_drops_its_leaf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
