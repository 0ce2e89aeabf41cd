/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a request is refused by: the rule, not the errno alone. Those that no other test meets. */
#include "conversion.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "obs/rules.h"
#include "os/os.h"

static int vm, vcpu;

static int make_both(void **state)
{
	fixture_start("linux-7.2");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	vcpu = (int)call_value(vm, KVM_CREATE_VCPU, 0);
	assert_true(vcpu >= 0);
	return 0;
}

static int close_both(void **state)
{
	os_signal_set_pending(false);
	fixture_close(vcpu);
	fixture_close(vm);
	fixture_end();
	return 0;
}

static void expect(long r, enum obs_rule rule, long err)
{
	assert_int_equal(r, err);
	assert_string_equal(obs_rule_id(obs_last_refusal().rule), obs_rule_id(rule));
	assert_int_equal(obs_last_refusal().err, err);
}

static void state_of_a_vm(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MAX_VCPU_ID, .args = { 1u << 20 } };
	struct kvm_coalesced_mmio_zone zone = { .size = 4, .pio = 2 };
	struct kvm_clock_data clock = { .flags = 1 };

	expect(call(vm, KVM_ENABLE_CAP, &cap), RULE_CAP_MAX_VCPU_ID, -EINVAL);
	expect(call(vm, KVM_SET_CLOCK, &clock), RULE_CLOCK_FLAGS, -EINVAL);
	expect(call(vm, KVM_REGISTER_COALESCED_MMIO, &zone), RULE_COALESCED_PIO, -EINVAL);
	expect(call(vm, KVM_UNREGISTER_COALESCED_MMIO, &zone), RULE_COALESCED_PIO, -EINVAL);
}

static void state_of_a_vcpu(void **state)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB };

	assert_int_equal(call(vcpu, KVM_SET_GUEST_DEBUG, &debug), 0);
	expect(call(vcpu, KVM_SET_GUEST_DEBUG, &debug), RULE_DEBUG_PENDING, -EBUSY);
	expect(call_value(vcpu, KVM_SET_TSC_KHZ, 1), RULE_TSC_SCALING, -EINVAL);
}

static void an_interrupt_where_the_vm_raises_them(void **state)
{
	struct kvm_interrupt irq = { .irq = 32 };
	int other = make_vm(KVM_X86_DEFAULT_VM), its;

	assert_int_equal(call_value(other, KVM_CREATE_IRQCHIP, 0), 0);
	its = (int)call_value(other, KVM_CREATE_VCPU, 0);
	expect(call(its, KVM_INTERRUPT, &irq), RULE_INTERRUPT_IRQCHIP, -ENXIO);
	fixture_close(its);
	fixture_close(other);
}

/* No mistakes: nothing is said of them, but the last refusal knows. */
static void a_run_that_ends_before_the_guest(void **state)
{
	int fd;
	uint64_t offset;
	struct kvm_run *run;

	assert_int_equal(kvm_mmap(object_of(vcpu), OS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				  0, &fd, &offset),
			 0);
	run = mmap(NULL, OS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	assert_ptr_not_equal(run, MAP_FAILED);
	run->immediate_exit = 1;
	expect(call_value(vcpu, KVM_RUN, 0), RULE_RUN_IMMEDIATE_EXIT, -EINTR);
	run->immediate_exit = 0;
	os_signal_set_pending(true);
	expect(call_value(vcpu, KVM_RUN, 0), RULE_RUN_SIGNAL, -EINTR);
	munmap(run, OS_PAGE_SIZE);
}

static void a_signal_before_a_page_is_faulted_in(void **state)
{
	struct kvm_pre_fault_memory range = { .gpa = 0, .size = OS_PAGE_SIZE };

	os_signal_set_pending(true);
	expect(call(vcpu, KVM_PRE_FAULT_MEMORY, &range), RULE_PREFAULT_SIGNAL, -EINTR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_both, close_both)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(state_of_a_vm),
		TEST(state_of_a_vcpu),
		TEST(an_interrupt_where_the_vm_raises_them),
		TEST(a_run_that_ends_before_the_guest),
		TEST(a_signal_before_a_page_is_faulted_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
