/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a conversion does to a file's pages: who may touch them, what they hold, what refuses it, and what it
 * outlives. With these are the nine cases that the series' own test has, told in our words.
 */
#include "blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the cases of the series ---- */

static void a_file_that_begins_private(void **state)
{
	struct box b;

	box_make(&b, GUEST_MEMFD_FLAG_MMAP);
	private_block(&b, 0, 0, 'A');
	assert_int_equal(to_shared(&b, 0, 1), 0);
	shared_block(&b, 0, 'A', 'B', 'C');
	assert_int_equal(to_private(&b, 0, 1), 0);
	private_block(&b, 0, 'C', 'E');
	box_free(&b);
}

static void a_file_that_begins_shared(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	shared_block(&b, 0, 0, 'A', 'B');
	assert_int_equal(to_private(&b, 0, 1), 0);
	private_block(&b, 0, 'B', 'C');
	assert_int_equal(to_shared(&b, 0, 1), 0);
	shared_block(&b, 0, 'C', 'D', 'E');
	box_free(&b);
}

static uint64_t byte_of(unsigned int page, unsigned int n)
{
	return (page << 4) + n;
}

static void the_page_that_was_meant(void **state)
{
	struct box b;

	for (unsigned int test = PAGES; test-- > 0;) {
		box_make(&b, BOTH_FLAGS);
		for (unsigned int i = PAGES; i-- > 0;)
			shared_block(&b, i, 0, byte_of(i, 1), byte_of(i, 2));
		assert_int_equal(to_private(&b, test, 1), 0);
		for (unsigned int i = PAGES; i-- > 0;) {
			if (i == test)
				private_block(&b, i, byte_of(i, 2), byte_of(i, 3));
			else
				shared_block(&b, i, byte_of(i, 2), byte_of(i, 3), byte_of(i, 4));
		}
		assert_int_equal(to_shared(&b, test, 1), 0);
		for (unsigned int i = PAGES; i-- > 0;)
			expect_open(b.w.host, i, byte_of(i, i == test ? 3 : 4));
		box_free(&b);
	}
}

static void before_anything_is_allocated(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(to_private(&b, 0, 1), 0);
	private_block(&b, 0, 0, 'A');
	box_free(&b);
	box_make(&b, GUEST_MEMFD_FLAG_MMAP);
	assert_int_equal(to_shared(&b, 0, 1), 0);
	shared_block(&b, 0, 0, 'A', 'B');
	box_free(&b);
}

static void allocated_and_not_in_one_range(void **state)
{
	struct box b;

	for (unsigned int test = 0; test < PAGES; test++) {
		box_make(&b, BOTH_FLAGS);
		assert_int_equal(host_store(b.w.host + test * PAGE, 'A'), TOUCHED);
		assert_int_equal(host_store(b.w.host + 4 * PAGE, 'A'), TOUCHED);
		assert_int_equal(to_private(&b, 0, PAGES), 0);
		for (unsigned int i = 0; i < PAGES; i++)
			private_block(&b, i, i == test || i == 4 ? 'A' : 0, 'B' + i);
		for (unsigned int i = 0; i < PAGES; i++) {
			assert_int_equal(to_shared(&b, i, 1), 0);
			shared_block(&b, i, 'B' + i, 'C', 'D');
		}
		box_free(&b);
	}
}

static void a_punch_changes_no_state(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(host_store(b.w.host, 'A'), TOUCHED);
	assert_int_equal(guest_load(&b.g, 0), 'A');
	assert_int_equal(punch(b.w.gmem, 0, PAGE), 0);
	shared_block(&b, 0, 0, 'C', 'D');
	assert_int_equal(to_private(&b, 0, 1), 0);
	private_block(&b, 0, 'D', 'B');
	assert_int_equal(punch(b.w.gmem, 0, PAGE), 0);
	private_block(&b, 0, 0, 'E');
	assert_int_equal(to_shared(&b, 0, 1), 0);
	expect_open(b.w.host, 0, 'E');
	box_free(&b);
}

