/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a request says is read once: the program may change it under the call, from another thread. Here it changes
 * as soon as it has been read, to what would be refused or, believed, do harm; the call is as it was read.
 */
#include "fixture.h"

#include <gmem/ioctl.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "map/host_file.h"
#include "os/os.h"

#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

/* The structure whose first reading is followed by the change. */
static void *watched;
static const void *changed_to;
static size_t changed_size;
static unsigned int nr_reads;

int __real_os_copy_in(void *dst, uint64_t src, size_t size);
int __wrap_os_copy_in(void *dst, uint64_t src, size_t size);
int __wrap_os_copy_in(void *dst, uint64_t src, size_t size)
{
	int err = __real_os_copy_in(dst, src, size);

	if (watched && src == (uintptr_t)watched) {
		nr_reads++;
		memcpy(watched, changed_to, changed_size);
	}
	return err;
}

/* The call with arg, which is to once it has been read. */
static long call_changed(int fd, unsigned long cmd, void *arg, const void *to, size_t size)
{
	long r;

	watched = arg;
	changed_to = to;
	changed_size = size;
	nr_reads = 0;
	r = call(fd, cmd, arg);
	watched = NULL;
	assert_int_equal(nr_reads, 1);
	return r;
}

#define CALL_CHANGED(fd, cmd, arg, to) call_changed(fd, cmd, &(arg), &(to), sizeof(to))

static bool is_private(int gmem, uint64_t page)
{
	return attr_map_get(kvm_gmem_host_file(object_of(gmem))->state, page) & PRIVATE;
}

static void a_conversion_in_place(void **state)
{
	struct kvm_memory_attributes2 a = { .offset = PAGE, .size = PAGE, .attributes = PRIVATE };
	struct kvm_memory_attributes2 to = { .offset = 1ull << 40,
					     .size = PAGE,
					     .attributes = PRIVATE };
	struct kvm_memory_attributes2 all = { .size = 4 * PAGE, .attributes = PRIVATE };
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, 4 * PAGE, SHARED_FILE);
	assert_int_equal(CALL_CHANGED(gmem, KVM_SET_MEMORY_ATTRIBUTES2, a, to), 0);
	assert_true(is_private(gmem, 1));
	a = (struct kvm_memory_attributes2){ .offset = PAGE, .size = PAGE };
	assert_int_equal(CALL_CHANGED(gmem, KVM_SET_MEMORY_ATTRIBUTES2, a, all), 0);
	for (uint64_t page = 0; page < 4; page++)
		assert_false(is_private(gmem, page));
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void our_own_conversion(void **state)
{
	struct gmem_ioctl_convert a = { .offset = PAGE, .size = PAGE, .attributes = PRIVATE };
	struct gmem_ioctl_convert to = { .offset = 1ull << 40, .size = PAGE, .max_refused = ~0u };
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, 4 * PAGE, SHARED_FILE);
	assert_int_equal(CALL_CHANGED(gmem, GMEM_CONVERT, a, to), 0);
	assert_true(is_private(gmem, 1));
	assert_false(is_private(gmem, 0));
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void attributes_of_a_vm(void **state)
{
	struct kvm_memory_attributes a = { .address = GB, .size = PAGE, .attributes = PRIVATE };
	struct kvm_memory_attributes to = { .address = GB + 1, .size = ~0ull, .attributes = ~0ull };
	int vm;

	fixture_start(NULL);
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(CALL_CHANGED(vm, KVM_SET_MEMORY_ATTRIBUTES, a, to), 0);
	fixture_close(vm);
	fixture_end();
}

/* Flags that were good when they were looked at: GUEST_MEMFD is not taken off before the slot is made. */
static void a_memslot(void **state)
{
	struct kvm_userspace_memory_region2 r = { .flags = KVM_MEM_GUEST_MEMFD,
						  .guest_phys_addr = GB,
						  .memory_size = PAGE };
	struct kvm_userspace_memory_region2 to = { .flags = KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD,
						   .guest_phys_addr = 1,
						   .memory_size = ~0ull };
	int vm, gmem;

	fixture_start(NULL);
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, PAGE, 0);
	r.guest_memfd = (uint32_t)gmem;
	assert_int_equal(CALL_CHANGED(vm, KVM_SET_USER_MEMORY_REGION2, r, to), 0);
	assert_int_equal(set_slot(vm, 1, 0, GB, PAGE, NULL, -1, 0), -EEXIST);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void a_guest_memfd(void **state)
{
	struct kvm_create_guest_memfd a = { .size = PAGE }, to = { .size = 1, .flags = ~0ull };
	long gmem;
	int vm;

	fixture_start(NULL);
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = CALL_CHANGED(vm, KVM_CREATE_GUEST_MEMFD, a, to);
	assert_true(gmem >= 0);
	assert_int_equal(kvm_gmem_host_file(object_of((int)gmem))->size, PAGE);
	fixture_close((int)gmem);
	fixture_close(vm);
	fixture_end();
}

static void a_prefault(void **state)
{
	static char ram[4 * 4096] __attribute__((aligned(4096)));
	struct kvm_pre_fault_memory p = { .gpa = GB, .size = 4 * PAGE };
	struct kvm_pre_fault_memory to = { .gpa = 1, .size = ~0ull, .flags = ~0ull };
	int vm, vcpu;

	fixture_start(NULL);
	vm = make_vm(KVM_X86_DEFAULT_VM);
	vcpu = make_vcpu(vm);
	assert_int_equal(set_slot(vm, 0, 0, GB, 4 * PAGE, ram, -1, 0), 0);
	assert_int_equal(CALL_CHANGED(vcpu, KVM_PRE_FAULT_MEMORY, p, to), 0);
	assert_int_equal(p.gpa, GB + 4 * PAGE);
	assert_int_equal(p.size, 0);
	fixture_close(vcpu);
	fixture_close(vm);
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversion_in_place), cmocka_unit_test(our_own_conversion),
		cmocka_unit_test(attributes_of_a_vm),	 cmocka_unit_test(a_memslot),
		cmocka_unit_test(a_guest_memfd),	 cmocka_unit_test(a_prefault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
