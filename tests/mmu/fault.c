/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a guest access comes to, rule by rule. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

#define BASE GB

static struct mmu_fault_info info;

static enum mmu_fault_result fault(struct world *w, uint64_t gpa, uint32_t access)
{
	struct mmu_leaf leaf;
	enum mmu_fault_result result = touch(w->v, gpa, access, &leaf, &info);

	if (result != MMU_FAULT_OK) {
		assert_int_equal(info.gpa, gpa & ~(PAGE - 1));
		assert_int_equal(info.size, PAGE);
		assert_false(walk(w->v, gpa, access, &leaf));
	}
	mmu_check(w->mmu);
	return result;
}

static void expect_memory_fault(struct world *w, uint64_t gpa, uint32_t access, bool is_private)
{
	assert_int_equal(fault(w, gpa, access), MMU_FAULT_MEMORY);
	assert_int_equal(info.error, -EFAULT);
	assert_int_equal(info.is_private, is_private);
}

/* A neighbour's fault may have mapped the page, too: the access then faults natively, and asks. */
static void expect_efault(struct world *w, uint64_t gpa, uint32_t access)
{
	assert_int_equal(mmu_fault(w->v, gpa, access, false, &info), MMU_FAULT_ERROR);
	assert_int_equal(info.error, -EFAULT);
}

static void without_a_slot_shared_is_a_device_and_private_a_memory_fault(void **state)
{
	struct world w;

	world_make(&w, true);
	assert_int_equal(fault(&w, BASE + 7, MMU_READ), MMU_FAULT_MMIO);
	assert_int_equal(fault(&w, BASE, MMU_WRITE), MMU_FAULT_MMIO);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, ATTR_PRIVATE), 0);
	expect_memory_fault(&w, BASE + 7, MMU_READ, true);
	assert_int_equal(fault(&w, BASE + PAGE, MMU_READ), MMU_FAULT_MMIO);
	world_unmake(&w);
}

static void attributes_mean_nothing_without_private_memory(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	attr_map_reserve(mmu_attributes(w.mmu), BASE / PAGE, 1);
	attr_map_set(mmu_attributes(w.mmu), BASE / PAGE, 1, ATTR_PRIVATE);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_READ), memory);
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

static void beyond_the_guest_address_width_is_a_device(void **state)
{
	struct world w;

	world_make(&w, true);
	assert_int_equal(fault(&w, (uint64_t)1 << 48, MMU_READ), MMU_FAULT_MMIO);
	assert_int_equal(fault(&w, UINT64_MAX, MMU_WRITE), MMU_FAULT_MMIO);
	world_unmake(&w);
}

static void a_read_maps_for_reading_and_a_write_adds_the_right(void **state)
{
	uint8_t *memory = memory_make(2 * MB2, 0);
	struct mmu_leaf leaf;
	struct world w;

	world_make_large(&w, false);
	slot_make(&w, 0, BASE / PAGE, 2 * MB2 / PAGE, memory, 0);
	assert_int_equal(fault(&w, BASE + 5 * PAGE, MMU_READ), MMU_FAULT_OK);
	assert_true(walk(w.v, BASE + 5 * PAGE, MMU_READ, &leaf));
	assert_ptr_equal(leaf.host, memory + 5 * PAGE);
	assert_false(leaf.writable);
	assert_false(walk(w.v, BASE + 5 * PAGE, MMU_WRITE, &leaf));
	assert_int_equal(fault(&w, BASE + 5 * PAGE, MMU_WRITE), MMU_FAULT_OK);
	assert_int_equal(info.mapped_end, BASE + MB2);
	assert_true(walk(w.v, BASE + 5 * PAGE, MMU_READ | MMU_EXEC, &leaf));
	assert_true(leaf.writable);
	world_unmake(&w);
	memory_unmake(memory, 2 * MB2);
}

