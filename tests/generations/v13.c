/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem-v13: guest_memfd as its thirteenth version was posted. What 6.8 answers as well is in tests/probe and tests/e2e. */
#include "gen.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define FOUR (4 * PAGE)
#define HUGE ((uint64_t)2 << 20)

static int create(struct guest *g, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd c = { .size = size, .flags = flags };

	return ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &c);
}

static int set_slot(struct guest *g, uint32_t flags, uint64_t size, void *hva, int fd,
		    uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = 1,
		.flags = flags,
		.guest_phys_addr = DATA,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd_offset = offset,
		.guest_memfd = (uint32_t)fd,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static void row_1_size_0_is_accepted_and_of_no_use(void **state)
{
	struct guest *g = *state;
	int fd = create(g, 0, 0);

	assert_true(fd >= 0);
	assert_int_equal(gen_size(fd), 0);
	FAILS_WITH(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PAGE), EINVAL);
	WORKS(fallocate(fd, PUNCH, 0, PAGE));
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, PAGE, guest_memory(PAGE), fd, 0), EINVAL);
	close(fd);
	FAILS_WITH(create(g, PAGE + 1, 0), EINVAL);
	FAILS_WITH(create(g, (uint64_t)-PAGE, 0), EINVAL);
}

static void row_3_the_file_is_of_its_vm(void **state)
{
	struct guest *g = *state, other;
	int fd = create(g, FOUR, 0);

	guest_make(&other, KVM_X86_SW_PROTECTED_VM);
	FAILS_WITH(set_slot(&other, KVM_MEM_PRIVATE, FOUR, guest_memory(FOUR), fd, 0), EINVAL);
	WORKS(set_slot(g, KVM_MEM_PRIVATE, FOUR, guest_memory(FOUR), fd, 0));
	guest_free(&other);
	close(fd);
}

static void rows_4_to_10_the_file_has_no_calls_but_fallocate(void **state)
{
	int fd = create(*state, FOUR, 0);
	char text[256];

	FAILS_WITH(ftruncate(fd, FOUR), EINVAL);
	FAILS_WITH(read(fd, text, 1), EINVAL);
	FAILS_WITH(write(fd, text, 1), EINVAL);
	errno = 0;
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	FAILS_WITH(fallocate(fd, 0, 0, PAGE), EOPNOTSUPP);
	FAILS_WITH(fallocate(fd, FALLOC_FL_KEEP_SIZE, 1, PAGE), EINVAL);
	FAILS_WITH(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, FOUR + PAGE), EINVAL);
	WORKS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, FOUR));
	FAILS_WITH(fcntl(fd, F_GET_SEALS), EINVAL);
	gen_link(fd, text);
	assert_string_equal(text, "anon_inode:[kvm-gmem]");
	close(fd);
}

/* Of all that the process has mapped, in huge pages of shared memory. */
static uint64_t huge_bytes(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long kib;
	uint64_t bytes = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1)
			bytes += kib * 1024;
	fclose(f);
	return bytes;
}

/* Does the system give such pages to who asks? */
static bool has_huge_pages(void)
{
	int fd = memfd_create("probe", 0);
	uint8_t *at = guest_memory(2 * HUGE);
	uint64_t before = huge_bytes(), found;

	at += HUGE - (uintptr_t)at % HUGE;
	WORKS(ftruncate(fd, HUGE));
	assert_ptr_equal(mmap(at, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), at);
	at[0] = 1;
	madvise(at, HUGE, MADV_COLLAPSE);
	found = huge_bytes() - before;
	munmap(at, HUGE);
	close(fd);
	return found == HUGE;
}

static void row_11_huge_pages_are_asked_for_by_a_flag(void **state)
{
	struct guest *g = *state;
	int fd = create(g, HUGE, KVM_GUEST_MEMFD_ALLOW_HUGEPAGE);

	assert_true(fd >= 0);
	/* It is no flag that lets the file be mapped, although that has the number now. */
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	close(fd);
	FAILS_WITH(create(g, HUGE + PAGE, KVM_GUEST_MEMFD_ALLOW_HUGEPAGE), EINVAL);
	FAILS_WITH(create(g, HUGE, 2), EINVAL);
}

