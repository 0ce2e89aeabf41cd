/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Slots and ranges that few programs have: two VMs on one file, the other address space, the ends of everything. */
#include "fixture.h"

#include <errno.h>

#include "mmu/mmu_private.h"

#define TOP_GFN ((uint64_t)1 << 36) /* of an mmu whose addresses have 48 bits */

int __real_probe_page(uint64_t address, bool write);
int __wrap_probe_page(uint64_t address, bool write);
bool __wrap_os_signal_pending(void);
void __wrap_os_wake_all(_Atomic uint32_t *word);

static unsigned int nr_wakes;

static int refuse_probes;
static int signal_in = -1; /* looks for a signal before there is one; -1: there is none */

int __wrap_probe_page(uint64_t address, bool write)
{
	return refuse_probes && refuse_probes-- ? -EFAULT : __real_probe_page(address, write);
}

bool __wrap_os_signal_pending(void)
{
	return signal_in >= 0 && signal_in-- == 0;
}

void __wrap_os_wake_all(_Atomic uint32_t *word)
{
	nr_wakes++;
}

static struct memslot *slot_of(struct world *w, const struct memslot *what, bool dirty_all)
{
	assert_int_equal(memslot_create(w->mmu, what, dirty_all), 0);
	return memslot_find(w->mmu, what->as_id, what->id);
}

static struct gmem_file *file_of(uint64_t size)
{
	struct gmem_file *f;

	assert_int_equal(gmem_file_create(size, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, &f), 0);
	return f;
}

/* ---- whose leaves a change of a file drops ------------------------------------------------------ */

static void a_punch_drops_no_leaf_of_another_vm(void **state)
{
	struct gmem_file *f = file_of(8 * PAGE);
	struct world one, two;

	world_make(&one, false);
	world_make(&two, false);
	slot_make_file(&one, 0, 0, 4, NULL, f, 0);
	slot_make_file(&two, 0, 0, 4, NULL, f, 4 * PAGE);
	touch_ok(one.v, PAGE, MMU_READ)[0] = 1;
	touch_ok(two.v, PAGE, MMU_READ)[0] = 2;
	assert_int_equal(gmem_file_punch(f, 4 * PAGE, 4 * PAGE), 0);
	assert_true(walk(one.v, PAGE, MMU_READ, &(struct mmu_leaf){ 0 }));
	assert_false(walk(two.v, PAGE, MMU_READ, &(struct mmu_leaf){ 0 }));
	assert_int_equal(touch_ok(one.v, PAGE, MMU_READ)[0], 1);
	assert_int_equal(touch_ok(two.v, PAGE, MMU_READ)[0], 0);
	file_unmake(f);
	assert_null(memslot_find(one.mmu, 0, 0)->file);
	assert_null(memslot_find(two.mmu, 0, 0)->file);
	world_unmake(&one);
	world_unmake(&two);
}

/* Only the first address space has page tables. */
static void a_punch_drops_no_leaf_for_the_other_address_space(void **state)
{
	struct gmem_file *f = file_of(4 * PAGE);
	uint8_t *memory = memory_make(4 * PAGE, 0);
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, 0, 4, memory, 0);
	slot_of(&w,
		&(struct memslot){
			.as_id = 1, .nr_pages = 4, .flags = MEMSLOT_GUEST_MEMFD, .file = f },
		false);
	touch_ok(w.v, PAGE, MMU_READ);
	assert_int_equal(gmem_file_punch(f, 0, 4 * PAGE), 0);
	assert_true(walk(w.v, PAGE, MMU_READ, &(struct mmu_leaf){ 0 }));
	file_unmake(f);
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

static void a_slot_may_be_told_that_its_file_has_all_its_memory(void **state)
{
	struct gmem_file *f;
	struct world w;

	assert_int_equal(gmem_file_create(4 * PAGE, GMEM_FILE_INIT_SHARED, &f), 0);
	world_make(&w, false);
	slot_of(&w,
		&(struct memslot){
			.nr_pages = 4, .flags = MEMSLOT_GUEST_MEMFD, .gmem_only = true, .file = f },
		false);
	touch_ok(w.v, PAGE, MMU_READ)[0] = 9;
	assert_int_equal(file_address(f, PAGE)[0], 9);
	file_unmake(f);
	world_unmake(&w);
}

