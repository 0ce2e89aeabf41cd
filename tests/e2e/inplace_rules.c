/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion in place through the uAPI alone, beside what the series' own nine cases look at: which errno, what
 * is written back, slots, descriptors, exits, prefaults, and system calls on private pages. With the argument
 * v7: by the rules of the series' seventh version, else the eighth's.
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool v7;

/* ---- the table of errors ----------------------------------------------------------------------- */

static const struct {
	uint64_t offset, size, attributes, flags;
	unsigned int reserved; /* this word plus one is not 0 */
} invalid[] = {
	{ 0, PAGE, PRIVATE, 1, 0 },
	{ 0, PAGE, PRIVATE, 1ull << 63, 0 },
	{ 0, PAGE, PRIVATE, 0, 1 },
	{ 0, PAGE, PRIVATE, 0, 11 },
	{ 0, PAGE, 1, 0, 0 },
	{ 0, PAGE, PRIVATE | 1, 0, 0 },
	{ 0, PAGE, 1ull << 35, 0, 0 },
	{ 0, 0, PRIVATE, 0, 0 },
	{ -PAGE, 2 * PAGE, PRIVATE, 0, 0 },
	{ 1, PAGE, PRIVATE, 0, 0 },
	{ 0, PAGE + 1, PRIVATE, 0, 0 },
	{ 0, 1, PRIVATE, 0, 0 },
	{ 4 * PAGE, PAGE, PRIVATE, 0, 0 },
	{ 3 * PAGE, 2 * PAGE, PRIVATE, 0, 0 },
	{ 1ull << 62, PAGE, PRIVATE, 0, 0 },
};

static void invalid_requests(void **state)
{
	struct inplace t;

	inplace_make(&t, 4, SHARED_FIRST);
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		struct kvm_memory_attributes2 a = {
			.offset = invalid[i].offset,
			.size = invalid[i].size,
			.attributes = invalid[i].attributes,
			.flags = invalid[i].flags,
			.error_offset = UNTOLD,
		};

		if (invalid[i].reserved)
			a.reserved[invalid[i].reserved - 1] = 1;
		if (ioctl(t.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) != -1 || errno != EINVAL)
			fail_msg("row %zu: %s", i, strerror(errno));
		assert_int_equal(a.error_offset, UNTOLD);
	}
	assert_int_equal(ioctl(t.fd, KVM_SET_MEMORY_ATTRIBUTES2, NULL), -1);
	assert_int_equal(errno, EFAULT);
	for (unsigned int i = 0; i < 4; i++)
		expect_shared(&t, i, 0, 'a', 'b');
	inplace_free(&t);
}

