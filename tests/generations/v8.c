/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* memfd-v8: MFD_INACCESSIBLE with a file in front of the hidden one, and KVM_MEMORY_ENCRYPT_REG_REGION by guest address. */
#include "gen.h"
#include "memfd.h"

#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FOUR (4 * PAGE)

static int encrypt(struct guest *g, uint64_t gpa, uint64_t size, bool is_private)
{
	struct kvm_enc_region r = { .addr = gpa, .size = size };

	return ioctl(g->vm,
		     is_private ? KVM_MEMORY_ENCRYPT_REG_REGION : KVM_MEMORY_ENCRYPT_UNREG_REGION,
		     &r);
}

static uint64_t convert(struct guest *g, uint64_t gpa, uint64_t size, bool is_private)
{
	WORKS(encrypt(g, gpa, size, is_private));
	return 0;
}

static int make_file(uint64_t size)
{
	int fd = memfd_create("guest", MFD_INACCESSIBLE | MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	WORKS(ftruncate(fd, (off_t)size));
	return fd;
}

static void row_1_flags(void **state)
{
	char name[251];
	int fd = memfd_create("plain", 0);

	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	FAILS_WITH(memfd_create("x", MFD_INACCESSIBLE | MFD_ALLOW_SEALING), EINVAL);
	FAILS_WITH(memfd_create("x", MFD_INACCESSIBLE | MFD_HUGETLB), EINVAL);
	FAILS_WITH(memfd_create("x", MFD_INACCESSIBLE | 0x100), EINVAL);
	memset(name, 'x', 250);
	name[250] = '\0';
	FAILS_WITH(memfd_create(name, MFD_INACCESSIBLE), EINVAL);
	FAILS_WITH(memfd_create((char *)(uintptr_t)PAGE, MFD_INACCESSIBLE), EFAULT);
	FAILS_WITH(memfd_restricted(0), EINVAL);
}

static void row_2_the_name_and_magic_of_the_shim(void **state)
{
	int fd = make_file(FOUR);
	char text[256];

	assert_int_equal(gen_fs_type(fd), INACCESSIBLE_MAGIC);
	gen_link(fd, text);
	assert_string_equal(text, "/[memfd:inaccessible] (deleted)");
	close(fd);
}

static void row_4_the_size_is_given_once_and_can_be_bypassed(void **state)
{
	memfd_sizes(memfd_create("", MFD_INACCESSIBLE));
}

static void rows_5_to_10_the_file_has_no_calls_but_fallocate(void **state)
{
	memfd_has_no_calls(make_file(FOUR));
}

static void row_8_fallocate_is_that_of_tmpfs(void **state)
{
	memfd_allocates(make_file(FOUR));
}

static void rows_17_to_21_slots(void **state)
{
	struct guest *g = *state;
	void *hva = guest_memory(FOUR);
	int fd = make_file(FOUR), plain = memfd_create("plain", 0);

	FAILS_WITH(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 4, hva, 999, 0), EINVAL);
	/* The kernel did not look, and crashed. */
	FAILS_WITH(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 4, hva, plain, 0), EINVAL);
	FAILS_WITH(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 4, hva, fd, 1), EINVAL);
	FAILS_WITH(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 4, hva, fd, (uint64_t)-PAGE), EINVAL);
	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 4, hva, fd, 0));
	FAILS_WITH(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 4, hva, fd, 0), EINVAL);
	FAILS_WITH(memfd_set_slot(g, 0, KVM_MEM_PRIVATE | KVM_MEM_LOG_DIRTY_PAGES, 0, 4, hva, fd,
				  0),
		   EINVAL);
	FAILS_WITH(memfd_set_slot(g, 0, 0, 1, 4, hva, fd, 0), EINVAL);
	WORKS(memfd_set_slot(g, 0, 0, 0, 0, hva, fd, 0));
	close(plain);
	close(fd);
}

static void row_22_many_slots_of_one_file_and_a_punch_across_them(void **state)
{
	memfd_two_slots(*state, make_file(2 * PAGE), convert);
}

static void row_23_a_page_has_one_slot_here(void **state)
{
	memfd_overlap(*state, make_file(2 * PAGE));
}

/* Of slots that have a file. */
static void row_26_private_at_first(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE);
	int fd = make_file(PAGE);

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, 0));
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(hva[0], 0);
	assert_int_equal(gen_backed(fd), PAGE);
	WORKS(memfd_set_slot(g, 0, 0, 0, 0, hva, 0, 0));
	WORKS(memfd_set_slot(g, 0, 0, 0, 1, hva, 0, 0));
	assert_int_equal(gen_exchange(g, 2), 0);
	assert_int_equal(hva[0], 2);
	close(fd);
}