static void a_pinned_page_stays_shared(void **state)
{
	struct box b;
	uint64_t at;
	int p[2];

	for (unsigned int test = 0; test < PAGES; test++) {
		box_make(&b, BOTH_FLAGS);
		pin(p, b.w.host + test * PAGE, 1);
		for (unsigned int i = 0; i < PAGES; i++)
			shared_block(&b, i, 0, 'A', 'B');
		at = test * PAGE + 1;
		assert_int_equal(convert(b.w.gmem, 0, SIZE, true, &at), -EAGAIN);
		assert_int_equal(at, test * PAGE);
		for (unsigned int i = 0; i < PAGES; i++) {
			at = UNTOUCHED;
			assert_int_equal(convert(b.w.gmem, i * PAGE, PAGE, true, &at),
					 i == test ? -EAGAIN : 0);
			assert_int_equal(at, i == test ? i * PAGE : UNTOUCHED);
			if (i == test)
				shared_block(&b, i, 'B', 'B', 'B');
			else
				private_block(&b, i, 'B', 'C');
		}
		unpin(p);
		assert_int_equal(to_private(&b, 0, PAGES), 0);
		for (unsigned int i = 0; i < PAGES; i++)
			private_block(&b, i, i == test ? 'B' : 'C', 'D');
		box_free(&b);
	}
}

/* ---- pins, closer ---- */

static void expect_pinned(const struct box *b, unsigned int first, unsigned int nr,
			  unsigned int culprit)
{
	uint64_t at = UNTOUCHED;

	assert_int_equal(convert(b->w.gmem, first * PAGE, nr * PAGE, true, &at), -EAGAIN);
	assert_int_equal(at, culprit * PAGE);
	for (unsigned int i = first; i < first + nr; i++)
		expect_open(b->w.host, i, 0);
}

static void the_first_of_several_pins_is_told(void **state)
{
	struct box b;
	int p[2], q[2];

	box_make(&b, BOTH_FLAGS);
	pin(p, b.w.host + 5 * PAGE, 2);
	pin(q, b.w.host + 3 * PAGE, 1);
	expect_pinned(&b, 0, PAGES, 3);
	expect_pinned(&b, 2, 4, 3);
	expect_pinned(&b, 4, 4, 5);
	expect_pinned(&b, 6, 1, 6);
	unpin(q);
	expect_pinned(&b, 0, PAGES, 5);
	assert_int_equal(to_private(&b, 0, 5), 0);
	assert_int_equal(to_private(&b, 7, 1), 0);
	unpin(p);
	assert_int_equal(to_private(&b, 0, PAGES), 0);
	box_free(&b);
}

static void a_pin_refuses_nothing_else(void **state)
{
	struct box b;
	int p[2];

	box_make(&b, BOTH_FLAGS);
	pin(p, b.w.host + PAGE, 1);
	assert_int_equal(to_shared(&b, 0, PAGES), 0); /* is so already */
	assert_int_equal(to_private(&b, 0, 1), 0);
	assert_int_equal(to_shared(&b, 0, PAGES), 0); /* no look at references to shared */
	assert_int_equal(punch(b.w.gmem, 0, SIZE), 0);
	unpin(p);
	box_free(&b);
}

static void a_pipe_holds_a_page_until_it_is_drained(void **state)
{
	char buffer[PAGE];
	struct box b;
	int p[2];

	box_make(&b, BOTH_FLAGS);
	pin(p, b.w.host, 1);
	assert_int_equal(read(p[0], buffer, 100), 100);
	expect_pinned(&b, 0, 1, 0);
	assert_int_equal(read(p[0], buffer, PAGE), PAGE - 100);
	assert_int_equal(to_private(&b, 0, 1), 0);
	expect_shut(b.w.host, 0);
	unpin(p);
	box_free(&b);
}

