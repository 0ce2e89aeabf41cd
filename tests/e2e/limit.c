/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Under gmem run --limit=64K: the guest_memfds of each VM have 16 pages together. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define MOST 16

static int start(void **state)
{
	static struct guest g;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	*state = &g;
	return 0;
}

static int stop(void **state)
{
	guest_free(*state);
	return 0;
}

static int allocate(int fd, unsigned int page, unsigned int nr)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)(page * PAGE), (off_t)(nr * PAGE)) ? -errno
											    : 0;
}

static void punch(int fd, unsigned int page)
{
	assert_int_equal(fallocate(fd, PUNCH, (off_t)(page * PAGE), PAGE), 0);
}

static void an_allocation_above_it_fails(void **state)
{
	int a = guest_gmem(*state, 64 * PAGE, 0), b = guest_gmem(*state, 64 * PAGE, 0);

	assert_int_equal(allocate(a, 0, MOST), 0);
	assert_int_equal(allocate(b, 0, 1), -ENOMEM);
	punch(a, 3);
	assert_int_equal(allocate(b, 9, 1), 0);
	assert_int_equal(allocate(b, 9, 2), -ENOMEM);
	close(a);
	assert_int_equal(allocate(b, 9, 2), 0);
	close(b);
}

static void another_vm_has_its_own(void **state)
{
	int a = guest_gmem(*state, 64 * PAGE, 0), b;
	struct guest other;

	guest_make(&other, KVM_X86_SW_PROTECTED_VM);
	b = guest_gmem(&other, 64 * PAGE, 0);
	assert_int_equal(allocate(a, 0, MOST), 0);
	assert_int_equal(allocate(b, 0, MOST), 0);
	close(a);
	close(b);
	guest_free(&other);
}

/* KVM_RUN ends with it, the program makes room, and the instruction goes on. */
static void a_guest_that_wants_more_is_told_and_can_go_on(void **state)
{
	struct guest *g = *state;
	int fd = guest_gmem(g, 64 * PAGE, 0), err;

	guest_set_gmem(g, 1, DATA, 4 * PAGE, guest_memory(4 * PAGE), fd);
	assert_int_equal(guest_set_private(g, DATA, 4 * PAGE, 1), 0);
	assert_int_equal(allocate(fd, 20, MOST), 0);
	GUEST_CODE(g, MOV_AL(7), STORE_AL, HLT);
	err = guest_run(g);
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(guest_run(g), -ENOMEM);
	punch(fd, 25);
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(allocate(fd, 25, 1), -ENOMEM);
	close(fd);
}

/* With --prealloc. */
static void a_file_has_all_its_memory_or_is_not_made(void **state)
{
	struct kvm_create_guest_memfd args = { .size = (MOST + 1) * PAGE };
	struct guest *g = *state;
	int fd;

	assert_int_equal(ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &args), -1);
	assert_int_equal(errno, ENOMEM);
	fd = guest_gmem(g, MOST * PAGE, 0);
	assert_int_equal(allocate(fd, 0, MOST), 0);
	args.size = PAGE;
	assert_int_equal(ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &args), -1);
	assert_int_equal(errno, ENOMEM);
	punch(fd, 3);
	assert_int_equal(close(guest_gmem(g, PAGE, 0)), 0);
	close(fd);
}

/* Where the profile has it. */
static void a_write_above_it_fails(void **state)
{
	static const char page[PAGE] = "w";
	struct guest g;
	int fd;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	fd = guest_gmem(&g, 64 * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	if (pwrite(fd, page, PAGE, 0) == PAGE) {
		for (unsigned int i = 1; i < MOST; i++)
			assert_int_equal(pwrite(fd, page, PAGE, (off_t)(2 * i * PAGE)), PAGE);
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)(2 * MOST * PAGE)), -1);
		assert_int_equal(errno, ENOMEM);
		/* What is there already can be written again. */
		assert_int_equal(pwrite(fd, page, PAGE, 2 * PAGE), PAGE);
	}
	close(fd);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest prealloc[] = {
		cmocka_unit_test_setup_teardown(a_file_has_all_its_memory_or_is_not_made, start,
						stop),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_allocation_above_it_fails, start, stop),
		cmocka_unit_test_setup_teardown(another_vm_has_its_own, start, stop),
		cmocka_unit_test_setup_teardown(a_guest_that_wants_more_is_told_and_can_go_on,
						start, stop),
		cmocka_unit_test(a_write_above_it_fails),
	};

	if (getenv("GMEM_PREALLOC"))
		return cmocka_run_group_tests(prealloc, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
