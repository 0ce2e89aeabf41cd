/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A signal that comes when KVM_RUN has just looked for one: what the shim's handler does, which sets the pending
 * flag and kicks the vCPU, is done right behind each look. A guest that loops for ever is left all the same.
 */
#include "fixture.h"

#include <errno.h>

#include "kvm/object.h"
#include "os/os.h"

static struct vcpu *interrupted; /* NULL: nobody is */
static int looks_before;	 /* the signal comes behind so many */

bool __real_os_signal_pending(void);
bool __wrap_os_signal_pending(void);
bool __wrap_os_signal_pending(void)
{
	bool pending = __real_os_signal_pending();

	if (interrupted && !looks_before--) {
		os_signal_set_pending(true);
		mmu_vcpu_request(interrupted->mmu, MMU_REQ_KICK);
		interrupted = NULL;
	}
	return pending;
}

static void a_signal_behind_the_look_ends_the_run(void **state)
{
	static char ram[4096] __attribute__((aligned(4096)));
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_vcpu(vm);

	make_loop(vm, vcpu, ram);
	interrupted = vcpu_of(object_of(vcpu));
	looks_before = 0;
	assert_int_equal(call_value(vcpu, KVM_RUN, 0), -EINTR);
	os_signal_set_pending(false);
	end_vm(vm, vcpu);
}

/* With the signal there from the beginning the guest does not run at all. */
static void a_signal_before_the_run_ends_it(void **state)
{
	static char ram[4096] __attribute__((aligned(4096)));
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_vcpu(vm);

	make_loop(vm, vcpu, ram);
	os_signal_set_pending(true);
	assert_int_equal(call_value(vcpu, KVM_RUN, 0), -EINTR);
	os_signal_set_pending(false);
	end_vm(vm, vcpu);
}

static void a_prefault_stops_for_a_signal(void **state)
{
	static char ram[8 * 4096] __attribute__((aligned(4096)));
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_vcpu(vm);
	struct kvm_pre_fault_memory p = { .gpa = PAGE, .size = 8 * PAGE };

	assert_int_equal(set_slot(vm, 0, 0, PAGE, 8 * PAGE, ram, -1, 0), 0);
	os_signal_set_pending(true);
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -EINTR);
	assert_int_equal(p.size, 8 * PAGE);
	os_signal_set_pending(false);
	/* In the middle: what is done is done. */
	looks_before = 2;
	interrupted = vcpu_of(object_of(vcpu));
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
	assert_int_equal(p.size, 5 * PAGE);
	assert_int_equal(p.gpa, 4 * PAGE);
	os_signal_set_pending(false);
	end_vm(vm, vcpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_behind_the_look_ends_the_run),
		cmocka_unit_test(a_signal_before_the_run_ends_it),
		cmocka_unit_test(a_prefault_stops_for_a_signal),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
