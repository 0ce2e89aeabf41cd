/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The numbers of the account against states that the test has made page by page. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/account.h"
#include "kvm/account_rows.h"
#include "kvm/vm.h"
#include "map/pins.h"
#include "os/os.h"

#define PAGE 4096ull
#define GPA (1ull << 32)
#define NR 64u
#define P ACCOUNT_PRIVATE
#define F ACCOUNT_IN_FILE
#define M ACCOUNT_IN_PROGRAM

static struct account_snapshot now, before;

static void look(struct vm *vms, const struct account_snapshot *last)
{
	struct account_walker *w;

	assert_int_equal(account_walker_create(&w), 0);
	account_walk(w, vms, false, last, &now);
	account_walker_destroy(w);
}

static void look_at(int vm)
{
	look(vm_of(object_of(vm)), NULL);
	assert_int_equal(now.nr_vms, 1);
}

static void touch_file(struct gmem_file *f, uint64_t page)
{
	void *at;

	assert_int_equal(store_address(gmem_file_store(f), page * PAGE, &at), 0);
	memset(at, 1, 8);
}

static struct gmem_file *file_of(int gmem)
{
	return kvm_gmem_host_file(object_of(gmem))->file;
}

/* What a page is to be: a state, counted by the test in its own way. */
static uint32_t wanted_state(uint32_t page)
{
	return page * 5 % 8;
}

static void expect_states(const struct account_bytes *b)
{
	uint64_t sums[8] = { 0 };

	for (uint32_t i = 0; i < NR; i++)
		sums[wanted_state(i)] += PAGE;
	for (uint32_t s = 0; s < 8; s++)
		assert_int_equal(b->by_state[s], sums[s]);
}

static void expect_runs(uint32_t pinned_from, uint32_t pinned_to)
{
	uint32_t page = 0;

	assert_int_equal(now.coarse_pages, 0);
	for (uint32_t r = 0; r < now.nr_runs; r++) {
		assert_int_equal(now.runs[r].gpa, GPA + page * PAGE);
		for (uint32_t end = page + now.runs[r].nr_pages; page < end; page++) {
			bool pinned = page >= pinned_from && page < pinned_to;

			assert_int_equal(now.runs[r].states,
					 1u << wanted_state(page) | (pinned ? ACCOUNT_PINNED : 0));
		}
	}
	assert_int_equal(page, NR);
}

static void *map_memory(int flags, int fd)
{
	void *at = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void every_state_is_counted_in(int flags, int fd)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem = make_gmem(vm, 2 * NR * PAGE, 0);
	char *memory = map_memory(flags, fd);
	struct pin *pin;

	assert_int_equal(
		set_slot(vm, 3, KVM_MEM_GUEST_MEMFD, GPA, NR * PAGE, memory, gmem, NR * PAGE), 0);
	for (uint32_t i = 0; i < NR; i++) {
		if (wanted_state(i) & P)
			assert_int_equal(set_private(vm, GPA + i * PAGE, PAGE, true), 0);
		if (wanted_state(i) & F)
			touch_file(file_of(gmem), NR + i);
		if (wanted_state(i) & M)
			memory[i * PAGE] = 1;
	}
	/* Outside the slot. */
	touch_file(file_of(gmem), 5);
	assert_int_equal(pin_intend(kvm_gmem_host_file(object_of(gmem)), (NR + 9) * PAGE + 7,
				    2 * PAGE, &pin),
			 0);
	look_at(vm);
	pin_drop(pin);

	assert_int_equal(now.flags, 0);
	assert_int_equal(now.nr_slots, 1);
	assert_int_equal(now.slots[0].id, 3);
	assert_int_equal(now.slots[0].gpa, GPA);
	assert_int_equal(now.slots[0].size, NR * PAGE);
	assert_int_equal(now.slots[0].hva, (uintptr_t)memory);
	assert_int_equal(now.slots[0].now.pinned, 3 * PAGE);
	expect_states(&now.slots[0].now);
	expect_states(&now.vms[0].now);
	expect_runs(9, 12);
	assert_int_equal(now.nr_files, 1);
	assert_int_equal(now.files[0].size, 2 * NR * PAGE);
	assert_int_equal(now.files[0].backed, (NR / 2 + 1) * PAGE);
	assert_int_equal(now.files[0].allocated, (NR / 2 + 1) * PAGE);
	assert_int_equal(now.files[0].bound, NR * PAGE);
	assert_int_equal(now.files[0].private_bytes, NR / 2 * PAGE);
	assert_int_equal(now.files[0].pinned, 3 * PAGE);
	assert_int_equal(now.slots[0].file, now.files[0].number);
	fixture_close(gmem);
	fixture_close(vm);
	munmap(memory, NR * PAGE);
	fixture_end();
}

