/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Requests to a guest_memfd that are ours alone, and guest_memfds that other processes have made. */
#include "conversion.h"

#include <gmem/ioctl.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- our own requests -------------------------------------------------------------------------- */

static void all_refusals_in_one_call(void **state)
{
	struct gmem_ioctl_range refused[4] = { 0 };
	struct gmem_ioctl_convert a = {
		.size = NR * PAGE,
		.attributes = PRIVATE,
		.refused = (uintptr_t)refused,
		.max_refused = 4,
	};
	struct held_file f;

	hold_pages(&f, 3, 5);
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EAGAIN);
	assert_int_equal(a.nr_refused, 2);
	assert_int_equal(a.error_offset, 3 * PAGE);
	assert_int_equal(refused[0].offset, 3 * PAGE);
	assert_int_equal(refused[0].size, PAGE);
	assert_int_equal(refused[1].offset, 5 * PAGE);
	assert_int_equal(refused[1].size, 2 * PAGE);
	assert_int_equal(refused[2].size, 0);
	assert_int_equal(privates(f.gmem), 0);
	/* Room for one: how many there were is told all the same. */
	memset(refused, 0, sizeof(refused));
	a.max_refused = 1;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EAGAIN);
	assert_int_equal(a.nr_refused, 2);
	assert_int_equal(refused[0].offset, 3 * PAGE);
	assert_int_equal(refused[1].size, 0);
	/* No room at all: as KVM's own request. */
	a.max_refused = 0;
	a.refused = 0;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EAGAIN);
	assert_int_equal(a.error_offset, 3 * PAGE);
	f.holder.held[0].offset = f.holder.held[1].offset = NR * PAGE;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), 0);
	assert_int_equal(a.nr_refused, 0);
	assert_int_equal(privates(f.gmem), 0xff);
	let_go(&f);
}

static void rules_of_our_conversion(void **state)
{
	struct gmem_ioctl_convert good = { .size = PAGE, .attributes = PRIVATE }, a = good;
	struct held_file f;

	hold_pages(&f, 3, 5);
	assert_int_equal(call(f.gmem, GMEM_CONVERT, NULL), -EFAULT);
	a.flags = 1;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EINVAL);
	a = good;
	a.reserved[8] = 1;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EINVAL);
	a = good;
	a.attributes = 4;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EINVAL);
	a = good;
	a.size = NR * PAGE + PAGE;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EINVAL);
	a = good;
	a.max_refused = GMEM_IOCTL_MAX_RANGES + 1;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EINVAL);
	a = good;
	a.size = NR * PAGE;
	a.max_refused = 1;
	a.refused = 8;
	assert_int_equal(call(f.gmem, GMEM_CONVERT, &a), -EFAULT);
	assert_int_equal(privates(f.gmem), 0);
	let_go(&f);
}