static void a_page_goes_on_from_pipe_to_pipe(void **state)
{
	int p[2], q[2], null = open("/dev/null", O_WRONLY);
	struct box b;

	box_make(&b, BOTH_FLAGS);
	pin(p, b.w.host, 1);
	assert_int_equal(pipe(q), 0);
	assert_int_equal(tee(p[0], q[1], PAGE, 0), PAGE);
	unpin(p);
	expect_pinned(&b, 0, 1, 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(splice(q[0], NULL, p[1], NULL, PAGE, 0), PAGE);
	unpin(q);
	expect_pinned(&b, 0, 1, 0);
	assert_int_equal(splice(p[0], NULL, null, NULL, PAGE, 0), PAGE);
	assert_int_equal(to_private(&b, 0, 1), 0);
	unpin(p);
	close(null);
	box_free(&b);
}

static void a_child_pins_too(void **state)
{
	int p[2], status = -1, pid;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct iovec v = { b.w.host + 2 * PAGE, PAGE };

		_exit(vmsplice(p[1], &v, 1, 0) != (ssize_t)PAGE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_pinned(&b, 0, PAGES, 2);
	unpin(p);
	assert_int_equal(to_private(&b, 0, PAGES), 0);
	box_free(&b);
}

/* ---- contents and ranges ---- */

static void contents_stay_where_they_are(void **state)
{
	uint8_t pattern[PAGE];
	uint64_t seed = 7;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	for (unsigned int i = 0; i < PAGE; i++)
		pattern[i] = (uint8_t)rnd(&seed);
	memcpy(b.w.host + 3 * PAGE, pattern, PAGE);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(to_private(&b, i % 4, PAGES - i % 4), 0);
		guest_fetch(&b.g, b.g.look, 3 * PAGE, 0, PAGE_WORDS);
		assert_memory_equal(b.g.look, pattern, PAGE);
		assert_int_equal(to_shared(&b, i % 4, PAGES - i % 4), 0);
		assert_memory_equal(b.w.host + 3 * PAGE, pattern, PAGE);
	}
	box_free(&b);
}

static void any_mixture_becomes_one(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	for (unsigned int mix = 0; mix < 1u << PAGES; mix++) {
		for (unsigned int i = 0; i < PAGES; i++)
			assert_int_equal(convert(b.w.gmem, i * PAGE, PAGE, mix >> i & 1, NULL), 0);
		assert_int_equal(convert(b.w.gmem, 2 * PAGE, 4 * PAGE, mix & 1, NULL), 0);
		for (unsigned int i = 0; i < PAGES; i++) {
			bool is_private = i >= 2 && i < 6 ? mix & 1 : mix >> i & 1;

			if (is_private)
				expect_shut(b.w.host, i);
			else
				expect_open(b.w.host, i, 0);
		}
	}
	box_free(&b);
}

static void allocation_asks_for_no_state(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(host_store(b.w.host, 'A'), TOUCHED);
	assert_int_equal(to_private(&b, 0, 4), 0);
	assert_int_equal(fallocate(b.w.gmem, FALLOC_FL_KEEP_SIZE, 0, SIZE), 0);
	private_block(&b, 0, 'A', 'B');
	private_block(&b, 3, 0, 'B');
	shared_block(&b, 4, 0, 'C', 'D');
	assert_int_equal(ftruncate(b.w.gmem, SIZE / 2), -1);
	assert_int_equal(errno, EINVAL);
	private_block(&b, 3, 'B', 'C');
	box_free(&b);
}

/* ---- what the state outlives ---- */

static void slots_come_and_go(void **state)
{
	uint64_t value;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(to_private(&b, 0, 1), 0);
	private_block(&b, 0, 0, 'A');
	assert_int_equal(world_bind(&b.w, 1, GMEM_GPA, 0, NULL, -1, 0), 0);
	expect_shut(b.w.host, 0);
	/* Nobody's memory: MMIO, not a fault of memory. */
	assert_int_equal(guest_try_load(&b.g, 0, &value), 1);
	assert_int_equal(b.g.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(b.g.run->mmio.phys_addr, GMEM_GPA);
	assert_int_equal(b.g.run->mmio.len, 8);
	assert_int_equal(b.g.run->mmio.is_write, 0);
	guest_complete(&b.g);
	/* While no slot is there the state can change. */
	assert_int_equal(to_private(&b, 1, 1), 0);
	assert_int_equal(world_bind(&b.w, 1, GMEM_GPA + 16 * PAGE, SIZE, b.w.host, b.w.gmem, 0), 0);
	assert_int_equal(guest_load(&b.g, 16 * PAGE), 'A');
	guest_store(&b.g, 17 * PAGE, 'B');
	expect_shut(b.w.host, 0);
	expect_shut(b.w.host, 1);
	assert_int_equal(to_shared(&b, 0, PAGES), 0);
	expect_open(b.w.host, 0, 'A');
	expect_open(b.w.host, 1, 'B');
	box_free(&b);
}

static void two_slots_see_one_conversion(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(world_bind(&b.w, 1, GMEM_GPA, 0, NULL, -1, 0), 0);
	assert_int_equal(world_bind(&b.w, 1, GMEM_GPA, 4 * PAGE, b.w.host, b.w.gmem, 0), 0);
	assert_int_equal(world_bind(&b.w, 2, GMEM_GPA + 32 * PAGE, 4 * PAGE, b.w.host + 4 * PAGE,
				    b.w.gmem, 4 * PAGE),
			 0);
	guest_store(&b.g, 3 * PAGE, 'A');
	guest_store(&b.g, 32 * PAGE, 'B');
	assert_int_equal(to_private(&b, 2, 4), 0);
	assert_int_equal(guest_load(&b.g, 3 * PAGE), 'A');
	assert_int_equal(guest_load(&b.g, 32 * PAGE), 'B');
	expect_shut(b.w.host, 3);
	expect_shut(b.w.host, 4);
	assert_int_equal(punch(b.w.gmem, 2 * PAGE, 4 * PAGE), 0);
	assert_int_equal(guest_load(&b.g, 3 * PAGE), 0);
	assert_int_equal(guest_load(&b.g, 32 * PAGE), 0);
	expect_shut(b.w.host, 4);
	box_free(&b);
}

static void the_vm_s_descriptor_is_not_needed(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	close(b.g.fd);
	munmap(b.g.run, (size_t)ioctl(b.w.kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(b.w.vm);
	assert_int_equal(to_private(&b, 0, 4), 0);
	expect_shut(b.w.host, 3);
	expect_open(b.w.host, 4, 0);
	assert_int_equal(punch(b.w.gmem, 0, SIZE), 0);
	assert_int_equal(to_shared(&b, 0, 1), 0);
	expect_open(b.w.host, 0, 0);
	close(b.w.gmem);
	/* The mapping keeps the file. */
	expect_open(b.w.host, 0, 0);
	expect_shut(b.w.host, 1);
	munmap(b.w.host, SIZE);
	close(b.w.kvm);
}

/* ---- guests ---- */

/* The file is mappable: what is shared comes from it too, never from the slot's address. */
static void a_guest_has_one_memory(void **state)
{
	uint8_t *decoy =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct box b;

	box_make(&b, BOTH_FLAGS);
	memset(decoy, 0x77, SIZE);
	assert_int_equal(world_bind(&b.w, 1, GMEM_GPA, 0, NULL, -1, 0), 0);
	assert_int_equal(world_bind(&b.w, 1, GMEM_GPA, SIZE, decoy, b.w.gmem, 0), 0);
	shared_block(&b, 0, 0, 'A', 'B');
	assert_int_equal(to_private(&b, 0, 1), 0);
	private_block(&b, 0, 'B', 'C');
	assert_int_equal(decoy[0], 0x77);
	box_free(&b);
	munmap(decoy, SIZE);
}

static void prefaulting_takes_any_state(void **state)
{
	struct kvm_pre_fault_memory p = { .gpa = GMEM_GPA, .size = SIZE };
	struct box b;

	box_make(&b, BOTH_FLAGS);
	if (ioctl(b.w.vm, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_PRE_FAULT_MEMORY) <= 0) {
		box_free(&b);
		skip();
	}
	assert_int_equal(to_private(&b, 2, 3), 0);
	assert_int_equal(ioctl(b.g.fd, KVM_PRE_FAULT_MEMORY, &p), 0);
	private_block(&b, 2, 0, 'A');
	shared_block(&b, 1, 0, 'A', 'B');
	assert_int_equal(to_shared(&b, 2, 1), 0);
	shared_block(&b, 2, 'A', 'B', 'C');
	box_free(&b);
}

/* A string operation from a private page to a shared one, and across the border of both. */
static void a_guest_works_across_states(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	for (unsigned int i = 0; i < 2 * PAGE_WORDS; i++)
		assert_int_equal(host_store(b.w.host + i * 8, i), TOUCHED);
	assert_int_equal(to_private(&b, 1, 1), 0);
	guest_fetch(&b.g, b.g.look, PAGE / 2, 0, PAGE_WORDS);
	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		assert_int_equal(b.g.look[i], i + PAGE_WORDS / 2);
	guest_fill(&b.g, PAGE / 2, 0x99, PAGE_WORDS);
	expect_shut(b.w.host, 1);
	assert_int_equal(((uint64_t *)(void *)b.w.host)[PAGE_WORDS / 2], 0x99);
	assert_int_equal(((uint64_t *)(void *)b.w.host)[PAGE_WORDS / 2 - 1], PAGE_WORDS / 2 - 1);
	assert_int_equal(to_shared(&b, 1, 1), 0);
	assert_int_equal(((uint64_t *)(void *)b.w.host)[PAGE_WORDS + PAGE_WORDS / 2 - 1], 0x99);
	assert_int_equal(((uint64_t *)(void *)b.w.host)[PAGE_WORDS + PAGE_WORDS / 2],
			 PAGE_WORDS + PAGE_WORDS / 2);
	/* one access over the border: half private */
	assert_int_equal(to_private(&b, 1, 1), 0);
	guest_store(&b.g, PAGE - 4, 0x1122334455667788);
	assert_int_equal(guest_load(&b.g, PAGE - 4), 0x1122334455667788);
	assert_int_equal(*(uint32_t *)(void *)(b.w.host + PAGE - 4), 0x55667788);
	box_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_begins_private),
		cmocka_unit_test(a_file_that_begins_shared),
		cmocka_unit_test(the_page_that_was_meant),
		cmocka_unit_test(before_anything_is_allocated),
		cmocka_unit_test(allocated_and_not_in_one_range),
		cmocka_unit_test(a_punch_changes_no_state),
		cmocka_unit_test(a_pinned_page_stays_shared),
		cmocka_unit_test(the_first_of_several_pins_is_told),
		cmocka_unit_test(a_pin_refuses_nothing_else),
		cmocka_unit_test(a_pipe_holds_a_page_until_it_is_drained),
		cmocka_unit_test(a_page_goes_on_from_pipe_to_pipe),
		cmocka_unit_test(a_child_pins_too),
		cmocka_unit_test(contents_stay_where_they_are),
		cmocka_unit_test(any_mixture_becomes_one),
		cmocka_unit_test(allocation_asks_for_no_state),
		cmocka_unit_test(slots_come_and_go),
		cmocka_unit_test(two_slots_see_one_conversion),
		cmocka_unit_test(the_vm_s_descriptor_is_not_needed),
		cmocka_unit_test(a_guest_has_one_memory),
		cmocka_unit_test(prefaulting_takes_any_state),
		cmocka_unit_test(a_guest_works_across_states),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
