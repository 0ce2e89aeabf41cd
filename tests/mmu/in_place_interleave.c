/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The races of a guest fault with a conversion in place, one by one and always: hooks do what happens between
 * the first look at the state and the lock, between the touch and the leaf, and between begin and end.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "mmu/probe.h"

#define BASE GB
#define NR_PAGES ((uint64_t)512)

static struct fixture {
	struct world w;
	struct mmu_vcpu *other; /* the second thread's */
	struct gmem_file *file;
	uint8_t *memory;
	struct os_thread *thread;
	uint32_t wanted; /* what the second thread makes of the page */
	uint8_t *seen;
	_Atomic bool done;
} fixture;

/* Each is called once: before the invalidate lock is taken, after the page was touched, before the map changes. */
static void (*before_hold)(void), (*after_touch)(void), (*before_set)(void);
static int nr_touches;

static void call_once(void (**hook)(void))
{
	void (*fn)(void) = *hook;

	*hook = NULL;
	if (fn)
		fn();
}

void __real_gmem_file_fault_begin(struct gmem_file *file);
void __wrap_gmem_file_fault_begin(struct gmem_file *file);
void __wrap_gmem_file_fault_begin(struct gmem_file *file)
{
	call_once(&before_hold);
	__real_gmem_file_fault_begin(file);
}

int __real_probe_page(uint64_t address, bool write);
int __wrap_probe_page(uint64_t address, bool write);
int __wrap_probe_page(uint64_t address, bool write)
{
	int ret = __real_probe_page(address, write);

	nr_touches++;
	call_once(&after_touch);
	return ret;
}

void __real_attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value);
void __wrap_attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value);
void __wrap_attr_map_set(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	call_once(&before_set);
	__real_attr_map_set(map, first, nr, value);
}

static int setup(void **state)
{
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	world_make(&f->w, true);
	assert_int_equal(mmu_vcpu_create(f->w.mmu, &f->other), 0);
	f->memory = memory_make(NR_PAGES * PAGE, 0);
	assert_int_equal(gmem_file_create(NR_PAGES * PAGE, GMEM_FILE_IN_PLACE, &f->file), 0);
	slot_make_file(&f->w, 0, BASE / PAGE, NR_PAGES, f->memory, f->file, 0);
	nr_touches = 0;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = &fixture;

	assert_true(!before_hold && !after_touch && !before_set);
	if (f->file)
		file_unmake(f->file);
	mmu_vcpu_destroy(f->other);
	world_unmake(&f->w);
	memory_unmake(f->memory, NR_PAGES * PAGE);
	return 0;
}

static uint8_t *in_file(void)
{
	return file_address(fixture.file, 0);
}

static void convert_to(uint32_t attributes)
{
	assert_int_equal(file_convert(fixture.file, 0, PAGE, attributes), 0);
}

static void to_private(void)
{
	convert_to(ATTR_PRIVATE);
}

static void to_shared(void)
{
	convert_to(0);
}

static uint8_t *access_page(void)
{
	uint8_t *host = touch_ok(fixture.w.v, BASE, MMU_WRITE);

	mmu_check(fixture.w.mmu);
	return host;
}

/* ---- between the look and the lock ---------------------------------------------------------------- */

static void a_page_that_became_shared_before_the_lock_is_looked_at_again(void **state)
{
	before_hold = to_shared;
	assert_ptr_equal(access_page(), fixture.memory);
	/* The file's page was not even touched. */
	assert_int_equal(nr_touches, 1);
}

static void there_and_back_again_is_no_change(void **state)
{
	static void (*back)(void) = to_private;

	before_hold = to_shared;
	assert_ptr_equal(access_page(), fixture.memory);
	before_hold = back;
	convert_to(ATTR_PRIVATE);
	convert_to(0);
	assert_ptr_equal(access_page(), in_file());
}

static void release(void)
{
	file_unmake(fixture.file);
	fixture.file = NULL;
}

static void a_file_that_was_released_before_the_lock_is_looked_at_again(void **state)
{
	before_hold = release;
	assert_ptr_equal(access_page(), fixture.memory);
}

