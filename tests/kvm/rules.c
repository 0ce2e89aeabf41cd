/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which errno wins: the checks of the memory requests, in the kernel's order. */
#include "fixture.h"

#include <errno.h>

#define GMEM KVM_MEM_GUEST_MEMFD

static void *const hva = (void *)0x10000000;

static void slot_flags_before_everything_else(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(set_slot(vm, 32764, 0, 0, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 8, 0, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM | KVM_MEM_READONLY, 0, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM | KVM_MEM_LOG_DIRTY_PAGES, 0, PAGE, hva, -1, 0),
			 -EINVAL);
	/* Only then is the descriptor looked at. */
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, -1, 0), -EBADF);
	fixture_close(vm);
	fixture_end();
}

static void first_form_knows_two_flags(void **state)
{
	struct kvm_userspace_memory_region r = { .flags = GMEM, .memory_size = PAGE };
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(call(vm, KVM_SET_USER_MEMORY_REGION, &r), -EINVAL);
	r.flags = KVM_MEM_READONLY;
	assert_int_equal(call(vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	fixture_close(vm);
}

static void place_is_checked(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(set_slot(vm, 0, 0, 0, PAGE + 1, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 0, 1, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 0, 0, PAGE, (void *)1, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 0, 0, PAGE, (void *)0x7ffffffff000, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 0, 0, PAGE, (void *)0x7fffffffe000, -1, 0), 0);
	assert_int_equal(set_slot(vm, 1, 0, -PAGE, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 1, 0, 0, PAGE << 31, NULL, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0x20000, 0, GB, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0x10000, 0, 0, PAGE, hva, -1, 0), 0);
	/* Far above what the CPU can address: told after everything else. */
	assert_int_equal(set_slot(vm, 2, 0, 1ull << 60, PAGE, hva, -1, 0), -EINVAL);
	fixture_close(vm);
}

static void overlap_before_the_descriptor(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(set_slot(vm, 0, 0, 0, 4 * PAGE, hva, -1, 0), 0);
	assert_int_equal(set_slot(vm, 1, GMEM, 3 * PAGE, PAGE, hva, -1, 0), -EEXIST);
	assert_int_equal(set_slot(vm, 1, GMEM, 4 * PAGE, PAGE, hva, -1, 0), -EBADF);
	assert_int_equal(set_slot(vm, 1, 0, 4 * PAGE, PAGE, hva, -1, 0), 0);
	fixture_close(vm);
}

static void what_can_change_in_a_slot(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(set_slot(vm, 0, 0, 0, 2 * PAGE, hva, -1, 0), 0);
	assert_int_equal(set_slot(vm, 0, 0, 0, 2 * PAGE, hva, -1, 0), 0);
	assert_int_equal(set_slot(vm, 0, 0, 0, PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 0, 0, 2 * PAGE, (char *)hva + PAGE, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, KVM_MEM_READONLY, 0, 2 * PAGE, hva, -1, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, 2 * PAGE, hva, -1, 0), 0);
	assert_int_equal(set_slot(vm, 0, 0, GB, 2 * PAGE, hva, -1, 0), 0);
	assert_int_equal(set_slot(vm, 1, 0, 0, PAGE, hva, -1, 0), 0);
	assert_int_equal(set_slot(vm, 0, 0, 0, 2 * PAGE, hva, -1, 0), -EEXIST);
	assert_int_equal(set_slot(vm, 0, 0, 0, 0, NULL, -1, 0), 0);
	assert_int_equal(set_slot(vm, 0, 0, 0, 0, NULL, -1, 0), -EINVAL);
	fixture_close(vm);
}

static void binding_rules(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM), other = make_vm(KVM_X86_DEFAULT_VM);
	int gmem = make_gmem(vm, 4 * PAGE, 0), strange = make_gmem(other, PAGE, 0);
	int foreign = fixture_foreign();

	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, foreign, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, vm, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, strange, 0), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, gmem, 1), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, gmem, 4 * PAGE), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, 4 * PAGE, hva, gmem, 0x7ffffffffffff000),
			 -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, 2 * PAGE, hva, gmem, PAGE), 0);
	assert_int_equal(set_slot(vm, 1, GMEM, GB, PAGE, hva, gmem, 2 * PAGE), -EEXIST);
	assert_int_equal(set_slot(vm, 1, GMEM, GB, PAGE, hva, gmem, 3 * PAGE), 0);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, 2 * PAGE, hva, gmem, PAGE), -EINVAL);
	assert_int_equal(set_slot(vm, 0, 0, 0, 2 * PAGE, hva, -1, 0), -EINVAL);
	/* Deleting frees the range of the file; flags and offset are still checked. */
	assert_int_equal(set_slot(vm, 0, GMEM, 0, 0, NULL, -1, 1), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, 0, NULL, -1, 0), 0);
	assert_int_equal(set_slot(vm, 2, GMEM, 2 * GB, 3 * PAGE, hva, gmem, 0), 0);
	fixture_close(foreign);
	fixture_close(gmem);
	fixture_close(strange);
	fixture_close(vm);
	fixture_close(other);
	fixture_end();
}