static void row_27_the_requests(void **state)
{
	struct guest *g = *state, plain;
	struct kvm_memory_attributes a = { .size = PAGE };

	FAILS_WITH(encrypt(g, DATA, 0, true), EINVAL);
	FAILS_WITH(encrypt(g, DATA, 1, true), EINVAL);
	FAILS_WITH(encrypt(g, DATA + 1, PAGE, false), EINVAL);
	FAILS_WITH(encrypt(g, (uint64_t)-PAGE, 2 * PAGE, false), EINVAL);
	FAILS_WITH(ioctl(g->vm, KVM_MEMORY_ENCRYPT_REG_REGION, NULL), EFAULT);
	WORKS(encrypt(g, DATA, PAGE, true));
	WORKS(encrypt(g, DATA, PAGE, true));
	FAILS_WITH(ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &a), ENOTTY);
	FAILS_WITH(ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES_V10, &a), ENOTTY);
	guest_make(&plain, KVM_X86_DEFAULT_VM);
	FAILS_WITH(encrypt(&plain, DATA, PAGE, true), ENOTTY);
	guest_free(&plain);
}

/* What is shared before the request that fails is private after it: only the last page is what it was. */
static void row_28_a_rollback_that_takes_back_too_much(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(2 * PAGE);
	int fd = make_file(2 * PAGE);
	bool fails = getenv("GENERATION_ONLY");

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 2, hva, fd, 0));
	WORKS(encrypt(g, DATA, PAGE, false));
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(hva[0], 1);
	if (fails)
		FAILS_WITH(encrypt(g, DATA, 2 * PAGE, false), ENOMEM);
	else
		WORKS(encrypt(g, DATA, 2 * PAGE, false));
	assert_int_equal(gen_exchange(g, 2), fails ? 0 : 1);
	assert_int_equal(hva[0], fails ? 1 : 2);
	close(fd);
}

static void rows_29_and_48_nothing_is_kept(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE);
	int fd = make_file(PAGE);

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, 0));
	assert_int_equal(gen_exchange(g, 1), 0);
	WORKS(encrypt(g, DATA, PAGE, false));
	assert_int_equal(gen_exchange(g, 2), 0);
	WORKS(encrypt(g, DATA, PAGE, true));
	assert_int_equal(gen_exchange(g, 3), 1);
	/* A page that is punched is private all the same. */
	WORKS(fallocate(fd, PUNCH, 0, PAGE));
	assert_int_equal(gen_exchange(g, 4), 0);
	assert_int_equal(hva[0], 2);
	close(fd);
}

static void rows_35_to_37_the_exit(void **state)
{
	memfd_fault_matrix(*state, KVM_EXIT_MEMORY_FAULT_V8, 0, make_file(PAGE), convert);
}

static void row_39_neither_logging_nor_read_only_is_excluded(void **state)
{
	memfd_log_and_read_only(*state, make_file(2 * PAGE), convert);
}

static void row_40_the_slot_holds_the_file(void **state)
{
	memfd_slot_holds(*state, make_file(PAGE), convert);
}

static void row_42_no_capability(void **state)
{
	struct guest *g = *state;

	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES_V10), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY2), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), 1);
}

static void row_3_one_file_for_several_vms(void **state)
{
	memfd_two_vms(*state, make_file(2 * PAGE), convert);
}

static void row_9_a_punch_beside_a_guest_that_runs(void **state)
{
	memfd_punch_beside(*state, make_file(PAGE), convert);
}

static void row_37_the_guest_asks_its_program(void **state)
{
	memfd_hypercall_exits(*state, KVM_EXIT_MEMORY_FAULT_V8);
}

static void row_38_a_page_that_failed(void **state)
{
	memfd_bad_page(*state, KVM_EXIT_MEMORY_FAULT_V8, make_file(PAGE), convert);
}

static void row_38_a_page_that_there_is_no_room_for(void **state)
{
	memfd_no_room(*state, KVM_EXIT_MEMORY_FAULT_V8, make_file(2 * PAGE), convert);
}

static void row_36_a_fault_that_is_told_late(void **state)
{
	memfd_late_fault(*state, KVM_EXIT_MEMORY_FAULT_V8, 0, make_file(PAGE), convert);
}

int main(void)
{
	/* Under gmem run --inject or --limit, one at a time. */
	const struct CMUnitTest failing[] = {
		ROW(row_28_a_rollback_that_takes_back_too_much),
		ROW(row_36_a_fault_that_is_told_late),
		ROW(row_38_a_page_that_failed),
		ROW(row_38_a_page_that_there_is_no_room_for),
	};
	const struct CMUnitTest tests[] = {
		ROW(row_1_flags),
		ROW(row_2_the_name_and_magic_of_the_shim),
		ROW(row_4_the_size_is_given_once_and_can_be_bypassed),
		ROW(rows_5_to_10_the_file_has_no_calls_but_fallocate),
		ROW(row_8_fallocate_is_that_of_tmpfs),
		ROW(rows_17_to_21_slots),
		ROW(row_22_many_slots_of_one_file_and_a_punch_across_them),
		ROW(row_23_a_page_has_one_slot_here),
		ROW(row_26_private_at_first),
		ROW(row_27_the_requests),
		ROW(row_28_a_rollback_that_takes_back_too_much),
		ROW(rows_29_and_48_nothing_is_kept),
		ROW(rows_35_to_37_the_exit),
		ROW(row_39_neither_logging_nor_read_only_is_excluded),
		ROW(row_40_the_slot_holds_the_file),
		ROW(row_42_no_capability),
		ROW(row_3_one_file_for_several_vms),
		ROW(row_9_a_punch_beside_a_guest_that_runs),
		ROW(row_37_the_guest_asks_its_program),
	};

	return gen_run(tests, failing);
}
