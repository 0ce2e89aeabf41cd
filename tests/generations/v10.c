/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* restrictedmem-v10: memfd_restricted(), and attributes of guest addresses. */
#include "gen.h"
#include "memfd.h"

#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define FOUR (4 * PAGE)

static int set_slot(struct guest *g, uint32_t flags, uint64_t size, void *hva, int fd,
		    uint64_t offset)
{
	struct kvm_userspace_memory_region_v10 r = {
		.region = { .slot = 1,
			    .flags = flags,
			    .guest_phys_addr = DATA,
			    .memory_size = size,
			    .userspace_addr = (uintptr_t)hva },
		.restricted_offset = offset,
		.restricted_fd = (uint32_t)fd,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static int set_attributes(struct guest *g, struct kvm_memory_attributes *a)
{
	return ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES_V10, a);
}

/* Whole, or what is left. */
static uint64_t make_private(struct guest *g, uint64_t gpa, uint64_t size, bool is_private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	WORKS(set_attributes(g, &a));
	assert_int_equal(a.address + a.size, gpa + size);
	return a.size;
}

static int make_file(uint64_t size)
{
	int fd = memfd_restricted(0);

	assert_true(fd >= 0);
	WORKS(ftruncate(fd, (off_t)size));
	return fd;
}

static void row_1_the_call_knows_no_flags(void **state)
{
	int fd = memfd_restricted(0);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
	FAILS_WITH(memfd_restricted(1), EINVAL);
	fd = memfd_create("plain", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* Another system call has it today, so it is taken only where the environment says so. */
static void row_1_the_number_is_settled_by_who_asks(void **state)
{
	int fd = (int)syscall(GMEM_NR_memfd_restricted, 0);
	char text[256];

	if (getenv("GMEM_RESTRICTED_NR")) {
		assert_true(fd >= 0);
		gen_link(fd, text);
		assert_string_equal(text, "/memfd:restrictedmem (deleted)");
		close(fd);
		FAILS_WITH(syscall(GMEM_NR_memfd_restricted, 1), EINVAL);
	} else {
		assert_int_equal(fd, -1);
	}
}

static void row_2_a_file_system_of_its_own(void **state)
{
	int fd = make_file(FOUR);
	char text[256];

	assert_int_equal(gen_fs_type(fd), RESTRICTEDMEM_MAGIC);
	gen_link(fd, text);
	assert_string_equal(text, "/memfd:restrictedmem (deleted)");
	close(fd);
}

static void row_3_one_file_for_several_vms(void **state)
{
	memfd_two_vms(*state, make_file(2 * PAGE), make_private);
}

static void row_4_the_size_is_given_once_and_can_be_bypassed(void **state)
{
	memfd_sizes(memfd_restricted(0));
}

static void rows_5_to_10_the_file_has_no_calls_but_fallocate(void **state)
{
	memfd_has_no_calls(make_file(FOUR));
}

static void row_8_fallocate_is_that_of_tmpfs(void **state)
{
	memfd_allocates(make_file(FOUR));
}

static void rows_17_to_23_slots(void **state)
{
	struct guest *g = *state;
	void *hva = guest_memory(FOUR);
	int fd = make_file(FOUR), plain = memfd_create("plain", 0);
	struct kvm_userspace_memory_region2 new = { .slot = 1 };

	FAILS_WITH(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, &new), ENOTTY);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, 999, 0), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, plain, 0), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, g->vm, 0), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, fd, 1), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, fd, (uint64_t)-PAGE), EINVAL);
	/* Nobody compares it with the file's size. */
	WORKS(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 100 * PAGE));
	make_private(g, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(gen_size(fd), FOUR);
	assert_true(gen_backed(fd) >= PAGE);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 0), EINVAL);
	FAILS_WITH(set_slot(g, 0, PAGE, hva, fd, 0), EINVAL);
	WORKS(set_slot(g, KVM_MEM_PRIVATE, 0, hva, fd, 0));
	close(plain);
	close(fd);
}