static void binding_overlap_as_older_kernels_say(void **state)
{
	int vm, gmem;

	fixture_start("linux-6.12");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, 2 * PAGE, 0);
	assert_int_equal(make_gmem(vm, PAGE, GUEST_MEMFD_FLAG_MMAP), -EINVAL);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, gmem, 0), 0);
	assert_int_equal(set_slot(vm, 1, GMEM, GB, PAGE, hva, gmem, 0), -EINVAL);
	fixture_close(gmem);
	fixture_close(vm);
	vm = make_vm(KVM_X86_DEFAULT_VM);
	assert_int_equal(set_slot(vm, 0, GMEM, 0, PAGE, hva, -1, 0), -EINVAL);
	fixture_close(vm);
	fixture_start(NULL);
}

static void creation_of_guest_memfds(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem;

	assert_int_equal(make_gmem(vm, 0, 0), -EINVAL);
	assert_int_equal(make_gmem(vm, PAGE + 1, 0), -EINVAL);
	assert_int_equal(make_gmem(vm, 1ull << 63, 0), -EINVAL);
	assert_int_equal(make_gmem(vm, PAGE, GUEST_MEMFD_FLAG_INIT_SHARED), -EINVAL);
	assert_int_equal(make_gmem(vm, PAGE, 4), -EINVAL);
	gmem = make_gmem(vm, 1ull << 62, GUEST_MEMFD_FLAG_MMAP);
	assert_true(gmem >= 0);
	fixture_close(gmem);
	fixture_close(vm);
}

static void attribute_rules(void **state)
{
	struct kvm_memory_attributes a = { .size = PAGE, .flags = 1 };
	int plain = make_vm(KVM_X86_DEFAULT_VM), vm = make_vm(KVM_X86_SW_PROTECTED_VM);

	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES, &a), -EINVAL);
	a.flags = 0;
	a.attributes = 1;
	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES, &a), -EINVAL);
	assert_int_equal(set_private(vm, 0, 0, true), -EINVAL);
	assert_int_equal(set_private(vm, 1, PAGE, true), -EINVAL);
	assert_int_equal(set_private(vm, -PAGE, 2 * PAGE, true), -EINVAL);
	assert_int_equal(set_private(vm, -PAGE, PAGE, true), -EINVAL);
	assert_int_equal(set_private(vm, -2 * PAGE, PAGE, true), 0);
	assert_int_equal(set_private(plain, 0, PAGE, true), -EINVAL);
	assert_int_equal(set_private(plain, 0, PAGE, false), 0);
	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES, (void *)8), -EFAULT);
	fixture_close(plain);
	fixture_close(vm);
}