static void each_state_over_anonymous_memory(void **state)
{
	every_state_is_counted_in(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void each_state_over_shared_memory(void **state)
{
	every_state_is_counted_in(MAP_SHARED | MAP_ANONYMOUS, -1);
}

static void each_state_over_a_memfd(void **state)
{
	int fd = memfd_create("memory", 0);

	assert_int_equal(ftruncate(fd, NR * PAGE), 0);
	every_state_is_counted_in(MAP_SHARED, fd);
	close(fd);
}

/* Of a file that is in memory as a whole only the pages that were written are the program's own. */
static void each_state_over_a_private_mapping_of_a_file(void **state)
{
	int fd = memfd_create("memory", 0);

	assert_int_equal(fallocate(fd, 0, 0, NR * PAGE), 0);
	every_state_is_counted_in(MAP_PRIVATE, fd);
	close(fd);
}

static void shared_memory_is_backed_until_it_is_punched(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), fd = memfd_create("memory", 0);
	char *memory;

	assert_int_equal(ftruncate(fd, NR * PAGE), 0);
	memory = map_memory(MAP_SHARED, fd);
	memset(memory, 1, NR * PAGE);
	assert_int_equal(set_slot(vm, 0, 0, GPA, NR * PAGE, memory, -1, 0), 0);
	madvise(memory, NR * PAGE, MADV_DONTNEED);
	look_at(vm);
	assert_int_equal(now.slots[0].now.by_state[M], NR * PAGE);
	assert_int_equal(now.slots[0].file, 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5 * PAGE), 0);
	look_at(vm);
	assert_int_equal(now.slots[0].now.by_state[M], (NR - 5) * PAGE);
	assert_int_equal(now.slots[0].now.by_state[0], 5 * PAGE);
	fixture_close(vm);
	munmap(memory, NR * PAGE);
	close(fd);
	fixture_end();
}

/* Behind some GiB only the page tables are asked. */
static void a_large_piece_of_shared_memory_is_cut(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	uint64_t size = 6ull << 30;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(memory != MAP_FAILED);
	memory[0] = memory[1ull << 30] = memory[size - PAGE] = 1;
	assert_int_equal(set_slot(vm, 0, 0, GPA, size, memory, -1, 0), 0);
	look_at(vm);
	assert_int_equal(now.flags, ACCOUNT_SHARED_CUT);
	assert_int_equal(now.slots[0].now.by_state[M], 3 * PAGE);
	madvise(memory, size, MADV_DONTNEED);
	look_at(vm);
	assert_int_equal(now.slots[0].now.by_state[M], 2 * PAGE);
	fixture_close(vm);
	munmap(memory, size);
	fixture_end();
}

static void what_is_punched_unmapped_or_only_allocated_has_nothing(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem = make_gmem(vm, NR * PAGE, 0);
	struct kvm_object *o = object_of(gmem);
	char *memory = map_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, GPA, NR * PAGE, memory, gmem, 0), 0);
	assert_int_equal(kvm_gmem_fallocate(o, FALLOC_FL_KEEP_SIZE, 0, NR * PAGE), 0);
	for (uint32_t i = 0; i < 8; i++)
		touch_file(file_of(gmem), i);
	memset(memory, 1, 16 * PAGE);
	assert_int_equal(
		kvm_gmem_fallocate(o, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE), 0);
	munmap(memory + 3 * PAGE, PAGE);
	madvise(memory + 4 * PAGE, PAGE, MADV_DONTNEED);
	look_at(vm);
	assert_int_equal(account_both(&now.slots[0].now), 4 * PAGE);
	assert_int_equal(account_in_file(&now.slots[0].now), 6 * PAGE);
	assert_int_equal(account_in_program(&now.slots[0].now), 14 * PAGE);
	assert_int_equal(account_neither(&now.slots[0].now), (NR - 16) * PAGE);
	assert_int_equal(now.files[0].backed, 6 * PAGE);
	assert_int_equal(now.files[0].allocated, (NR - 2) * PAGE);
	fixture_close(gmem);
	fixture_close(vm);
	munmap(memory, NR * PAGE);
	fixture_end();
}