static void row_19_only_a_vm_with_private_memory_knows_the_flag(void **state)
{
	struct guest g;
	int fd = make_file(PAGE);

	guest_make(&g, KVM_X86_DEFAULT_VM);
	FAILS_WITH(set_slot(&g, KVM_MEM_PRIVATE, PAGE, guest_memory(PAGE), fd, 0), EINVAL);
	guest_free(&g);
	close(fd);
}

static void row_22_many_slots_of_one_file_and_a_punch_across_them(void **state)
{
	memfd_two_slots(*state, make_file(2 * PAGE), make_private);
}

static void row_23_a_page_has_one_slot_here(void **state)
{
	memfd_overlap(*state, make_file(2 * PAGE));
}

static void rows_25_to_27_attributes(void **state)
{
	struct guest *g = *state;
	struct kvm_memory_attributes a = { .address = DATA, .size = PAGE };
	uint64_t known = 0;
	struct guest plain;

	WORKS(ioctl(g->vm, KVM_GET_SUPPORTED_MEMORY_ATTRIBUTES, &known));
	assert_int_equal(known, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	guest_make(&plain, KVM_X86_DEFAULT_VM);
	WORKS(ioctl(plain.vm, KVM_GET_SUPPORTED_MEMORY_ATTRIBUTES, &known));
	assert_int_equal(known, 0);
	a.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	FAILS_WITH(set_attributes(&plain, &a), EINVAL);
	guest_free(&plain);
	/* Row 46: declared, and not known. */
	a.attributes = KVM_MEMORY_ATTRIBUTE_READ;
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	a.attributes = 0;
	a.flags = 1;
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	a.flags = 0;
	a.size = 0;
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	a.size = 1;
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	a.size = -a.address;
	a.address += PAGE;
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	FAILS_WITH(ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &a), ENOTTY);
}

static void row_28_progress_is_told_and_less_is_no_failure(void **state)
{
	struct guest *g = *state;
	struct kvm_memory_attributes a = { DATA, FOUR, KVM_MEMORY_ATTRIBUTE_PRIVATE, 0 };
	bool short_of_memory = getenv("GENERATION_ONLY");

	WORKS(set_attributes(g, &a));
	assert_int_equal(a.address, short_of_memory ? DATA : DATA + FOUR);
	assert_int_equal(a.size, short_of_memory ? FOUR : 0);
}

/* There was memory for the first GiB alone: who does not look at the size takes all for private. */
static void row_28_a_part_is_done(void **state)
{
	const uint64_t gib = 1ul << 30;
	struct guest *g = *state;
	struct kvm_memory_attributes a = { DATA, 3 * gib, KVM_MEMORY_ATTRIBUTE_PRIVATE, 0 };
	uint8_t *hva = guest_memory(PAGE), found;

	WORKS(set_attributes(g, &a));
	assert_int_equal(a.address, DATA + gib);
	assert_int_equal(a.size, 2 * gib);
	WORKS(set_slot(g, 0, PAGE, hva, 0, 0));
	WORKS(gen_try(g, 1, &found));
	gen_expect_exit(g, KVM_EXIT_MEMORY_FAULT_V10, 1, DATA);
	/* It goes on where it stopped. */
	WORKS(set_attributes(g, &a));
	assert_int_equal(a.address, DATA + 3 * gib);
	assert_int_equal(a.size, 0);
	a = (struct kvm_memory_attributes){ (uint64_t)-2 * gib, 3 * gib, 0, 0 };
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	a = (struct kvm_memory_attributes){ DATA, 3 * gib + 1, 0, 0 };
	FAILS_WITH(set_attributes(g, &a), EINVAL);
	assert_int_equal(a.size, 3 * gib + 1);
}

static void rows_26_and_29_shared_at_first_and_nothing_is_kept(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE);
	int fd = make_file(PAGE);

	WORKS(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 0));
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(hva[0], 1);
	make_private(g, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 2), 0);
	make_private(g, DATA, PAGE, false);
	assert_int_equal(gen_exchange(g, 3), 1);
	/* Row 48: to punch is to forget, not to convert. */
	make_private(g, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 4), 2);
	WORKS(fallocate(fd, PUNCH, 0, PAGE));
	assert_int_equal(gen_exchange(g, 5), 0);
	close(fd);
}