static void dirty_log_rules(void **state)
{
	static char ram[128 * 4096] __attribute__((aligned(4096)));
	uint64_t bits[2] = { 0 };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = { .num_pages = 64, .dirty_bitmap = bits };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 3 } };
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), 0);
	assert_int_equal(set_slot(vm, 0, 1, 0, 100 * PAGE, ram, -1, 0), 0);
	assert_int_equal(set_slot(vm, 1, 0, GB, PAGE, ram, -1, 0), 0);
	assert_int_equal(call(vm, KVM_GET_DIRTY_LOG, &log), -ENOENT);
	log.slot = 40000;
	assert_int_equal(call(vm, KVM_GET_DIRTY_LOG, &log), -EINVAL);
	log.slot = 0;
	assert_int_equal(call(vm, KVM_GET_DIRTY_LOG, &log), 0);
	assert_int_equal(bits[0], ~0ull);
	clear.first_page = 1;
	assert_int_equal(call(vm, KVM_CLEAR_DIRTY_LOG, &clear), -EINVAL);
	clear.first_page = 128;
	assert_int_equal(call(vm, KVM_CLEAR_DIRTY_LOG, &clear), -EINVAL);
	clear.first_page = 0;
	clear.num_pages = 63;
	assert_int_equal(call(vm, KVM_CLEAR_DIRTY_LOG, &clear), -EINVAL);
	clear.num_pages = 64;
	bits[0] = 5;
	assert_int_equal(call(vm, KVM_CLEAR_DIRTY_LOG, &clear), 0);
	assert_int_equal(call(vm, KVM_GET_DIRTY_LOG, &log), 0);
	assert_int_equal(bits[0], ~5ull);
	fixture_close(vm);
}

static void enabling_capabilities(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 0x1000 } };
	int vm = make_vm(KVM_X86_DEFAULT_VM);

	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), 0);
	cap.args[0] = 0x1001;
	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.args[0] = 0;
	cap.flags = 1;
	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap = (struct kvm_enable_cap){ .cap = 9999 };
	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 2 } };
	assert_int_equal(call(vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	fixture_close(vm);
}

static void foreign_requests_have_the_errno_of_the_descriptor(void **state)
{
	int kvm = fixture_open(), vm = make_vm(KVM_X86_DEFAULT_VM);
	int vcpu = make_vcpu(vm), gmem = make_gmem(vm, PAGE, 0);

	assert_int_equal(call_value(kvm, KVM_RUN, 0), -EINVAL);
	assert_int_equal(call_value(vm, KVM_RUN, 0), -ENOTTY);
	assert_int_equal(call_value(vcpu, KVM_CREATE_VM, 0), -EINVAL);
	assert_int_equal(call_value(gmem, KVM_RUN, 0), -ENOTTY);
	assert_int_equal(call_value(vcpu, KVM_RUN, 1), -EINVAL);
	assert_int_equal(call_value(kvm, KVM_GET_API_VERSION, 0), 12);
	assert_int_equal(call_value(kvm, KVM_GET_API_VERSION, 1), -EINVAL);
	assert_int_equal(call_value(vm, KVM_CREATE_VCPU, 0), -EEXIST);
	assert_int_equal(call_value(vm, KVM_CREATE_VCPU, 4096), -EINVAL);
	fixture_close(kvm);
	fixture_close(vm);
	fixture_close(vcpu);
	fixture_close(gmem);
	fixture_end();
}

static void cpuid_without_entries(void **state)
{
	struct kvm_cpuid old = { 0 };
	struct kvm_cpuid2 none = { 0 };
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_vcpu(vm);
	int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(call(vcpu, KVM_SET_CPUID, &old), 0);
		assert_int_equal(call(vcpu, KVM_SET_CPUID2, &none), 0);
		assert_int_equal(call(vcpu, KVM_GET_CPUID2, &none), 0);
		assert_int_equal(none.nent, 0);
	}
	none.nent = 257;
	assert_int_equal(call(vcpu, KVM_SET_CPUID2, &none), -E2BIG);
	fixture_close(vcpu);
	fixture_close(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_flags_before_everything_else),
		cmocka_unit_test(first_form_knows_two_flags),
		cmocka_unit_test(place_is_checked),
		cmocka_unit_test(overlap_before_the_descriptor),
		cmocka_unit_test(what_can_change_in_a_slot),
		cmocka_unit_test(binding_rules),
		cmocka_unit_test(binding_overlap_as_older_kernels_say),
		cmocka_unit_test(creation_of_guest_memfds),
		cmocka_unit_test(attribute_rules),
		cmocka_unit_test(dirty_log_rules),
		cmocka_unit_test(enabling_capabilities),
		cmocka_unit_test(cpuid_without_entries),
		cmocka_unit_test(foreign_requests_have_the_errno_of_the_descriptor),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
