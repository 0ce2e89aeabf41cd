/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd of the system's huge pages, under gmem run --pages=2m or 1g. It has no windows; what is private stays a
 * matter of 4 KiB. HUGE, POOL_PATH, POOL_FREE: their size, and where it says how many of
 * them there are, more for the time of the test, and how many are free.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../core/pool_run.h"
#include "guest.h"

/* Bytes of the pool that are in use; the file itself does not say, as a kernel's. */
static uint64_t used(void)
{
	static long most;
	FILE *f = fopen(POOL_FREE, "r");
	long nr = -1;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &nr), 1);
	fclose(f);
	most = nr > most ? nr : most;
	return (uint64_t)(most - nr) * HUGE;
}

static int convert(int fd, uint64_t offset, uint64_t size, bool to_private)
{
	struct kvm_memory_attributes2 a = {
		.offset = offset,
		.size = size,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? -errno : 0;
}

static uint8_t load(struct guest *g)
{
	GUEST_CODE(g, LOAD_AL, OUT_AL, HLT);
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	return *((uint8_t *)g->run + g->run->io.data_offset);
}

static void a_guest_lives_on_it(void **state)
{
	uint8_t *shared = guest_memory(HUGE);
	struct guest g;
	int fd;

	shared[0] = 9;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	fd = guest_gmem(&g, HUGE, 0);
	guest_set_gmem(&g, 1, DATA, HUGE, shared, fd);
	assert_int_equal(used(), 0);
	GUEST_CODE(&g, MOV_AL(7), STORE_AL, HLT);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(used(), HUGE);
	/* The shared half is the program's; what is in the huge page stays. */
	assert_int_equal(convert(fd, 0, PAGE, false), 0);
	assert_int_equal(load(&g), 9);
	assert_int_equal(convert(fd, 0, HUGE, false), 0);
	assert_int_equal(convert(fd, 0, PAGE, true), 0);
	assert_int_equal(load(&g), 7);
	assert_int_equal(convert(fd, 0, HUGE, true), 0);
	assert_int_equal(load(&g), 7);
	assert_int_equal(used(), HUGE);
	/* A piece is zeroed; the page goes with the last of them. */
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_int_equal(used(), HUGE);
	assert_int_equal(load(&g), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)HUGE),
			 0);
	assert_int_equal(used(), 0);
	assert_int_equal(load(&g), 0);
	close(fd);
	guest_free(&g);
}

static void there_are_as_many_as_the_pool_has(void **state)
{
	struct kvm_create_guest_memfd args = { .size = HUGE << 12 };
	struct guest g;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(ioctl(g.vm, KVM_CREATE_GUEST_MEMFD, &args), -1);
	assert_int_equal(errno, ENOMEM);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_lives_on_it),
		cmocka_unit_test(there_are_as_many_as_the_pool_has),
	};

	return pool_run(1, tests);
}