static void attributes_can_be_read(void **state)
{
	struct gmem_ioctl_run runs[8];
	struct gmem_ioctl_attributes q = { .size = NR * PAGE,
					   .runs = (uintptr_t)runs,
					   .max_runs = 8 };
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, NR * PAGE, SHARED_FILE);
	assert_int_equal(convert(gmem, 2 * PAGE, 3 * PAGE, PRIVATE), 0);
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), 0);
	assert_int_equal(q.nr_runs, 3);
	assert_int_equal(runs[0].size, 2 * PAGE);
	assert_int_equal(runs[0].attributes, 0);
	assert_int_equal(runs[1].offset, 2 * PAGE);
	assert_int_equal(runs[1].size, 3 * PAGE);
	assert_int_equal(runs[1].attributes, PRIVATE);
	assert_int_equal(runs[2].offset, 5 * PAGE);
	assert_int_equal(runs[2].size, 3 * PAGE);
	assert_int_equal(runs[2].attributes, 0);
	/* A part, and less room than runs. */
	q.offset = 3 * PAGE;
	q.size = 3 * PAGE;
	q.max_runs = 1;
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), 0);
	assert_int_equal(q.nr_runs, 1);
	assert_int_equal(runs[0].offset, 3 * PAGE);
	assert_int_equal(runs[0].size, 2 * PAGE);
	q.max_runs = 0;
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), -EINVAL);
	q.max_runs = GMEM_IOCTL_MAX_RANGES + 1;
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), -EINVAL);
	q.max_runs = 1;
	q.reserved[3] = 1;
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), -EINVAL);
	q.reserved[3] = 0;
	q.size = 6 * PAGE;
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), -EINVAL);
	q.size = PAGE;
	q.runs = 8;
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), -EFAULT);
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, NULL), -EFAULT);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void without_in_place_they_can_only_be_read(void **state)
{
	struct gmem_ioctl_run run;
	struct gmem_ioctl_attributes q = { .size = NR * PAGE,
					   .runs = (uintptr_t)&run,
					   .max_runs = 1 };
	int vm, gmem;

	fixture_start("linux-7.2");
	vm = make_vm(KVM_X86_DEFAULT_VM);
	gmem = make_gmem(vm, NR * PAGE, SHARED_FILE);
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), 0);
	assert_int_equal(q.nr_runs, 1);
	assert_int_equal(run.size, NR * PAGE);
	assert_int_equal(run.attributes, 0);
	assert_int_equal(call(gmem, GMEM_CONVERT, NULL), -ENOTTY);
	assert_int_equal(call(vm, GMEM_GET_ATTRIBUTES, &q), -ENOTTY);
	fixture_close(gmem);
	gmem = make_gmem(vm, NR * PAGE, 0);
	assert_int_equal(call(gmem, GMEM_GET_ATTRIBUTES, &q), 0);
	assert_int_equal(run.attributes, PRIVATE);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

/* ---- a file that came from elsewhere ------------------------------------------------------------ */

static void a_guest_memfd_without_a_vm_here(void **state)
{
	struct kvm_object *o;
	struct kvm_gmem_stat there, here;
	struct kvm_memory_attributes2 a = request(PAGE, PAGE, PRIVATE);
	int vm, gmem, adopted, backing = 0;
	struct host_file *host;
	uint64_t offset;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, NR * PAGE, SHARED_FILE);
	host = kvm_gmem_host_file(object_of(gmem));
	host_file_get(host);
	assert_int_equal(kvm_gmem_adopt(host, &o), 0);
	adopted = fixture_install(o);
	assert_ptr_equal(kvm_gmem_host_file(o), host);
	assert_int_equal(call(adopted, KVM_SET_MEMORY_ATTRIBUTES2, &a), 0);
	assert_int_equal(privates(gmem), 2);
	kvm_gmem_stat(object_of(gmem), &there);
	kvm_gmem_stat(o, &here);
	assert_int_equal(here.size, there.size);
	assert_int_equal(here.ino, there.ino);
	assert_int_equal(kvm_gmem_fallocate(o, 1, 0, PAGE), 0);
	assert_int_equal(kvm_mmap(o, PAGE, PROT_READ, MAP_SHARED, 0, &backing, &offset), 0);
	assert_int_equal(backing, -1);
	/* No VM of this process can have it in a slot. */
	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, 0, PAGE, NULL, adopted, 0), -EINVAL);
	fixture_close(adopted);
	assert_int_equal(convert(gmem, PAGE, PAGE, 0), 0);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void the_handle_says_where_its_home_is(void **state)
{
	char want[HOST_FILE_NAME_MAX];
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_null(fixture_name(vm));
	gmem = make_gmem(vm, PAGE, 0);
	assert_int_equal(host_file_name(kvm_gmem_host_file(object_of(gmem)), want), 0);
	assert_string_equal(fixture_name(gmem), want);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_refusals_in_one_call),
		cmocka_unit_test(rules_of_our_conversion),
		cmocka_unit_test(attributes_can_be_read),
		cmocka_unit_test(without_in_place_they_can_only_be_read),
		cmocka_unit_test(a_guest_memfd_without_a_vm_here),
		cmocka_unit_test(the_handle_says_where_its_home_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