/* ---- dirty logs -------------------------------------------------------------------------------- */

static void a_log_of_whole_words_begins_full(void **state)
{
	uint8_t *memory = memory_make(64 * PAGE, 0);
	uint64_t words[1] = { 0 };
	struct memslot *slot;
	struct world w;

	world_make(&w, false);
	slot = slot_of(&w,
		       &(struct memslot){ .nr_pages = 64,
					  .flags = MEMSLOT_LOG_DIRTY,
					  .hva = (uint64_t)(uintptr_t)memory },
		       true);
	assert_int_equal(memslot_dirty_words(slot), 1);
	memslot_dirty_clear(w.mmu, slot, 0, 0, NULL);
	memslot_dirty_get(w.mmu, slot, words, true);
	assert_int_equal(words[0], UINT64_MAX);
	memslot_dirty_get(w.mmu, slot, words, false);
	assert_int_equal(words[0], 0);
	world_unmake(&w);
	memory_unmake(memory, 64 * PAGE);
}

/* At the same gfn as a slot whose leaf stays as writable as it was. */
static void a_log_of_the_other_address_space_protects_nothing(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	struct memslot what = { .nr_pages = 4, .hva = (uint64_t)(uintptr_t)memory };
	struct mmu_leaf leaf;
	struct memslot *slot;
	uint64_t words[1];
	struct world w;

	world_make(&w, false);
	slot_of(&w, &what, false);
	what.as_id = 1;
	what.flags = MEMSLOT_LOG_DIRTY;
	slot = slot_of(&w, &what, true);
	touch_ok(w.v, PAGE, MMU_WRITE);
	memslot_dirty_get(w.mmu, slot, words, true);
	assert_int_equal(words[0], 0xf);
	assert_true(walk(w.v, PAGE, MMU_WRITE, &leaf));
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

static void a_log_where_no_guest_can_reach_is_cleared_all_the_same(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	struct memslot *slot;
	uint64_t words[1];
	struct world w;

	world_make(&w, false);
	slot = slot_of(&w,
		       &(struct memslot){ .gfn = TOP_GFN,
					  .nr_pages = 4,
					  .flags = MEMSLOT_LOG_DIRTY,
					  .hva = (uint64_t)(uintptr_t)memory },
		       true);
	memslot_dirty_get(w.mmu, slot, words, true);
	assert_int_equal(words[0], 0xf);
	memslot_dirty_get(w.mmu, slot, words, false);
	assert_int_equal(words[0], 0);
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

/* ---- by address of the program ------------------------------------------------------------------ */

static void a_range_to_the_end_of_all_addresses_drops_what_is_in_it(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	uint64_t hva = (uint64_t)(uintptr_t)memory;
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, 0, 4, memory, 0);
	touch_ok(w.v, 0, MMU_READ);
	touch_ok(w.v, 3 * PAGE, MMU_READ);
	assert_true(mmu_hva_invalidate_begin(w.mmu, hva + PAGE, UINT64_MAX));
	mmu_hva_invalidate_end(w.mmu, hva + PAGE, UINT64_MAX);
	assert_true(walk(w.v, 0, MMU_READ, &(struct mmu_leaf){ 0 }));
	assert_false(walk(w.v, 3 * PAGE, MMU_READ, &(struct mmu_leaf){ 0 }));
	touch_ok(w.v, 3 * PAGE, MMU_READ);
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

static void the_part_of_a_slot_that_a_range_meets_ends_where_either_does(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	uint64_t hva = (uint64_t)(uintptr_t)memory, gfn, end;
	struct memslot *slot;
	struct world w;

	world_make(&w, false);
	slot = slot_make(&w, 0, 100, 4, memory, 0);
	assert_false(memslot_hva_part(slot, hva - PAGE, hva, &gfn, &end));
	assert_false(memslot_hva_part(slot, hva - 2 * PAGE, hva - PAGE, &gfn, &end));
	assert_false(memslot_hva_part(slot, hva + 4 * PAGE, hva + 5 * PAGE, &gfn, &end));
	assert_true(memslot_hva_part(slot, hva - PAGE, hva + 1, &gfn, &end));
	assert_int_equal(gfn, 100);
	assert_int_equal(end, 101);
	assert_true(memslot_hva_part(slot, hva + 4 * PAGE - 1, UINT64_MAX, &gfn, &end));
	assert_int_equal(gfn, 103);
	assert_int_equal(end, 104);
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

/* ---- faults ------------------------------------------------------------------------------------ */

static void a_page_of_a_file_that_the_system_has_no_memory_for_ends_the_fault(void **state)
{
	struct gmem_file *f = file_of(4 * PAGE);
	struct mmu_fault_info info;
	struct mmu_leaf leaf;
	struct world w;

	world_make(&w, false);
	slot_make_file(&w, 0, 0, 4, NULL, f, 0);
	refuse_probes = 1;
	assert_int_equal(touch(w.v, PAGE, MMU_READ, &leaf, &info), MMU_FAULT_MEMORY);
	assert_false(walk(w.v, PAGE, MMU_READ, &leaf));
	touch_ok(w.v, PAGE, MMU_READ);
	file_unmake(f);
	world_unmake(&w);
}

/* A change that takes its time does not keep a vCPU that shall come out. */
static void a_fault_that_waits_for_a_change_ends_with_a_signal(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	struct mmu_fault_info info;
	struct mmu_leaf leaf;
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, 0, 4, memory, 0);
	mmu_invalidate_begin(w.mmu, 0, 4);
	signal_in = 200;
	assert_int_equal(touch(w.v, PAGE, MMU_READ, &leaf, &info), MMU_FAULT_ERROR);
	assert_int_equal(signal_in, -1);
	assert_int_equal(info.error, -EINTR);
	mmu_invalidate_end(w.mmu, 0, 4);
	touch_ok(w.v, PAGE, MMU_READ);
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

static unsigned int wakes_of(struct mmu_vcpu *v, uint32_t requests)
{
	nr_wakes = 0;
	mmu_vcpu_request(v, requests);
	assert_int_equal(mmu_vcpu_requests(v), requests);
	mmu_vcpu_clear(v, requests & ~MMU_REQ_FLUSH);
	return nr_wakes;
}

/* Inside it looks for itself; halted and outside only who has something to do is woken. */
static void a_request_wakes_a_vcpu_that_is_outside_unless_it_is_for_a_flush(void **state)
{
	struct world w;

	world_make(&w, false);
	assert_int_equal(wakes_of(w.v, MMU_REQ_KICK), 1);
	assert_int_equal(wakes_of(w.v, MMU_REQ_EVENT), 1);
	assert_int_equal(wakes_of(w.v, MMU_REQ_FLUSH), 0);
	mmu_vcpu_enter(w.v);
	mmu_vcpu_flush_begin(w.v);
	mmu_vcpu_flush_end(w.v);
	assert_int_equal(wakes_of(w.v, MMU_REQ_KICK), 0);
	assert_int_equal(wakes_of(w.v, MMU_REQ_EVENT), 0);
	mmu_vcpu_leave(w.v);
	world_unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_punch_drops_no_leaf_of_another_vm),
		cmocka_unit_test(a_punch_drops_no_leaf_for_the_other_address_space),
		cmocka_unit_test(a_slot_may_be_told_that_its_file_has_all_its_memory),
		cmocka_unit_test(a_log_of_whole_words_begins_full),
		cmocka_unit_test(a_log_of_the_other_address_space_protects_nothing),
		cmocka_unit_test(a_log_where_no_guest_can_reach_is_cleared_all_the_same),
		cmocka_unit_test(a_range_to_the_end_of_all_addresses_drops_what_is_in_it),
		cmocka_unit_test(the_part_of_a_slot_that_a_range_meets_ends_where_either_does),
		cmocka_unit_test(a_page_of_a_file_that_the_system_has_no_memory_for_ends_the_fault),
		cmocka_unit_test(a_fault_that_waits_for_a_change_ends_with_a_signal),
		cmocka_unit_test(a_request_wakes_a_vcpu_that_is_outside_unless_it_is_for_a_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