static void in_place_all_is_in_the_file(void **state)
{
	int vm, gmem;
	char *memory = map_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct gmem_conversion c = { .offset = 8 * PAGE, .size = 16 * PAGE, .attributes = P * 2 };

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	memset(memory, 1, NR * PAGE);
	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, GPA, NR * PAGE, memory, gmem, 0), 0);
	assert_int_equal(host_file_convert(kvm_gmem_host_file(object_of(gmem)), &c), 0);
	for (uint32_t i = 0; i < 12; i++)
		touch_file(file_of(gmem), i);
	look_at(vm);
	assert_int_equal(now.slots[0].flags, ACCOUNT_ALL_IN_FILE);
	assert_int_equal(now.slots[0].now.by_state[F], 8 * PAGE);
	assert_int_equal(now.slots[0].now.by_state[P | F], 4 * PAGE);
	assert_int_equal(now.slots[0].now.by_state[P], 12 * PAGE);
	assert_int_equal(now.slots[0].now.by_state[0], (NR - 24) * PAGE);
	assert_int_equal(now.files[0].flags, ACCOUNT_CONVERTS | ACCOUNT_MAPPABLE);
	assert_int_equal(now.files[0].private_bytes, 16 * PAGE);
	fixture_close(gmem);
	fixture_close(vm);
	munmap(memory, NR * PAGE);
	fixture_end();
	fixture_start(NULL);
}

static void peaks_and_what_is_gone_go_on(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem = make_gmem(vm, NR * PAGE, 0);
	char *memory = map_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, GPA, NR * PAGE, memory, gmem, 0), 0);
	memset(memory, 1, 7 * PAGE);
	touch_file(file_of(gmem), 2);
	look_at(vm);
	before = now;
	madvise(memory, NR * PAGE, MADV_DONTNEED);
	look(vm_of(object_of(vm)), &before);
	assert_int_equal(account_backed(&now.slots[0].now, false), PAGE);
	assert_int_equal(now.slots[0].peak.backed_shared, 7 * PAGE);
	assert_int_equal(now.slots[0].peak.both, PAGE);
	assert_int_equal(now.vms[0].peak.backed_shared, 7 * PAGE);
	before = now;
	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, GPA, 0, memory, gmem, 0), 0);
	fixture_close(gmem);
	look(vm_of(object_of(vm)), &before);
	assert_int_equal(now.nr_slots, 1);
	assert_int_equal(now.slots[0].flags, ACCOUNT_GONE);
	assert_int_equal(now.slots[0].peak.backed_shared, 7 * PAGE);
	assert_int_equal(now.nr_files, 1);
	assert_int_equal(now.files[0].flags, ACCOUNT_GONE);
	assert_int_equal(now.vms[0].flags, 0);
	before = now;
	fixture_close(vm);
	look(NULL, &before);
	assert_int_equal(now.nr_vms, 1);
	assert_int_equal(now.vms[0].flags, ACCOUNT_GONE);
	assert_int_equal(now.vms[0].peak.backed_shared, 7 * PAGE);
	munmap(memory, NR * PAGE);
	fixture_end();
}

/* A look that a punch overtakes may see pages in the file that are in the program only once they are punched. */
static void what_is_punched_meanwhile_does_not_count_as_held_twice(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem = make_gmem(vm, NR * PAGE, 0);
	char *memory = map_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, GPA, NR * PAGE, memory, gmem, 0), 0);
	memset(memory, 1, 5 * PAGE);
	for (uint32_t i = 0; i < 5; i++)
		touch_file(file_of(gmem), i);
	account_punch_begin(3 * PAGE);
	look_at(vm);
	assert_int_equal(account_both(&now.slots[0].now), 5 * PAGE);
	assert_int_equal(now.slots[0].peak.both, 2 * PAGE);
	assert_int_equal(now.vms[0].peak.both, 2 * PAGE);
	account_punch_end(3 * PAGE);
	account_punch_begin(9 * PAGE);
	look_at(vm);
	assert_int_equal(now.slots[0].peak.both, 0);
	account_punch_end(9 * PAGE);
	look_at(vm);
	assert_int_equal(now.slots[0].peak.both, 5 * PAGE);
	fixture_close(gmem);
	fixture_close(vm);
	munmap(memory, NR * PAGE);
	fixture_end();
}

