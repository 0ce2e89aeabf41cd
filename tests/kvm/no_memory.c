/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What cannot be refused is done without memory too. */
#include "fixture.h"

#include <gmem/ioctl.h>

#include <errno.h>
#include <stdbool.h>

#include "map/host_file.h"

#define NR 4096u /* more pages than a leaf of the attribute map has */
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

void *__real_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size);

static bool none_left;
static int left = -1; /* allocations that succeed yet; below 0: all */

void *__wrap_os_alloc(size_t size)
{
	if (left > 0)
		left--;
	return none_left || !left ? NULL : __real_os_alloc(size);
}

static void an_unmapping_is_told_to_every_vm(void **state)
{
	static char ram[4096] __attribute__((aligned(4096)));
	int vm[3], i, round;
	uint64_t cookie;

	for (i = 0; i < 3; i++) {
		vm[i] = make_vm(KVM_X86_DEFAULT_VM);
		assert_int_equal(set_slot(vm[i], 0, 0, GB, PAGE, ram, -1, 0), 0);
	}
	for (round = 0; round < 3; round++) {
		none_left = true;
		cookie = kvm_hva_change_begin((uintptr_t)ram, PAGE);
		assert_int_not_equal(cookie, 0);
		kvm_hva_change_end((uintptr_t)ram, PAGE, cookie);
		none_left = false;
	}
	/* Every bracket was closed again: a fault gets through. */
	for (i = 0; i < 3; i++) {
		struct kvm_pre_fault_memory p = { .gpa = GB, .size = PAGE };
		int vcpu = make_vcpu(vm[i]);

		assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
		fixture_close(vcpu);
		fixture_close(vm[i]);
	}
	fixture_end();
}

static bool is_private(int gmem, uint64_t page)
{
	return attr_map_get(kvm_gmem_host_file(object_of(gmem))->state, page) & ATTR_PRIVATE;
}

/* Fails at the first, the second, ... allocation until it gets through. Says how often it has failed. */
static int convert_until_it_works(int gmem, uint64_t attributes)
{
	int fails;

	for (fails = 0;; fails++) {
		struct kvm_memory_attributes2 a = {
			.offset = 3 * PAGE,
			.size = (NR - 6) * PAGE,
			.attributes = attributes,
			.error_offset = 1,
		};
		long r;

		left = fails + 1;
		r = call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a);
		left = -1;
		if (!r)
			return fails;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(a.error_offset, 3 * PAGE);
		assert_int_equal(is_private(gmem, 3), !attributes);
		assert_int_equal(is_private(gmem, NR - 4), !attributes);
	}
}

static void a_conversion_that_finds_none_changes_nothing(void **state)
{
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_INIT_SHARED);
	assert_true(convert_until_it_works(gmem, PRIVATE) > 0);
	convert_until_it_works(gmem, 0);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void our_requests_say_so(void **state)
{
	struct gmem_ioctl_range refused;
	struct gmem_ioctl_run run;
	struct gmem_ioctl_convert c = {
		.size = PAGE,
		.attributes = PRIVATE,
		.refused = (uintptr_t)&refused,
		.max_refused = 1,
	};
	struct gmem_ioctl_attributes q = { .size = PAGE, .runs = (uintptr_t)&run, .max_runs = 1 };
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, PAGE, GUEST_MEMFD_FLAG_INIT_SHARED);
	none_left = true;
	assert_int_equal(call(gmem, GMEM_CONVERT, &c), -ENOMEM);
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), -ENOMEM);
	none_left = false;
	assert_false(is_private(gmem, 0));
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

/* A creation that fails half-way leaves nothing: no descriptor, and nothing that counts as a guest_memfd. */
static void a_creation_that_finds_none(void **state)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES,
		.args = { 1 },
	};
	int vm, gmem, fails;

	fixture_start("in-place-per-vm");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	for (fails = 0;; fails++) {
		left = fails + 1;
		gmem = make_gmem(vm, PAGE, 0);
		left = -1;
		if (gmem >= 0)
			break;
		assert_int_equal(gmem, -ENOMEM);
	}
	assert_true(fails >= 3);
	fixture_close(gmem);
	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), 0);
	fixture_close(vm);
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unmapping_is_told_to_every_vm),
		cmocka_unit_test(a_conversion_that_finds_none_changes_nothing),
		cmocka_unit_test(our_requests_say_so),
		cmocka_unit_test(a_creation_that_finds_none),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