static void a_read_of_untouched_memory_allocates_nothing(void **state)
{
	int fd = memfd_create("untouched", 0);
	uint8_t *memory;
	unsigned char in_core;
	struct world w;

	assert_int_equal(ftruncate(fd, (off_t)MB2), 0);
	memory = mmap(NULL, MB2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, MB2 / PAGE, memory, 0);
	assert_int_equal(fault(&w, BASE, MMU_READ), MMU_FAULT_OK);
	assert_int_equal(mincore(memory + PAGE, PAGE, &in_core), 0);
	assert_int_equal(in_core & 1, 0);
	world_unmake(&w);
	munmap(memory, MB2);
	close(fd);
}

static void a_write_to_a_readonly_slot_is_a_device(void **state)
{
	uint8_t *memory = memory_make(2 * PAGE, 0);
	struct mmu_leaf leaf;
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, 2, memory, MEMSLOT_READONLY);
	assert_int_equal(fault(&w, BASE, MMU_WRITE), MMU_FAULT_MMIO);
	assert_int_equal(fault(&w, BASE, MMU_READ), MMU_FAULT_OK);
	assert_true(walk(w.v, BASE, MMU_READ, &leaf));
	assert_false(leaf.writable);
	assert_int_equal(fault(&w, BASE, MMU_WRITE), MMU_FAULT_MMIO);
	world_unmake(&w);
	memory_unmake(memory, 2 * PAGE);
}

static void memory_that_cannot_be_touched_is_efault_without_an_exit(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	int fd = memfd_create("short", 0);
	uint8_t *beyond = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, 4, memory, 0);
	slot_make(&w, 1, 2 * BASE / PAGE, 4, NULL, 0);
	slot_make(&w, 2, 3 * BASE / PAGE, 2, beyond, 0);
	slot_make(&w, 3, 4 * BASE / PAGE, 2, (void *)(uintptr_t)((uint64_t)1 << 56), 0);
	assert_int_equal(mprotect(memory, PAGE, PROT_NONE), 0);
	assert_int_equal(mprotect(memory + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(munmap(memory + 2 * PAGE, PAGE), 0);
	expect_efault(&w, BASE, MMU_READ);
	expect_efault(&w, BASE, MMU_WRITE);
	assert_int_equal(fault(&w, BASE + PAGE, MMU_READ), MMU_FAULT_OK);
	expect_efault(&w, BASE + PAGE, MMU_WRITE);
	expect_efault(&w, BASE + 2 * PAGE, MMU_READ);
	assert_int_equal(fault(&w, BASE + 3 * PAGE, MMU_WRITE), MMU_FAULT_OK);
	expect_efault(&w, 2 * BASE, MMU_READ);
	expect_efault(&w, 3 * BASE, MMU_WRITE);
	assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
	assert_int_equal(fault(&w, 3 * BASE, MMU_WRITE), MMU_FAULT_OK);
	expect_efault(&w, 3 * BASE + PAGE, MMU_READ);
	expect_efault(&w, 4 * BASE, MMU_READ);
	world_unmake(&w);
	munmap(beyond, 2 * PAGE);
	close(fd);
	munmap(memory, 4 * PAGE);
}

/* A leaf says nothing about the program's mapping: who faults natively behind it asks again. */
static void a_fault_on_a_mapped_page_tries_the_memory_again(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct world w;

	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	touch_ok(w.v, BASE, MMU_WRITE);
	assert_int_equal(mprotect(memory, PAGE, PROT_READ), 0);
	assert_int_equal(mmu_fault(w.v, BASE, MMU_WRITE, false, &info), MMU_FAULT_ERROR);
	assert_int_equal(info.error, -EFAULT);
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, false, &info), MMU_FAULT_OK);
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

static void it_works_with_the_fault_signals_blocked(void **state)
{
	sigset_t set, old;
	struct world w;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	world_make(&w, false);
	slot_make(&w, 0, BASE / PAGE, 1, NULL, 0);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	os_signal_mask_changed();
	expect_efault(&w, BASE, MMU_READ);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	os_signal_mask_changed();
	world_unmake(&w);
}