static void delete_slot(void)
{
	memslot_delete(fixture.w.mmu, memslot_find(fixture.w.mmu, 0, 0));
}

static void a_slot_that_went_before_the_lock_is_looked_at_again(void **state)
{
	struct mmu_fault_info info;

	before_hold = delete_slot;
	assert_int_equal(mmu_fault(fixture.w.v, BASE, MMU_READ, false, &info), MMU_FAULT_MMIO);
	mmu_check(fixture.w.mmu);
}

/* ---- memory of the program ------------------------------------------------------------------------- */

/* It can convert there: no lock is held over the touch, which may last. */
static void memory_whose_page_became_private_is_not_mapped(void **state)
{
	to_shared();
	after_touch = to_private;
	assert_ptr_equal(access_page(), in_file());
	assert_int_equal(nr_touches, 2);
}

static void neighbour_to_private(void)
{
	assert_int_equal(file_convert(fixture.file, 9 * PAGE, PAGE, ATTR_PRIVATE), 0);
}

static void memory_whose_neighbour_became_private_is_mapped_small(void **state)
{
	assert_int_equal(file_convert(fixture.file, 0, NR_PAGES * PAGE, 0), 0);
	after_touch = neighbour_to_private;
	assert_ptr_equal(access_page(), fixture.memory);
	assert_int_equal(nr_touches, 1);
	assert_int_equal(mmu_mapped_level(fixture.w.mmu, BASE), LEVEL_4K);
}

static void memory_of_a_file_that_was_released_stays_shared(void **state)
{
	to_shared();
	after_touch = release;
	assert_ptr_equal(access_page(), fixture.memory);
}

/* ---- beside each other ------------------------------------------------------------------------------ */

static void start(void (*fn)(void *))
{
	assert_int_equal(os_thread_create(fn, &fixture, "second", &fixture.thread), 0);
}

static void convert_beside(void *arg)
{
	struct fixture *f = arg;

	convert_to(f->wanted);
	atomic_store(&f->done, true);
}

static void start_conversion(void)
{
	start(convert_beside);
	usleep(20000);
	assert_false(atomic_load(&fixture.done));
}

static void a_conversion_waits_for_a_fault_that_holds_the_state(void **state)
{
	struct mmu_fault_info info;

	after_touch = start_conversion;
	assert_int_equal(mmu_fault(fixture.w.v, BASE, MMU_WRITE, false, &info), MMU_FAULT_OK);
	os_thread_join(fixture.thread);
	assert_int_equal(mmu_mapped_level(fixture.w.mmu, BASE), -1);
	assert_ptr_equal(access_page(), fixture.memory);
}

static void touch_beside(void *arg)
{
	struct fixture *f = arg;

	f->seen = touch_ok(f->other, BASE, MMU_WRITE);
}

static void fault_beside(void)
{
	start(touch_beside);
	usleep(20000);
	assert_int_equal(mmu_mapped_level(fixture.w.mmu, BASE), -1);
}

static void a_fault_waits_for_a_conversion(void **state)
{
	access_page();
	before_set = fault_beside;
	to_shared();
	os_thread_join(fixture.thread);
	assert_ptr_equal(fixture.seen, fixture.memory);
	mmu_check(fixture.w.mmu);
	before_set = fault_beside;
	to_private();
	os_thread_join(fixture.thread);
	assert_ptr_equal(fixture.seen, in_file());
	mmu_check(fixture.w.mmu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_page_that_became_shared_before_the_lock_is_looked_at_again),
		T(there_and_back_again_is_no_change),
		T(a_file_that_was_released_before_the_lock_is_looked_at_again),
		T(a_slot_that_went_before_the_lock_is_looked_at_again),
		T(memory_whose_page_became_private_is_not_mapped),
		T(memory_whose_neighbour_became_private_is_mapped_small),
		T(memory_of_a_file_that_was_released_stays_shared),
		T(a_conversion_waits_for_a_fault_that_holds_the_state),
		T(a_fault_waits_for_a_conversion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
