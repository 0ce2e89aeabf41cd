/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* L1, L2, L3, and L5 of what was discarded: memory on the side of a page that is not looked at. */
#include "records.h"

#define HERE 77
#define NOW AT_ENTRY
#define TO_PRIVATE KVM_MAP_GPA_RANGE_ENCRYPTED

/* A guest that runs, and stands at a call for pages at gpa. */
static void begin(uint64_t gpa, uint64_t size, bool is_private)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, gpa, size, is_private ? TO_PRIVATE : 0);
}

/* ---- L3 ------------------------------------------------------------------------------------------------ */

static void nobody_let_go(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

static void nobody_punched(void **state)
{
	begin(RAM, 4 * PAGE, false);
	convert(1, RAM, 4 * PAGE, false, HERE);
	left(1, RAM, 4 * PAGE, false, NOW);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* What was let go has no memory, and gmem tells of none. */
static void somebody_let_go(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	discard(HVA, 4 * PAGE, 78);
	enter(1, 0);
	assert_silent();
}

/* The exit is completed first, without the guest: what comes then still belongs to the conversion. */
static void let_go_after_an_entry_that_was_none(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	enter_at_once_out(1, 0);
	leave(1, 0, KVM_EXIT_INTR);
	discard(HVA, 2 * PAGE, 78);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(2, 78, 1, 4 * PAGE);
}

/* The other order, with the same in between. */
static void let_go_before_an_entry_that_was_none(void **state)
{
	begin(RAM, 4 * PAGE, true);
	discard(HVA, 2 * PAGE, 78);
	enter_at_once_out(1, 0);
	leave(1, 0, KVM_EXIT_INTR);
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(2, 78, 1, 4 * PAGE);
}

/* At the end somebody may still be about to. */
static void nothing_is_settled_by_an_entry_that_was_none(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	enter_at_once_out(1, 0);
	leave(1, 0, KVM_EXIT_INTR);
	left(1, RAM, 4 * PAGE, true, AT_END);
	assert_silent();
}

static void it_is_told_once(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	left(1, RAM, 4 * PAGE, true, AT_END);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* The hole is of pages elsewhere. */
static void another_range_was_let_go(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	discard(HVA + MIB, 4 * PAGE, 78);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* The right range, of the wrong memory. */
static void the_wrong_side_was_let_go(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	punch(1, 0, 4 * PAGE, 78);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* What happened before the guest asked is no answer to it. */
static void long_ago_somebody_let_go(void **state)
{
	make_vm();
	discard(HVA, 4 * PAGE, 78);
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* One thread converts, another lets go. A vCPU of a third enters between, and gmem does not look yet. */
static void another_thread_lets_go_in_time(void **state)
{
	make_vm();
	make_vcpu(1, 1, 4);
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	by_thread(2);
	convert(1, RAM, 4 * PAGE, true, HERE);
	by_thread(3);
	enter(1, 1);
	leave(1, 1, KVM_EXIT_IO);
	by_thread(4);
	punch_memfd(0, 4 * PAGE, 78);
	by_thread(1000);
	enter(1, 0);
	assert_silent();
}

/* gmem looked before a third thread was done: then what the guest does with it is not known either. */
static void what_changed_since_is_judged_by_the_last_conversion(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	convert(1, RAM, 4 * PAGE, false, HERE);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_silent();
}

static void what_is_left_in_a_vm_that_never_ran(void **state)
{
	make_vm();
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, AT_END);
	left(1, RAM + MIB, PAGE, false, AT_END);
	assert_silent();
}

/* ---- L1 ------------------------------------------------------------------------------------------------- */

static void all_is_allocated(void **state)
{
	make_vm();
	convert(1, RAM, MIB, true, 70);
	allocate(1, 0, RAM_SIZE, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	close_file(1, 1);
	assert_only(1, HERE, 1, RAM_SIZE - MIB);
}

static void what_is_private_is_allocated(void **state)
{
	make_vm();
	convert(1, RAM, MIB, true, 70);
	allocate(1, 0, MIB, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	close_file(1, 1);
	assert_silent();
}

static void allocated_and_punched_when_it_became_shared(void **state)
{
	make_vm();
	convert(1, RAM, MIB, true, 70);
	allocate(1, 0, MIB, HERE);
	enter(1, 0);
	leave_call(1, 0, RAM, MIB, 0);
	convert(1, RAM, MIB, false, 70);
	punch(1, 0, MIB, 71);
	enter(1, 0);
	assert_silent();
}

static void punched_too_early(void **state)
{
	begin(RAM, 4 * PAGE, false);
	punch(1, 0, 4 * PAGE, HERE);
	convert(1, RAM, 4 * PAGE, false, 78);
	left(1, RAM, 4 * PAGE, false, NOW);
	enter(1, 0);
	assert_only(1, HERE, 1, 4 * PAGE);
}

/* The allocation before the last closing of another file is none of its. */
static void a_file_ends_and_another_goes_on(void **state)
{
	const struct slot more = { 1, RAM + RAM_SIZE, RAM_SIZE, HVA + GIB, 0, 2 };

	make_vm();
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
	make_file(1, 2, 0, 1);
	set_slot(1, &more, 2);
	allocate(2, 0, RAM_SIZE, HERE);
	close_file(1, 1);
	convert(1, RAM + RAM_SIZE, RAM_SIZE, true, 70);
	enter(1, 0);
	assert_silent();
}

/* The pages are those of another file now. */
static void a_file_is_taken_out_and_another_put_in(void **state)
{
	const struct slot next = { 1, RAM, RAM_SIZE, HVA, 0, 2 };

	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	allocate(1, 0, RAM_SIZE, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
	delete_slot(1, 0);
	close_file(1, 1);
	make_file(1, 2, 0, 1);
	set_slot(1, &next, 2);
	convert(1, RAM, RAM_SIZE, false, 71);
	enter(1, 0);
	assert_silent();
}

/* The one that is out is kept, for later. */
static void a_file_is_taken_out_and_kept(void **state)
{
	const struct slot next = { 1, RAM, RAM_SIZE, HVA, 0, 2 };

	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	allocate(1, 0, RAM_SIZE, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
	delete_slot(1, 0);
	make_file(1, 2, 0, 1);
	set_slot(1, &next, 2);
	convert(1, RAM, RAM_SIZE, false, 71);
	enter(1, 0);
	assert_silent();
}

/* A guest_memfd that the program maps is the only memory there is. */
static void a_mapped_file_may_be_allocated(void **state)
{
	make_vm_in_place();
	allocate(1, 0, RAM_SIZE, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	assert_silent();
}

static void the_guest_or_a_stray_write_brought_it_back(void **state)
{
	begin(RAM, 4 * PAGE, false);
	convert(1, RAM, 4 * PAGE, false, HERE);
	punch(1, 0, 4 * PAGE, 78);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	left(1, RAM, PAGE, false, AT_END);
	assert_only(1, HERE, 1, PAGE);
}

/* Nobody ever converted it: the slot began shared, and there is something in its guest_memfd. */
static void what_no_call_explains_is_the_slots(void **state)
{
	make_vm();
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	left(1, RAM, PAGE, false, AT_END);
	assert_only(1, 2, 1, PAGE);
}

/* ---- L2 -------------------------------------------------------------------------------------------------- */

static void advice_that_frees_nothing(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, 78);
	discard(HVA, 4 * PAGE, HERE);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(2, HERE, 1, 4 * PAGE);
}

static void the_program_wrote_to_it_since(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	punch_memfd(0, 4 * PAGE, 78);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	left(1, RAM, PAGE, true, AT_END);
	assert_only(2, HERE, 1, PAGE);
}

/* The program ends between two calls that belong together. */
static void the_end_comes_before_the_discard(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, AT_END);
	assert_silent();
}

/* ---- L5 -------------------------------------------------------------------------------------------------- */

static void make_two_slots(void)
{
	const struct slot second = { 1, RAM + RAM_SIZE, RAM_SIZE, HVA + GIB, 0, 2 };

	make_vm();
	make_file(1, 2, 0, 1);
	set_slot(1, &second, 2);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
}

static void a_discard_that_ends_with_the_slot(void **state)
{
	make_two_slots();
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, true, HERE);
	discard(HVA + RAM_SIZE - 4 * PAGE, 4 * PAGE, 78);
	left(1, RAM + RAM_SIZE, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(5, HERE, 1, 4 * PAGE);
}

static void a_discard_in_each_slot(void **state)
{
	make_two_slots();
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, true, HERE);
	discard(HVA + RAM_SIZE - 4 * PAGE, 4 * PAGE, 78);
	discard(HVA + GIB, 4 * PAGE, 78);
	enter(1, 0);
	assert_silent();
}

/* ---- who is who ------------------------------------------------------------------------------------------ */

static void each_vm_has_its_own_pages(void **state)
{
	const struct slot ram = { 0, RAM, RAM_SIZE, HVA + GIB, 0, 2 };

	make_vm();
	make_file(2, 2, 0, 1);
	set_slot(2, &ram, 2);
	make_vcpu(2, 0, 3);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
	convert(1, RAM, 4 * PAGE, true, HERE);
	convert(2, RAM, 4 * PAGE, true, 79);
	discard(HVA + GIB, 4 * PAGE, 78);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	enter(2, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

static void a_process_is_told_apart_from_its_parent(void **state)
{
	begin(RAM, 4 * PAGE, true);
	convert(1, RAM, 4 * PAGE, true, HERE);
	process_is(1, true);
	by_process(1);
	discard(HVA, 4 * PAGE, 78);
	by_process(0);
	left(1, RAM, 4 * PAGE, true, NOW);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

static void a_vm_has_few_of_what_it_makes_many_times(void **state)
{
	for (uint16_t n = 1; n <= 2000; n++) {
		const struct slot ram = { 0, RAM, RAM_SIZE, HVA, 0, n };

		make_file(n, n, 0, 1);
		set_slot(n, &ram, 2);
		make_vcpu(n, 0, 3);
		enter(n, 0);
		leave_call(n, 0, RAM, PAGE, TO_PRIVATE);
		convert(n, RAM, PAGE, true, HERE);
		left(n, RAM, PAGE, true, NOW);
		enter(n, 0);
		close_vcpu(n, 0);
		close_file(n, n);
		close_vm(n);
		vm_gone(n);
	}
	assert_only(3, HERE, 2000, 2000 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_let_go),
		TEST(nobody_punched),
		TEST(somebody_let_go),
		TEST(let_go_after_an_entry_that_was_none),
		TEST(let_go_before_an_entry_that_was_none),
		TEST(nothing_is_settled_by_an_entry_that_was_none),
		TEST(it_is_told_once),
		TEST(another_range_was_let_go),
		TEST(the_wrong_side_was_let_go),
		TEST(long_ago_somebody_let_go),
		TEST(another_thread_lets_go_in_time),
		TEST(what_changed_since_is_judged_by_the_last_conversion),
		TEST(what_is_left_in_a_vm_that_never_ran),
		TEST(all_is_allocated),
		TEST(what_is_private_is_allocated),
		TEST(allocated_and_punched_when_it_became_shared),
		TEST(punched_too_early),
		TEST(a_file_ends_and_another_goes_on),
		TEST(a_file_is_taken_out_and_another_put_in),
		TEST(a_file_is_taken_out_and_kept),
		TEST(a_mapped_file_may_be_allocated),
		TEST(the_guest_or_a_stray_write_brought_it_back),
		TEST(what_no_call_explains_is_the_slots),
		TEST(advice_that_frees_nothing),
		TEST(the_program_wrote_to_it_since),
		TEST(the_end_comes_before_the_discard),
		TEST(a_discard_that_ends_with_the_slot),
		TEST(a_discard_in_each_slot),
		TEST(each_vm_has_its_own_pages),
		TEST(a_process_is_told_apart_from_its_parent),
		TEST(a_vm_has_few_of_what_it_makes_many_times),
	};

	return cmocka_run_group_tests_name("lint of memory", tests, NULL, NULL);
}
