/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What each profile offers of conversion in place: capabilities, flags, VM by VM, and VM types. */
#include "fixture.h"

#include <errno.h>

#include "core/gmem_file.h"
#include "kvm/object.h"

#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define MMAP GUEST_MEMFD_FLAG_MMAP
#define BOTH (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* Answers of KVM_CHECK_EXTENSION on /dev/kvm, a protected VM, a default VM. */
static const struct {
	const char *profile;
	long cap;
	long answer[3];
} caps[] = {
	{ "linux-7.2", KVM_CAP_MEMORY_ATTRIBUTES, { PRIVATE, PRIVATE, 0 } },
	{ "linux-7.2", 249, { 0, 0, 0 } },
	{ "linux-7.2", 250, { 0, 0, 0 } },
	{ "linux-7.2", KVM_CAP_GUEST_MEMFD_FLAGS, { BOTH, MMAP, BOTH } },
	{ "linux-6.12", 249, { 0, 0, 0 } },
	{ "linux-6.12", 250, { 0, 0, 0 } },
	{ "in-place", KVM_CAP_MEMORY_ATTRIBUTES, { 0, 0, 0 } },
	{ "in-place", 249, { 0, 0, 0 } },
	{ "in-place", 250, { PRIVATE, PRIVATE, 0 } },
	{ "in-place", KVM_CAP_GUEST_MEMFD_FLAGS, { BOTH, BOTH, BOTH } },
	{ "in-place", KVM_CAP_GUEST_MEMFD, { 1, 1, 1 } },
	{ "in-place-v7", KVM_CAP_MEMORY_ATTRIBUTES, { 0, 0, 0 } },
	{ "in-place-v7", 249, { PRIVATE, PRIVATE, 0 } },
	{ "in-place-v7", 250, { 0, 0, 0 } },
	{ "in-place-v7", KVM_CAP_GUEST_MEMFD_FLAGS, { BOTH, BOTH, BOTH } },
	{ "in-place-per-vm", KVM_CAP_MEMORY_ATTRIBUTES, { PRIVATE, PRIVATE, 0 } },
	{ "in-place-per-vm", 249, { 0, 0, 0 } },
	{ "in-place-per-vm", 250, { PRIVATE, 0, 0 } },
	{ "in-place-per-vm", KVM_CAP_GUEST_MEMFD_FLAGS, { BOTH, MMAP, BOTH } },
};

static void capabilities(void **state)
{
	for (unsigned int i = 0; i < NR_ROWS(caps); i++) {
		int fd[3];

		fixture_start(caps[i].profile);
		fd[0] = fixture_open();
		fd[1] = make_vm(KVM_X86_SW_PROTECTED_VM);
		fd[2] = make_vm(KVM_X86_DEFAULT_VM);
		for (unsigned int j = 0; j < 3; j++) {
			long r = call_value(fd[j], KVM_CHECK_EXTENSION, (uint64_t)caps[i].cap);

			if (r != caps[i].answer[j])
				fail_msg("%s: capability %ld, descriptor %u: %ld", caps[i].profile,
					 caps[i].cap, j, r);
			fixture_close(fd[j]);
		}
	}
	fixture_end();
}

static void shared_at_first_is_legal_in_place(void **state)
{
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, PAGE, BOTH);
	assert_true(gmem >= 0);
	fixture_close(gmem);
	assert_int_equal(make_gmem(vm, PAGE, 4), -EINVAL);
	fixture_close(vm);
	fixture_start("in-place-per-vm");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(make_gmem(vm, PAGE, BOTH), -EINVAL);
	fixture_close(vm);
	fixture_end();
}

/* ---- VM by VM ---------------------------------------------------------------------------------- */

static long ask_in_place(int vm, uint64_t value)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES,
		.args = { value },
	};

	return call(vm, KVM_ENABLE_CAP, &cap);
}

static long convert(int gmem, uint64_t attributes)
{
	struct kvm_memory_attributes2 a = { .size = PAGE, .attributes = attributes };

	return call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a);
}

