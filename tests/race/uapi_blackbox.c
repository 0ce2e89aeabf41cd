/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The request KVM_SET_MEMORY_ATTRIBUTES2 as the series has it: where it works, what it checks and in which
 * order, what it writes back. Runs in the profiles in-place and in-place-v7, which it tells apart by their
 * capabilities; in any other it asks for the opposite: that nothing of this is there.
 */
#include "blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP_V7 249
#define CAP_V8 250
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

static bool is_v7, is_in_place;

static int cap(int fd, unsigned long nr)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, nr);
}

/* ---- 1: the interface ---- */

static void the_request_has_its_number_and_layout(void **state)
{
	assert_int_equal(KVM_SET_MEMORY_ATTRIBUTES2, 0xc080aed2u);
	assert_int_equal(sizeof(struct kvm_memory_attributes2), 128);
	assert_int_equal(offsetof(struct kvm_memory_attributes2, error_offset), 32);
	assert_int_equal(offsetof(struct kvm_memory_attributes2, reserved), 40);
}

static void capabilities_tell_of_it(void **state)
{
	unsigned long mine = is_v7 ? CAP_V7 : CAP_V8, other = is_v7 ? CAP_V8 : CAP_V7;
	struct box b;
	int plain;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(cap(b.w.kvm, mine), PRIVATE);
	assert_int_equal(cap(b.w.vm, mine), PRIVATE);
	assert_int_equal(cap(b.w.kvm, other), 0);
	assert_int_equal(cap(b.w.vm, other), 0);
	assert_int_equal(cap(b.w.kvm, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(cap(b.w.vm, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(cap(b.w.kvm, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
	assert_int_equal(cap(b.w.vm, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
	plain = ioctl(b.w.kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	assert_true(plain >= 0);
	assert_int_equal(cap(plain, mine), 0);
	assert_int_equal(cap(plain, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(cap(plain, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
	close(plain);
	box_free(&b);
}

static struct kvm_memory_attributes2 good(void)
{
	return (struct kvm_memory_attributes2){ .size = PAGE, .attributes = PRIVATE };
}

static void only_a_guest_memfd_knows_the_request(void **state)
{
	struct kvm_memory_attributes2 a = good();
	struct kvm_memory_attributes old = { .size = PAGE };
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(set_raw(b.w.vm, &a), -ENOTTY);
	assert_int_equal(set_raw(b.w.kvm, &a),
			 -EINVAL); /* what x86 answers there to what it does not know */
	assert_int_equal(set_raw(b.g.fd, &a), -EINVAL);
	/* and knows no other */
	assert_int_equal(ioctl(b.w.gmem, KVM_SET_MEMORY_ATTRIBUTES, &old), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(ioctl(b.w.gmem, KVM_GET_API_VERSION, 0), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(ioctl(b.w.gmem, KVM_CHECK_EXTENSION, (unsigned long)CAP_V8), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(set_raw(b.w.gmem, &a), 0);
	box_free(&b);
}

static void the_request_by_gfn_is_off(void **state)
{
	struct kvm_memory_attributes a = { .address = GMEM_GPA,
					   .size = PAGE,
					   .attributes = PRIVATE };
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(ioctl(b.w.vm, KVM_SET_MEMORY_ATTRIBUTES, &a), -1);
	assert_int_equal(errno, is_v7 ? ENOTTY : EINVAL);
	a.attributes = 0;
	if (is_v7) {
		assert_int_equal(ioctl(b.w.vm, KVM_SET_MEMORY_ATTRIBUTES, &a), -1);
		assert_int_equal(errno, ENOTTY);
		/* before the structure is looked at */
		assert_int_equal(ioctl(b.w.vm, KVM_SET_MEMORY_ATTRIBUTES, NULL), -1);
		assert_int_equal(errno, ENOTTY);
	} else {
		assert_int_equal(ioctl(b.w.vm, KVM_SET_MEMORY_ATTRIBUTES, &a), 0);
		a.size = 1;
		assert_int_equal(ioctl(b.w.vm, KVM_SET_MEMORY_ATTRIBUTES, &a), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(ioctl(b.w.vm, KVM_SET_MEMORY_ATTRIBUTES, NULL), -1);
		assert_int_equal(errno, EFAULT);
	}
	expect_open(b.w.host, 0, 0);
	box_free(&b);
}

static void flags_say_what_a_file_is_at_first(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(world_gmem(&b.w, PAGE, 4), -EINVAL);
	assert_int_equal(world_gmem(&b.w, PAGE, 1ul << 63), -EINVAL);
	assert_int_equal(world_gmem(&b.w, 0, 3), -EINVAL);
	assert_int_equal(world_gmem(&b.w, PAGE + 1, 3), -EINVAL);
	for (unsigned int i = 0; i < PAGES; i++)
		expect_open(b.w.host, i, 0);
	box_free(&b);
	box_make(&b, GUEST_MEMFD_FLAG_MMAP);
	for (unsigned int i = 0; i < PAGES; i++)
		expect_shut(b.w.host, i);
	box_free(&b);
}

static void no_mapping_and_no_slot_are_needed(void **state)
{
	struct box b;
	int fd, copy;

	box_make(&b, BOTH_FLAGS);
	for (uint64_t flags = 0; flags < 4; flags++) {
		fd = world_gmem(&b.w, SIZE, flags);
		assert_true(fd >= 0);
		copy = dup(fd);
		assert_int_equal(convert(fd, 0, SIZE, false, NULL), 0);
		assert_int_equal(convert(copy, PAGE, PAGE, true, NULL), 0);
		close(copy);
		if (flags & GUEST_MEMFD_FLAG_MMAP) {
			uint8_t *p = world_map(fd, 0, SIZE);

			expect_open(p, 0, 0);
			expect_shut(p, 1);
			munmap(p, SIZE);
		} else {
			assert_ptr_equal(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0),
					 MAP_FAILED);
			assert_int_equal(errno, ENODEV);
		}
		close(fd);
	}
	box_free(&b);
}

static void another_vm_type_has_nothing_private(void **state)
{
	struct kvm_memory_attributes2 a = good();
	struct world w;
	int fd;

	world_make_vm(&w, KVM_X86_DEFAULT_VM);
	fd = world_gmem(&w, SIZE, BOTH_FLAGS);
	assert_true(fd >= 0);
	assert_int_equal(set_raw(fd, &a), -EINVAL);
	a.attributes = 0;
	assert_int_equal(set_raw(fd, &a), is_v7 ? 0 : -EINVAL);
	close(fd);
	world_free(&w);
}

/* ---- 2.2: checks ---- */

/* Refused with error, nothing written back, nothing changed. */
static void refused(const struct box *b, struct kvm_memory_attributes2 a, int error)
{
	struct kvm_memory_attributes2 before;

	a.error_offset = UNTOUCHED;
	before = a;
	assert_int_equal(set_raw(b->w.gmem, &a), -error);
	assert_memory_equal(&a, &before, sizeof(a));
	for (unsigned int i = 0; i < PAGES; i++)
		expect_open(b->w.host, i, 0);
}

static void wrong_arguments_are_refused_and_left_alone(void **state)
{
	static const uint64_t ranges[][2] = {
		{ 0, 0 },
		{ PAGE, 0 },
		{ 0, 1 },
		{ 1, PAGE },
		{ 0, PAGE + 1 },
		{ 512, 512 },
		{ SIZE, PAGE },
		{ 0, SIZE + PAGE },
		{ SIZE - PAGE, 2 * PAGE },
		{ 1ul << 62, PAGE },
		{ PAGE, -PAGE },
		{ -PAGE, PAGE },
		{ -PAGE, 2 * PAGE },
		{ 1ul << 63, 1ul << 63 },
		{ 0, -PAGE },
	};
	struct kvm_memory_attributes2 a;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	for (unsigned int i = 0; i < 64; i++) {
		a = good();
		a.flags = 1ul << i;
		refused(&b, a, EINVAL);
		a = good();
		a.attributes = 1ul << i;
		if (a.attributes != PRIVATE)
			refused(&b, a, EINVAL);
		a.attributes |= PRIVATE;
		if (a.attributes != PRIVATE)
			refused(&b, a, EINVAL);
	}
	for (unsigned int i = 0; i < 11; i++) {
		a = good();
		a.reserved[i] = i & 1 ? 1 : 1ul << 63;
		refused(&b, a, EINVAL);
	}
	for (unsigned int i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		a = good();
		a.offset = ranges[i][0];
		a.size = ranges[i][1];
		refused(&b, a, EINVAL);
		a.attributes = 0;
		refused(&b, a, EINVAL);
	}
	box_free(&b);
}

static void the_structure_must_be_readable_all_of_it(void **state)
{
	uint8_t *p =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_memory_attributes2 *a;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	munmap(p + PAGE, PAGE);
	a = (void *)(p + PAGE - sizeof(*a));
	*a = good();
	assert_int_equal(set_raw(b.w.gmem, a), 0);
	a = (void *)(p + PAGE - sizeof(*a) + 8);
	memset(a, 0xff, sizeof(*a) - 8); /* everything wrong, and still first of all not readable */
	assert_int_equal(set_raw(b.w.gmem, a), -EFAULT);
	assert_int_equal(set_raw(b.w.gmem, NULL), -EFAULT);
	munmap(p, PAGE);
	box_free(&b);
}

static void the_offset_for_errors_is_not_an_argument(void **state)
{
	struct kvm_memory_attributes2 a = good();
	struct box b;

	box_make(&b, BOTH_FLAGS);
	a.error_offset = UNTOUCHED;
	assert_int_equal(set_raw(b.w.gmem, &a), 0);
	assert_int_equal(a.error_offset, UNTOUCHED);
	/* already so */
	assert_int_equal(set_raw(b.w.gmem, &a), 0);
	assert_int_equal(a.error_offset, UNTOUCHED);
	box_free(&b);
}

static struct kvm_memory_attributes2 *read_only(struct kvm_memory_attributes2 a)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(p, &a, sizeof(a));
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	return p;
}

static void success_writes_nothing(void **state)
{
	struct kvm_memory_attributes2 *a = read_only(good());
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(set_raw(b.w.gmem, a), 0);
	expect_shut(b.w.host, 0);
	munmap(a, PAGE);
	box_free(&b);
}

static void an_error_that_cannot_be_told_is_efault(void **state)
{
	struct kvm_memory_attributes2 *a = read_only(good());
	struct box b;
	int p[2];

	box_make(&b, BOTH_FLAGS);
	pin(p, b.w.host, 1);
	assert_int_equal(set_raw(b.w.gmem, a), -EFAULT);
	expect_open(b.w.host, 0, 0);
	unpin(p);
	assert_int_equal(set_raw(b.w.gmem, a), 0);
	expect_shut(b.w.host, 0);
	munmap(a, PAGE);
	box_free(&b);
}

/* The structure may lie in the very memory that becomes private. */
static void the_structure_may_be_in_the_file(void **state)
{
	struct kvm_memory_attributes2 *a;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	a = (void *)b.w.host;
	*a = good();
	assert_int_equal(set_raw(b.w.gmem, a), 0);
	expect_shut(b.w.host, 0);
	assert_int_equal(set_raw(b.w.gmem, a), -EFAULT);
	assert_int_equal(to_shared(&b, 0, 1), 0);
	assert_int_equal(a->attributes, PRIVATE);
	box_free(&b);
}

/* ---- a profile without conversion in place ---- */

static void nothing_of_it_is_there(void **state)
{
	int kvm = open("/dev/kvm", O_RDWR), vm, fd;
	struct kvm_create_guest_memfd c = { .size = PAGE };
	struct kvm_memory_attributes2 a = good();

	assert_true(kvm >= 0);
	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	assert_true(vm >= 0);
	assert_int_equal(cap(kvm, CAP_V7), 0);
	assert_int_equal(cap(kvm, CAP_V8), 0);
	assert_int_equal(cap(vm, CAP_V8), 0);
	assert_int_equal(cap(vm, KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);
	assert_true(fd >= 0);
	assert_int_equal(set_raw(fd, &a), -ENOTTY);
	assert_int_equal(set_raw(fd, NULL), -ENOTTY);
	close(fd);
	c.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	assert_int_equal(ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c), -1);
	assert_int_equal(errno, EINVAL);
	close(vm);
	close(kvm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_has_its_number_and_layout),
		cmocka_unit_test(capabilities_tell_of_it),
		cmocka_unit_test(only_a_guest_memfd_knows_the_request),
		cmocka_unit_test(the_request_by_gfn_is_off),
		cmocka_unit_test(flags_say_what_a_file_is_at_first),
		cmocka_unit_test(no_mapping_and_no_slot_are_needed),
		cmocka_unit_test(another_vm_type_has_nothing_private),
		cmocka_unit_test(wrong_arguments_are_refused_and_left_alone),
		cmocka_unit_test(the_structure_must_be_readable_all_of_it),
		cmocka_unit_test(the_offset_for_errors_is_not_an_argument),
		cmocka_unit_test(success_writes_nothing),
		cmocka_unit_test(an_error_that_cannot_be_told_is_efault),
		cmocka_unit_test(the_structure_may_be_in_the_file),
	};
	const struct CMUnitTest without[] = {
		cmocka_unit_test(the_request_has_its_number_and_layout),
		cmocka_unit_test(nothing_of_it_is_there),
	};
	int kvm = open("/dev/kvm", O_RDWR);

	alarm(60);
	is_in_place = kvm >= 0 && world_converts(kvm, &is_v7);
	close(kvm);
	return is_in_place ? cmocka_run_group_tests(tests, NULL, NULL)
			   : cmocka_run_group_tests(without, NULL, NULL);
}