static void a_blind_look_asks_for_attributes_alone(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	char *memory = map_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct account_walker *w;

	memset(memory, 1, NR * PAGE);
	assert_int_equal(set_slot(vm, 0, 0, GPA, NR * PAGE, memory, -1, 0), 0);
	assert_int_equal(set_private(vm, GPA, PAGE, true), 0);
	assert_int_equal(account_walker_create(&w), 0);
	account_walk(w, vm_of(object_of(vm)), true, NULL, &now);
	account_walker_destroy(w);
	assert_int_equal(now.flags, ACCOUNT_BLIND | ACCOUNT_NO_PROGRAM);
	assert_int_equal(now.slots[0].now.by_state[P], PAGE);
	assert_int_equal(now.slots[0].now.by_state[0], (NR - 1) * PAGE);
	fixture_close(vm);
	munmap(memory, NR * PAGE);
	fixture_end();
}

/* ---- rows, by themselves ----------------------------------------------------------------------- */

/* One long run, and behind it one of its own for every page. */
#define LONG (1u << 20)
#define NR_SHORT (8ull * ACCOUNT_NR_RUNS)

static uint32_t states_at(uint64_t page)
{
	return page < LONG ? 1u << P : 1u << (page / 64 * 7 + page) % 8;
}

static void a_list_that_is_full_becomes_coarser(void **state)
{
	static struct account_rows rows;
	const struct account_slot slot = { .vm = 1, .gpa = GPA, .size = (LONG + NR_SHORT) * PAGE };
	uint64_t page = 0;
	uint32_t row;

	account_rows_begin(&rows, NULL, &now);
	row = account_rows_slot(&rows, &slot);
	account_rows_run(&rows, row, GPA, LONG, 1u << P);
	for (uint64_t i = LONG; i < LONG + NR_SHORT; i++)
		account_rows_run(&rows, row, GPA + i * PAGE, 1, states_at(i));
	account_rows_slot_done(&rows, row, &slot);
	account_rows_end(&rows);
	assert_true(now.coarse_pages >= 4 && now.coarse_pages <= 64);
	assert_true(now.nr_runs <= ACCOUNT_NR_RUNS);
	/* What is long stays as it is. */
	assert_int_equal(now.runs[0].nr_pages, LONG);
	for (uint32_t i = 0; i < now.nr_runs; i++) {
		uint32_t states = 0;

		assert_int_equal(now.runs[i].gpa, GPA + page * PAGE);
		for (uint64_t end = page + now.runs[i].nr_pages; page < end; page++)
			states |= states_at(page);
		assert_int_equal(now.runs[i].states, states);
	}
	assert_int_equal(page, LONG + NR_SHORT);
}

static void what_has_no_row_is_counted(void **state)
{
	static struct account_rows rows;
	struct account_slot slot = { .vm = 1, .size = PAGE };

	account_rows_begin(&rows, NULL, &now);
	for (slot.id = 0; slot.id < ACCOUNT_NR_SLOTS + 3; slot.id++) {
		uint32_t row = account_rows_slot(&rows, &slot);

		account_rows_run(&rows, row, 0, 1, 1);
		account_rows_slot_done(&rows, row, &slot);
	}
	account_rows_end(&rows);
	assert_int_equal(now.nr_slots, ACCOUNT_NR_SLOTS);
	assert_int_equal(now.left_slots, 3);
	assert_int_equal(now.left_runs, 3);
}

static int start(void **state)
{
	fixture_start(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_over_anonymous_memory),
		cmocka_unit_test(each_state_over_shared_memory),
		cmocka_unit_test(each_state_over_a_memfd),
		cmocka_unit_test(each_state_over_a_private_mapping_of_a_file),
		cmocka_unit_test(shared_memory_is_backed_until_it_is_punched),
		cmocka_unit_test(a_large_piece_of_shared_memory_is_cut),
		cmocka_unit_test(what_is_punched_unmapped_or_only_allocated_has_nothing),
		cmocka_unit_test(in_place_all_is_in_the_file),
		cmocka_unit_test(peaks_and_what_is_gone_go_on),
		cmocka_unit_test(what_is_punched_meanwhile_does_not_count_as_held_twice),
		cmocka_unit_test(a_blind_look_asks_for_attributes_alone),
		cmocka_unit_test(a_list_that_is_full_becomes_coarser),
		cmocka_unit_test(what_has_no_row_is_counted),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
