/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What cannot be refused is done without memory too. */
#include "fixture.h"

#include <stdbool.h>

#define PAGE 4096ull
#define GB (1ull << 30)

void *__real_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size);

static bool none_left;

void *__wrap_os_alloc(size_t size)
{
	return none_left ? NULL : __real_os_alloc(size);
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
		int vcpu = (int)call_value(vm[i], KVM_CREATE_VCPU, 0);

		assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
		fixture_close(vcpu);
		fixture_close(vm[i]);
	}
	fixture_end();
}

static int start(void **state)
{
	fixture_start(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unmapping_is_told_to_every_vm),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