static void requests_go_to_the_right_descriptor(void **state)
{
	struct kvm_memory_attributes2 a = { .size = PAGE, .attributes = PRIVATE };
	struct inplace t;

	inplace_make(&t, 1, SHARED_FIRST);
	assert_int_equal(ioctl(t.g.vm, KVM_SET_MEMORY_ATTRIBUTES2, &a), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(ioctl(t.fd, KVM_CHECK_EXTENSION, 0), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(guest_set_private(&t.g, DATA, PAGE, 1), v7 ? -ENOTTY : -EINVAL);
	assert_int_equal(guest_set_private(&t.g, DATA, PAGE, 0), v7 ? -ENOTTY : 0);
	expect_shared(&t, 0, 0, 'a', 'b');
	inplace_free(&t);
}

static void capabilities(void **state)
{
	static const unsigned int types[] = { KVM_X86_SW_PROTECTED_VM, KVM_X86_DEFAULT_VM };
	int cap = inplace_cap();

	for (unsigned int i = 0; i < 2; i++) {
		struct guest g;

		guest_make(&g, types[i]);
		assert_int_equal(ioctl(g.vm, KVM_CHECK_EXTENSION, (long)cap), i ? 0 : PRIVATE);
		assert_int_equal(ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
		assert_int_equal(ioctl(g.kvm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
		assert_int_equal(ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
		guest_free(&g);
	}
}

static void a_vm_without_private_memory(void **state)
{
	struct guest g;
	uint64_t where;
	int fd;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	fd = guest_gmem(&g, PAGE, PRIVATE_FIRST);
	guest_set_gmem(&g, 1, DATA, PAGE, NULL, fd);
	assert_int_equal(inplace_convert(fd, 0, PAGE, PRIVATE, &where), -EINVAL);
	/* Its file is private all the same, and so is what the guest finds. */
	GUEST_CODE(&g, LOAD_AL, HLT);
	assert_int_equal(guest_run(&g), -EFAULT);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	assert_int_equal(g.run->memory_fault.flags, 0);
	assert_int_equal(inplace_convert(fd, 0, PAGE, 0, &where), v7 ? 0 : -EINVAL);
	assert_int_equal(where, UNTOLD);
	assert_int_equal(guest_run(&g), v7 ? 0 : -EFAULT);
	close(fd);
	guest_free(&g);
}

/* ---- ranges ------------------------------------------------------------------------------------ */

static void what_is_so_already(void **state)
{
	struct inplace t;
	uint64_t where;
	unsigned int i;

	inplace_make(&t, 8, SHARED_FIRST);
	assert_int_equal(inplace_convert(t.fd, 0, 8 * PAGE, 0, &where), 0);
	assert_int_equal(where, UNTOLD);
	for (i = 0; i < 8; i += 2)
		inplace_set(&t, i, 1, PRIVATE);
	for (i = 0; i < 8; i += 2)
		expect_private(&t, i, 0, (uint8_t)('a' + i));
	/* Mixed: the whole becomes the same, contents stay. */
	assert_int_equal(inplace_convert(t.fd, 0, 8 * PAGE, PRIVATE, &where), 0);
	assert_int_equal(where, UNTOLD);
	assert_int_equal(inplace_convert(t.fd, 0, 8 * PAGE, PRIVATE, &where), 0);
	for (i = 0; i < 8; i++)
		expect_private(&t, i, i % 2 ? 0 : (uint8_t)('a' + i), (uint8_t)('A' + i));
	inplace_set(&t, 1, 6, 0);
	for (i = 1; i < 7; i++)
		expect_shared(&t, i, (uint8_t)('A' + i), 'x', 'y');
	expect_private(&t, 0, 'A', 'z');
	expect_private(&t, 7, 'H', 'z');
	inplace_free(&t);
}

static void several_slots_of_one_file_and_gaps(void **state)
{
	struct guest g;
	struct kvm_userspace_memory_region2 r = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = PAGE,
	};
	int fd, i;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	fd = guest_gmem(&g, 8 * PAGE, SHARED_FIRST);
	/* Pages 1, 3 and 5 of the file, in another order, with gaps on both sides. */
	for (i = 0; i < 3; i++) {
		r.slot = (uint32_t)(1 + i);
		r.guest_phys_addr = DATA + (uint64_t)(4 - 2 * i) * PAGE;
		r.guest_memfd = (uint32_t)fd;
		r.guest_memfd_offset = (uint64_t)(1 + 2 * i) * PAGE;
		assert_int_equal(ioctl(g.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(guest_exchange(&g, DATA + (uint64_t)(2 * i) * PAGE, 'a'), 0);
	assert_int_equal(inplace_convert(fd, 2 * PAGE, 3 * PAGE, PRIVATE, NULL), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(guest_exchange(&g, DATA + (uint64_t)(2 * i) * PAGE, 'b'), 'a');
	assert_int_equal(inplace_convert(fd, 0, 8 * PAGE, PRIVATE, NULL), 0);
	assert_int_equal(inplace_convert(fd, 0, 8 * PAGE, 0, NULL), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(guest_exchange(&g, DATA + (uint64_t)(2 * i) * PAGE, 'c'), 'b');
	close(fd);
	guest_free(&g);
}

/* ---- life -------------------------------------------------------------------------------------- */

static void state_survives_slots_and_mappings(void **state)
{
	struct inplace t;
	uint8_t value;

	inplace_make(&t, 2, SHARED_FIRST);
	assert_int_equal(host_write(t.host, 'a'), 0);
	inplace_set(&t, 0, 1, PRIVATE);
	guest_set_slot(&t.g, 1, DATA, 0, NULL);
	munmap(t.host, 2 * PAGE);
	/* Bound again elsewhere, mapped again. */
	t.host = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	guest_set_gmem(&t.g, 2, DATA, 2 * PAGE, t.host, t.fd);
	expect_private(&t, 0, 'a', 'b');
	expect_shared(&t, 1, 0, 'c', 'd');
	guest_set_slot(&t.g, 2, DATA, 0, NULL);
	/* Conversion needs no slot. */
	inplace_set(&t, 0, 1, 0);
	inplace_set(&t, 1, 1, PRIVATE);
	assert_int_equal(host_read(t.host, &value), 0);
	assert_int_equal(value, 'b');
	assert_int_equal(host_read(t.host + PAGE, &value), SIGBUS);
	guest_set_gmem(&t.g, 1, DATA, 2 * PAGE, t.host, t.fd);
	expect_private(&t, 1, 'd', 'e');
	inplace_free(&t);
}

static void any_descriptor_will_do_also_after_the_vm_s_is_closed(void **state)
{
	struct inplace t;
	uint8_t value;
	int copy;

	inplace_make(&t, 2, SHARED_FIRST);
	copy = dup(t.fd);
	assert_int_equal(host_write(t.host, 'a'), 0);
	assert_int_equal(inplace_convert(copy, 0, PAGE, PRIVATE, NULL), 0);
	expect_private(&t, 0, 'a', 'b');
	close(t.fd);
	t.fd = copy;
	guest_free(&t.g);
	inplace_set(&t, 0, 1, 0);
	inplace_set(&t, 1, 1, PRIVATE);
	assert_int_equal(host_read(t.host, &value), 0);
	assert_int_equal(value, 'b');
	assert_int_equal(host_read(t.host + PAGE, &value), SIGBUS);
	assert_int_equal(fallocate(t.fd, PUNCH, 0, 2 * PAGE), 0);
	assert_int_equal(host_read(t.host, &value), 0);
	assert_int_equal(value, 0);
	munmap(t.host, 2 * PAGE);
	close(t.fd);
}

/* A shared page of such a slot is the program's memory, a private one the file's: two contents. */
static void a_file_that_cannot_be_mapped(void **state)
{
	struct inplace t;

	inplace_make(&t, 2, GUEST_MEMFD_FLAG_INIT_SHARED);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t.fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	expect_shared(&t, 0, 0, 'a', 'b');
	inplace_set(&t, 0, 1, PRIVATE);
	assert_int_equal(guest_exchange(&t.g, DATA, 'p'), 0);
	assert_int_equal(t.host[0], 'b');
	expect_shared(&t, 1, 0, 'c', 'd');
	inplace_set(&t, 0, 1, 0);
	expect_shared(&t, 0, 'b', 'c', 'd');
	inplace_set(&t, 0, 1, PRIVATE);
	assert_int_equal(guest_exchange(&t.g, DATA, 'q'), 'p');
	inplace_free(&t);
}

static void allocating_asks_for_no_state(void **state)
{
	struct inplace t;

	inplace_make(&t, 4, SHARED_FIRST);
	inplace_set(&t, 1, 2, PRIVATE);
	assert_int_equal(fallocate(t.fd, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE), 0);
	expect_private(&t, 1, 0, 'a');
	expect_shared(&t, 0, 0, 'a', 'b');
	inplace_free(&t);
}

/* ---- exits and prefaults ----------------------------------------------------------------------- */

static void without_a_slot_there_is_only_mmio(void **state)
{
	struct inplace t;

	inplace_make(&t, 1, PRIVATE_FIRST);
	expect_private(&t, 0, 0, 'a');
	guest_set_slot(&t.g, 1, DATA, 0, NULL);
	/* mov eax, [0x8000]; hlt */
	GUEST_CODE(&t.g, 0x66, 0xa1, 0x00, 0x80, HLT);
	assert_int_equal(guest_run(&t.g), 0);
	assert_int_equal(t.g.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(t.g.run->mmio.phys_addr, DATA);
	assert_int_equal(t.g.run->mmio.len, 4);
	assert_int_equal(t.g.run->mmio.is_write, 0);
	assert_int_equal(guest_run(&t.g), 0);
	assert_int_equal(t.g.run->exit_reason, KVM_EXIT_HLT);
	inplace_free(&t);
}

static void a_slot_whose_file_is_closed(void **state)
{
	struct inplace t;

	inplace_make(&t, 1, PRIVATE_FIRST);
	expect_private(&t, 0, 0, 'a');
	munmap(t.host, PAGE);
	close(t.fd);
	/* Shared, and nothing there to be shared. */
	GUEST_CODE(&t.g, LOAD_AL, HLT);
	assert_int_equal(guest_run(&t.g), -EFAULT);
	assert_int_equal(t.g.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	assert_int_equal(t.g.run->memory_fault.flags, 0);
	assert_int_equal(t.g.run->memory_fault.gpa, DATA);
	assert_int_equal(t.g.run->memory_fault.size, PAGE);
	guest_free(&t.g);
}

static void prefaults_follow_the_state(void **state)
{
	struct kvm_pre_fault_memory p = { .gpa = DATA, .size = 4 * PAGE };
	struct inplace t;

	inplace_make(&t, 4, SHARED_FIRST);
	inplace_set(&t, 1, 2, PRIVATE);
	assert_int_equal(ioctl(t.g.vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
	assert_int_equal(p.size, 0);
	inplace_set(&t, 0, 4, PRIVATE);
	p = (struct kvm_pre_fault_memory){ .gpa = DATA, .size = 4 * PAGE };
	assert_int_equal(ioctl(t.g.vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
	for (unsigned int i = 0; i < 4; i++)
		expect_private(&t, i, 0, 'a');
	guest_set_slot(&t.g, 1, DATA, 0, NULL);
	p = (struct kvm_pre_fault_memory){ .gpa = DATA, .size = PAGE };
	assert_int_equal(ioctl(t.g.vcpu, KVM_PRE_FAULT_MEMORY, &p), -1);
	assert_int_equal(errno, ENOENT);
	inplace_free(&t);
}

/* ---- system calls on private pages -------------------------------------------------------------- */

#define EXPECT_EFAULT(call)                      \
	do {                                     \
		errno = 0;                       \
		assert_int_equal((call), -1);    \
		assert_int_equal(errno, EFAULT); \
	} while (0)

static void system_calls_cannot_reach_a_private_page(void **state)
{
	uint8_t own[64] = { 0 };
	struct iovec here = { own, sizeof(own) }, there = { NULL, sizeof(own) };
	int ends[2], file = memfd_create("file", 0);
	struct inplace t;

	inplace_make(&t, 2, SHARED_FIRST);
	there.iov_base = t.host;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(file, "hello", 5), 5);
	assert_int_equal(host_write(t.host, 'a'), 0);
	inplace_set(&t, 0, 1, PRIVATE);
	EXPECT_EFAULT(pread(file, t.host, 5, 0));
	EXPECT_EFAULT(pwrite(file, t.host, 5, 0));
	EXPECT_EFAULT(preadv(file, &there, 1, 0));
	EXPECT_EFAULT(pwritev(file, &there, 1, 0));
	EXPECT_EFAULT(vmsplice(ends[1], &there, 1, 0));
	EXPECT_EFAULT(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EFAULT(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EFAULT(syscall(SYS_futex, t.host, FUTEX_WAKE, 1, NULL, NULL, 0));
	EXPECT_EFAULT(ioctl(t.g.vcpu, KVM_SET_REGS, t.host));
	EXPECT_EFAULT(ioctl(t.g.vcpu, KVM_GET_REGS, t.host));
	/* As far as the shared page goes. */
	there.iov_base = t.host + PAGE - 32;
	inplace_set(&t, 0, 1, 0);
	inplace_set(&t, 1, 1, PRIVATE);
	assert_int_equal(pwritev(file, &there, 1, 0), 32);
	assert_int_equal(t.host[0], 'a');
	assert_int_equal(pread(file, t.host, 5, 0), 5);
	close(ends[0]);
	close(ends[1]);
	close(file);
	inplace_free(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invalid_requests),
		cmocka_unit_test(requests_go_to_the_right_descriptor),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(a_vm_without_private_memory),
		cmocka_unit_test(what_is_so_already),
		cmocka_unit_test(several_slots_of_one_file_and_gaps),
		cmocka_unit_test(state_survives_slots_and_mappings),
		cmocka_unit_test(any_descriptor_will_do_also_after_the_vm_s_is_closed),
		cmocka_unit_test(a_file_that_cannot_be_mapped),
		cmocka_unit_test(allocating_asks_for_no_state),
		cmocka_unit_test(without_a_slot_there_is_only_mmio),
		cmocka_unit_test(a_slot_whose_file_is_closed),
		cmocka_unit_test(prefaults_follow_the_state),
		cmocka_unit_test(system_calls_cannot_reach_a_private_page),
	};

	inplace_need();
	v7 = argc > 1 && !strcmp(argv[1], "v7");
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