static void rows_35_to_37_the_exit(void **state)
{
	memfd_fault_matrix(*state, KVM_EXIT_MEMORY_FAULT_V10, 0, make_file(PAGE), make_private);
}

/* A private page of a slot that cannot have such. */
static void row_35_no_file_at_all(void **state)
{
	struct guest *g = *state;
	uint8_t found = 0;

	WORKS(set_slot(g, 0, PAGE, guest_memory(PAGE), 0, 0));
	make_private(g, DATA, PAGE, true);
	WORKS(gen_try(g, 1, &found));
	gen_expect_exit(g, KVM_EXIT_MEMORY_FAULT_V10, 1, DATA);
}

static void row_39_neither_logging_nor_read_only_is_excluded(void **state)
{
	memfd_log_and_read_only(*state, make_file(2 * PAGE), make_private);
}

static void row_40_the_slot_holds_the_file(void **state)
{
	memfd_slot_holds(*state, make_file(PAGE), make_private);
}

static void row_42_a_capability(void **state)
{
	struct guest *g = *state, plain;

	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES_V10), 8);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE), 2);
	guest_make(&plain, KVM_X86_DEFAULT_VM);
	assert_int_equal(ioctl(plain.vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES_V10), 0);
	guest_free(&plain);
}

static void row_9_a_punch_beside_a_guest_that_runs(void **state)
{
	memfd_punch_beside(*state, make_file(PAGE), make_private);
}

static void row_37_the_guest_asks_its_program(void **state)
{
	memfd_hypercall_exits(*state, KVM_EXIT_MEMORY_FAULT_V10);
}

static void row_38_a_page_that_failed(void **state)
{
	memfd_bad_page(*state, KVM_EXIT_MEMORY_FAULT_V10, make_file(PAGE), make_private);
}

static void row_38_a_page_that_there_is_no_room_for(void **state)
{
	memfd_no_room(*state, KVM_EXIT_MEMORY_FAULT_V10, make_file(2 * PAGE), make_private);
}

static void row_36_a_fault_that_is_told_late(void **state)
{
	memfd_late_fault(*state, KVM_EXIT_MEMORY_FAULT_V10, 0, make_file(PAGE), make_private);
}

int main(void)
{
	/* Under gmem run --inject or --limit, one at a time. */
	const struct CMUnitTest failing[] = {
		ROW(row_28_progress_is_told_and_less_is_no_failure),
		ROW(row_28_a_part_is_done),
		ROW(row_36_a_fault_that_is_told_late),
		ROW(row_38_a_page_that_failed),
		ROW(row_38_a_page_that_there_is_no_room_for),
	};
	const struct CMUnitTest tests[] = {
		ROW(row_1_the_call_knows_no_flags),
		ROW(row_1_the_number_is_settled_by_who_asks),
		ROW(row_2_a_file_system_of_its_own),
		ROW(row_3_one_file_for_several_vms),
		ROW(row_4_the_size_is_given_once_and_can_be_bypassed),
		ROW(rows_5_to_10_the_file_has_no_calls_but_fallocate),
		ROW(row_8_fallocate_is_that_of_tmpfs),
		ROW(rows_17_to_23_slots),
		ROW(row_19_only_a_vm_with_private_memory_knows_the_flag),
		ROW(row_22_many_slots_of_one_file_and_a_punch_across_them),
		ROW(row_23_a_page_has_one_slot_here),
		ROW(rows_25_to_27_attributes),
		ROW(row_28_progress_is_told_and_less_is_no_failure),
		ROW(rows_26_and_29_shared_at_first_and_nothing_is_kept),
		ROW(rows_35_to_37_the_exit),
		ROW(row_35_no_file_at_all),
		ROW(row_39_neither_logging_nor_read_only_is_excluded),
		ROW(row_40_the_slot_holds_the_file),
		ROW(row_42_a_capability),
		ROW(row_9_a_punch_beside_a_guest_that_runs),
		ROW(row_37_the_guest_asks_its_program),
	};

	return gen_run(tests, failing);
}