static void the_attribute_chooses_between_file_and_program_memory(void **state)
{
	uint8_t *memory = memory_make(4 * PAGE, 0);
	struct gmem_file *file;
	struct world w;

	world_make(&w, true);
	assert_int_equal(gmem_file_create(8 * PAGE, 0, &file), 0);
	slot_make_file(&w, 0, BASE / PAGE, 4, memory, file, 2 * PAGE);
	assert_ptr_equal(touch_ok(w.v, BASE + PAGE, MMU_WRITE), memory + PAGE);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE + 1, 1, ATTR_PRIVATE), 0);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE + PAGE), -1);
	assert_ptr_equal(touch_ok(w.v, BASE + PAGE, MMU_READ), file_address(file, 3 * PAGE));
	assert_ptr_equal(touch_ok(w.v, BASE + PAGE, MMU_WRITE), file_address(file, 3 * PAGE));
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_WRITE), memory);
	mmu_check(w.mmu);
	file_unmake(file);
	world_unmake(&w);
	memory_unmake(memory, 4 * PAGE);
}

static void private_memory_without_a_file_is_a_memory_fault(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct world w;

	world_make(&w, true);
	slot_make(&w, 0, BASE / PAGE, 1, memory, MEMSLOT_READONLY);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, ATTR_PRIVATE), 0);
	expect_memory_fault(&w, BASE, MMU_READ, true);
	expect_memory_fault(&w, BASE, MMU_WRITE, true);
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

static void a_mappable_file_serves_both_kinds_of_access(void **state)
{
	struct gmem_file *file;
	struct world w;

	world_make(&w, true);
	assert_int_equal(gmem_file_create(4 * PAGE, GMEM_FILE_MMAP, &file), 0);
	slot_make_file(&w, 0, BASE / PAGE, 2, NULL, file, PAGE);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_WRITE), file_address(file, PAGE));
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, ATTR_PRIVATE), 0);
	assert_ptr_equal(touch_ok(w.v, BASE, MMU_READ), file_address(file, PAGE));
	file_unmake(file);
	expect_memory_fault(&w, BASE, MMU_READ, true);
	expect_memory_fault(&w, BASE + PAGE, MMU_WRITE, false);
	world_unmake(&w);
}

static void a_released_file_leaves_its_slot_and_a_memory_fault(void **state)
{
	uint8_t *memory = memory_make(2 * PAGE, 0);
	struct gmem_file *file;
	struct memslot *slot;
	struct world w;

	world_make(&w, true);
	assert_int_equal(gmem_file_create(2 * PAGE, 0, &file), 0);
	slot = slot_make_file(&w, 0, BASE / PAGE, 2, memory, file, 0);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, 1, ATTR_PRIVATE), 0);
	touch_ok(w.v, BASE, MMU_WRITE);
	file_unmake(file);
	assert_null(slot->file);
	assert_ptr_equal(memslot_find(w.mmu, 0, 0), slot);
	assert_int_equal(mmu_mapped_level(w.mmu, BASE), -1);
	expect_memory_fault(&w, BASE, MMU_READ, true);
	assert_ptr_equal(touch_ok(w.v, BASE + PAGE, MMU_READ), memory + PAGE);
	/* Delete and create is what binds a file again. */
	memslot_delete(w.mmu, slot);
	assert_int_equal(gmem_file_create(2 * PAGE, 0, &file), 0);
	slot_make_file(&w, 0, BASE / PAGE, 2, memory, file, 0);
	touch_ok(w.v, BASE, MMU_READ);
	memslot_delete(w.mmu, memslot_find(w.mmu, 0, 0));
	file_unmake(file);
	world_unmake(&w);
	memory_unmake(memory, 2 * PAGE);
}

static void *make_valid(void *arg)
{
	struct memslot *slot = arg;
	struct mmu *mmu = slot->mmu;

	usleep(20000);
	/* Any bracket will do to publish it: the flag is the mmu's own. */
	memslot_move(mmu, slot, slot->gfn, slot->flags, false);
	return NULL;
}