/* The guest's first touch brings one; without the flag a page of 4 KiB. */
static void row_11_with_the_flag_there_are_huge_pages(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(HUGE);

	/* GMEM_DEBUG may say that there are never any, or always. */
	if (getenv("GMEM_DEBUG") || !has_huge_pages())
		skip();
	for (unsigned int flag = 0; flag <= KVM_GUEST_MEMFD_ALLOW_HUGEPAGE; flag++) {
		uint64_t before = huge_bytes();
		int fd = create(g, HUGE, flag);

		WORKS(set_slot(g, KVM_MEM_PRIVATE, HUGE, hva, fd, 0));
		WORKS(guest_set_private(g, DATA, HUGE, 1));
		assert_int_equal(gen_exchange_at(g, 1, 5), 0);
		assert_int_equal(huge_bytes() - before, flag * HUGE);
		/* What a conversion of 4 KiB says of it does not take it apart. */
		WORKS(guest_set_private(g, DATA, PAGE, 0));
		assert_int_equal(gen_exchange(g, 6), 0);
		assert_int_equal(hva[0], 6);
		assert_int_equal(gen_exchange_at(g, 1, 7), 5);
		assert_int_equal(huge_bytes() - before, flag * HUGE);
		WORKS(set_slot(g, KVM_MEM_PRIVATE, 0, hva, fd, 0));
		hva[0] = 0;
		close(fd);
	}
}

static void rows_17_to_23_slots(void **state)
{
	struct guest *g = *state;
	struct kvm_userspace_memory_region old = { .slot = 1, .flags = KVM_MEM_PRIVATE };
	void *hva = guest_memory(FOUR);
	int fd = create(g, FOUR, 0);

	FAILS_WITH(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &old), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, -1, 0), EBADF);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, g->vm, 0), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 1), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, FOUR, hva, fd, PAGE), EINVAL);
	WORKS(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 0));
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 0), EINVAL);
	FAILS_WITH(set_slot(g, 0, PAGE, hva, fd, 0), EINVAL);
	WORKS(set_slot(g, KVM_MEM_PRIVATE, 0, hva, fd, 0));
	close(fd);
}

static void rows_25_to_36_attributes_and_the_exit(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE), found = 0;
	int fd = create(g, PAGE, 0);

	WORKS(set_slot(g, KVM_MEM_PRIVATE, PAGE, hva, fd, 0));
	/* Shared at first, and each half has contents of its own. */
	assert_int_equal(gen_exchange(g, 5), 0);
	assert_int_equal(hva[0], 5);
	WORKS(guest_set_private(g, DATA, PAGE, 1));
	assert_int_equal(gen_exchange(g, 6), 0);
	assert_int_equal(hva[0], 5);
	/* Without the file the private half is gone. */
	close(fd);
	assert_int_equal(gen_try(g, 7, &found), -EFAULT);
	gen_expect_exit(g, KVM_EXIT_MEMORY_FAULT, KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA);
	WORKS(guest_set_private(g, DATA, PAGE, 0));
	assert_int_equal(gen_exchange(g, 8), 5);
}

static void row_39_read_only_slots_are_not_refused_yet(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE), found = 0;
	int fd = create(g, PAGE, 0);

	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE | KVM_MEM_LOG_DIRTY_PAGES, PAGE, hva, fd, 0),
		   EINVAL);
	WORKS(set_slot(g, KVM_MEM_PRIVATE | KVM_MEM_READONLY, PAGE, hva, fd, 0));
	WORKS(guest_set_private(g, DATA, PAGE, 1));
	WORKS(gen_try(g, 9, &found));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_MMIO);
	assert_true(g->run->mmio.is_write);
	assert_int_equal(g->run->mmio.phys_addr, DATA);
	assert_int_equal(g->run->mmio.data[0], 9);
	close(fd);
}

static void row_42_capabilities_are_one_lower(void **state)
{
	struct guest *g = *state;

	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY2_V13), 1);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_FAULT_INFO_V13), 1);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES_V13), 8);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_V13), 1);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES_V13), 3);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS), 0);
}

static void later_requests_are_unknown(void **state)
{
	struct guest *g = *state;
	struct kvm_pre_fault_memory p = { .size = PAGE };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GUEST_MEMFD };

	FAILS_WITH(ioctl(g->vcpu, KVM_PRE_FAULT_MEMORY, &p), EINVAL);
	FAILS_WITH(ioctl(g->vm, KVM_ENABLE_CAP, &cap), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(row_1_size_0_is_accepted_and_of_no_use),
		ROW(row_3_the_file_is_of_its_vm),
		ROW(rows_4_to_10_the_file_has_no_calls_but_fallocate),
		ROW(row_11_huge_pages_are_asked_for_by_a_flag),
		ROW(row_11_with_the_flag_there_are_huge_pages),
		ROW(rows_17_to_23_slots),
		ROW(rows_25_to_36_attributes_and_the_exit),
		ROW(row_39_read_only_slots_are_not_refused_yet),
		ROW(row_42_capabilities_are_one_lower),
		ROW(later_requests_are_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