static void a_vm_that_asked_converts_in_place(void **state)
{
	int vm, other, gmem, plain;

	fixture_start("in-place-per-vm");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	other = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(ask_in_place(vm, 1), 0);
	assert_int_equal(ask_in_place(vm, 1), 0);
	assert_int_equal(call_value(vm, KVM_CHECK_EXTENSION, 250), PRIVATE);
	assert_int_equal(call_value(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(call_value(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS), BOTH);
	gmem = make_gmem(vm, PAGE, BOTH);
	assert_true(gmem >= 0);
	assert_int_equal(convert(gmem, PRIVATE), 0);
	assert_int_equal(set_private(vm, 0, PAGE, true), -EINVAL);
	assert_int_equal(set_private(vm, 0, PAGE, false), 0);
	/* Once asked, asking again says so, whatever there is. */
	assert_int_equal(ask_in_place(vm, 1), 0);
	/* The other VM is as ever. */
	plain = make_gmem(other, PAGE, MMAP);
	assert_int_equal(convert(plain, PRIVATE), -ENOTTY);
	assert_int_equal(set_private(other, 0, PAGE, true), 0);
	assert_int_equal(call_value(other, KVM_CHECK_EXTENSION, 250), 0);
	fixture_close(plain);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_close(other);
	fixture_end();
}

static void asking_comes_first(void **state)
{
	int vm, it;

	fixture_start("in-place-per-vm");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(ask_in_place(vm, 0), -EINVAL);
	assert_int_equal(ask_in_place(vm, 2), -EINVAL);
	it = make_gmem(vm, PAGE, 0);
	assert_int_equal(ask_in_place(vm, 1), -EBUSY);
	fixture_close(it);
	/* A creation that failed is none. */
	assert_int_equal(make_gmem(vm, PAGE + 1, 0), -EINVAL);
	assert_int_equal(set_private(vm, 0, PAGE, true), 0);
	assert_int_equal(ask_in_place(vm, 1), -EBUSY);
	assert_int_equal(set_private(vm, 0, PAGE, false), 0);
	assert_int_equal(ask_in_place(vm, 1), 0);
	fixture_close(vm);
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	it = make_vcpu(vm);
	assert_int_equal(ask_in_place(vm, 1), -EBUSY);
	fixture_close(it);
	fixture_close(vm);
	vm = make_vm(KVM_X86_DEFAULT_VM);
	assert_int_equal(ask_in_place(vm, 1), -EINVAL);
	fixture_close(vm);
	fixture_end();
}

static void nowhere_else_can_it_be_asked_for(void **state)
{
	static const char *const profiles[] = { "linux-7.2", "in-place", "in-place-v7" };

	for (unsigned int i = 0; i < NR_ROWS(profiles); i++) {
		int vm;

		fixture_start(profiles[i]);
		vm = make_vm(KVM_X86_SW_PROTECTED_VM);
		assert_int_equal(ask_in_place(vm, 1), -EINVAL);
		fixture_close(vm);
	}
	fixture_end();
}

/* ---- VM types ---------------------------------------------------------------------------------- */

static char told[16];
static unsigned int nr_told;
static void *told_of;

static void tell(char what, void *type)
{
	if (nr_told < sizeof(told) - 1)
		told[nr_told++] = what;
	told_of = type;
}

static void type_make_private(void *type, uint64_t offset, uint64_t size)
{
	tell('p', type);
}
static void type_make_shared(void *type, uint64_t offset, uint64_t size)
{
	tell('s', type);
}
static void type_reclaim(void *type, uint64_t offset, uint64_t size)
{
	tell('r', type);
}

static const struct gmem_type_ops type_ops = {
	.make_private = type_make_private,
	.make_shared = type_make_shared,
	.reclaim = type_reclaim,
};
static const struct vm_type guarding = {
	.type = KVM_X86_SW_PROTECTED_VM,
	.has_private = true,
	.gmem = &type_ops,
};
static bool guard;

const struct vm_type *__real_vm_type_find(uint64_t type);
const struct vm_type *__wrap_vm_type_find(uint64_t type);
const struct vm_type *__wrap_vm_type_find(uint64_t type)
{
	return guard && type == guarding.type ? &guarding : __real_vm_type_find(type);
}

static void touch(int gmem)
{
	struct host_file *host = kvm_gmem_host_file(object_of(gmem));
	void *page;
	int level;

	gmem_file_fault_begin(host->file);
	assert_int_equal(gmem_file_page(host->file, 0, &page, &level), 0);
	*(volatile char *)page = 1;
	gmem_file_fault_end(host->file);
}

static void a_type_hears_of_its_guest_memfds(void **state)
{
	int vm, gmem;

	guard = true;
	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, 2 * PAGE, BOTH);
	touch(gmem);
	assert_int_equal(convert(gmem, PRIVATE), 0);
	assert_ptr_equal(told_of, object_of(vm));
	assert_int_equal(convert(gmem, PRIVATE), 0);
	assert_int_equal(convert(gmem, 0), 0);
	assert_int_equal(kvm_gmem_fallocate(object_of(gmem), 3, 0, PAGE), 0);
	touch(gmem);
	fixture_close(gmem);
	assert_string_equal(told, "psrr");
	fixture_close(vm);
	fixture_end();
	guard = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities),
		cmocka_unit_test(shared_at_first_is_legal_in_place),
		cmocka_unit_test(a_vm_that_asked_converts_in_place),
		cmocka_unit_test(asking_comes_first),
		cmocka_unit_test(nowhere_else_can_it_be_asked_for),
		cmocka_unit_test(a_type_hears_of_its_guest_memfds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