static void a_slot_on_its_way_out_is_waited_for_or_told_to_a_prefault(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct memslot *slot;
	pthread_t thread;
	struct world w;

	world_make(&w, false);
	slot = slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	slot->invalid = true;
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, true, &info), MMU_FAULT_AGAIN);
	pthread_create(&thread, NULL, make_valid, slot);
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, false, &info), MMU_FAULT_OK);
	pthread_join(thread, NULL);
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

static void a_prefault_loops_when_the_profile_says_so(void **state)
{
	struct mmu_config config = { .gpa_bits = 40, .retry_invalid_slot = true };
	uint8_t *memory = memory_make(PAGE, 0);
	struct memslot *slot;
	pthread_t thread;
	struct world w;

	assert_int_equal(mmu_create(&config, &w.mmu), 0);
	assert_int_equal(mmu_vcpu_create(w.mmu, &w.v), 0);
	slot = slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	slot->invalid = true;
	pthread_create(&thread, NULL, make_valid, slot);
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, true, &info), MMU_FAULT_OK);
	pthread_join(thread, NULL);
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

static void a_prefault_backs_and_reports_one_page(void **state)
{
	struct gmem_file *file;
	struct world w;

	world_make(&w, true);
	assert_int_equal(gmem_file_create(GB, 0, &file), 0);
	/* Pages are counted. */
	store_stay_small(gmem_file_store(file));
	slot_make_file(&w, 0, BASE / PAGE, GB / PAGE, NULL, file, 0);
	assert_int_equal(mmu_set_attributes(w.mmu, BASE / PAGE, GB / PAGE, ATTR_PRIVATE), 0);
	assert_int_equal(mmu_fault(w.v, BASE + 7 * PAGE, MMU_READ, true, &info), MMU_FAULT_OK);
	assert_int_equal(info.mapped_end, BASE + 8 * PAGE);
	assert_int_equal(store_backed(gmem_file_store(file)), PAGE);
	file_unmake(file);
	world_unmake(&w);
}

/* What it waits for here does not end by itself. */
static void a_fault_that_waits_gives_way_to_a_signal(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct memslot *slot;
	struct world w;

	world_make(&w, false);
	slot = slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	slot->invalid = true;
	os_signal_set_pending(true);
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, false, &info), MMU_FAULT_ERROR);
	assert_int_equal(info.error, -EINTR);
	slot->invalid = false;
	/* One that need not wait is done all the same. */
	assert_int_equal(mmu_fault(w.v, BASE, MMU_READ, false, &info), MMU_FAULT_OK);
	os_signal_set_pending(false);
	world_unmake(&w);
	memory_unmake(memory, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_slot_shared_is_a_device_and_private_a_memory_fault),
		cmocka_unit_test(attributes_mean_nothing_without_private_memory),
		cmocka_unit_test(beyond_the_guest_address_width_is_a_device),
		cmocka_unit_test(a_read_maps_for_reading_and_a_write_adds_the_right),
		cmocka_unit_test(a_read_of_untouched_memory_allocates_nothing),
		cmocka_unit_test(a_write_to_a_readonly_slot_is_a_device),
		cmocka_unit_test(memory_that_cannot_be_touched_is_efault_without_an_exit),
		cmocka_unit_test(a_fault_on_a_mapped_page_tries_the_memory_again),
		cmocka_unit_test(it_works_with_the_fault_signals_blocked),
		cmocka_unit_test(the_attribute_chooses_between_file_and_program_memory),
		cmocka_unit_test(private_memory_without_a_file_is_a_memory_fault),
		cmocka_unit_test(a_mappable_file_serves_both_kinds_of_access),
		cmocka_unit_test(a_released_file_leaves_its_slot_and_a_memory_fault),
		cmocka_unit_test(a_slot_on_its_way_out_is_waited_for_or_told_to_a_prefault),
		cmocka_unit_test(a_prefault_loops_when_the_profile_says_so),
		cmocka_unit_test(a_prefault_backs_and_reports_one_page),
		cmocka_unit_test(a_fault_that_waits_gives_way_to_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
