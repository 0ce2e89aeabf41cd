/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* L4, L5, L6, L10: what a vCPU left for, and what was done about it before it was entered again. */
#include "records.h"

#define TO_PRIVATE KVM_MAP_GPA_RANGE_ENCRYPTED
#define SIZE_2M KVM_MAP_GPA_RANGE_PAGE_SZ_2M
#define HERE 77

/* ---- L4 ------------------------------------------------------------------------------------------------ */

static void a_guest_that_was_not_told_of_a_failure(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 4 * PAGE, true, -ENOMEM, HERE);
	enter(1, 0);
	assert_only(4, HERE, 1, 4 * PAGE);
}

static void a_guest_that_was_told_of_a_failure(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 4 * PAGE, true, -ENOMEM, HERE);
	enter_refusing(1, 0);
	assert_silent();
}

static void a_fault_whose_conversion_failed(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, 5);
	convert_fails(1, RAM, PAGE, true, -ENOMEM, HERE);
	enter(1, 0);
	assert_only(4, HERE, 1, PAGE);
}

/* A range that wraps is about nothing; it was meant for what the guest asked for. */
static void a_call_that_makes_no_sense(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 0, true, -EINVAL, HERE);
	enter(1, 0);
	assert_only(4, HERE, 1, 4 * PAGE);
}

static void one_that_fails_and_then_works(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 4 * PAGE, true, -EAGAIN, HERE);
	convert(1, RAM, 4 * PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

static void one_that_is_made_up_for_in_pieces_of_any_order(void **state)
{
	static const uint64_t order[] = { 1, 0, 2, 3 };

	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 4 * PAGE, true, -EAGAIN, HERE);
	for (int i = 0; i < 4; i++)
		convert(1, RAM + order[i] * PAGE, PAGE, true, 78);
	enter(1, 0);
	assert_silent();
}

/* Piece by piece, and the last failure is not all that is missing. */
static void one_that_is_made_up_for_in_part(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 4 * PAGE, true, -EAGAIN, HERE);
	convert(1, RAM, PAGE, true, HERE);
	convert_fails(1, RAM + PAGE, PAGE, true, -EAGAIN, HERE);
	enter(1, 0);
	assert_only(4, HERE, 1, 3 * PAGE);
}

/* An old kernel has the old call alone: the new one is tried first. */
static void a_request_that_is_not_there_and_the_one_that_is(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, 5);
	convert_file_fails(1, 0, PAGE, true, -ENOTTY, 76);
	convert(1, RAM, PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

static void made_up_for_by_another_thread(void **state)
{
	make_vm();
	make_vcpu(1, 1, 4);
	enter(1, 0);
	leave_call(1, 0, RAM, 2 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 2 * PAGE, true, -EAGAIN, HERE);
	by_thread(2);
	enter(1, 1);
	leave(1, 1, KVM_EXIT_IO);
	convert(1, RAM, 2 * PAGE, true, 78);
	enter(1, 1);
	by_thread(1000);
	enter(1, 0);
	assert_silent();
}

/* What fails elsewhere is nothing that this guest waits for. */
static void a_failure_of_other_pages(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, 5);
	convert(1, RAM, PAGE, true, HERE);
	convert_fails(1, RAM + MIB, PAGE, true, -EAGAIN, HERE);
	enter(1, 0);
	assert_silent();
}

/* A fault's vCPU that only is to come back for a signal has not been resumed. */
static void a_vcpu_that_is_stopped_after_a_failure(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, 5);
	convert_fails(1, RAM, PAGE, true, -ENOMEM, HERE);
	enter_at_once_out(1, 0);
	leave(1, 0, KVM_EXIT_INTR);
	assert_silent();
}

static void a_failure_in_another_vm(void **state)
{
	const struct slot ram = { 0, RAM, RAM_SIZE, HVA + GIB, 0, 2 };

	make_vm();
	make_file(2, 2, 0, 1);
	set_slot(2, &ram, 2);
	make_vcpu(2, 0, 3);
	enter(1, 0);
	leave_fault(1, 0, RAM, true, 5);
	convert(1, RAM, PAGE, true, HERE);
	by_thread(2);
	convert_fails(2, RAM, PAGE, true, -ENOMEM, HERE);
	by_thread(1000);
	enter(1, 0);
	assert_silent();
}

/* ---- L5 ------------------------------------------------------------------------------------------------- */

static void make_second_slot(bool has_file)
{
	const struct slot second = { 1, RAM + RAM_SIZE, RAM_SIZE, HVA + GIB, 0, has_file ? 2 : 0 };

	make_vm();
	if (has_file)
		make_file(1, 2, 0, 1);
	set_slot(1, &second, 2);
}

static void the_second_slot_is_forgotten(void **state)
{
	make_second_slot(true);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 4 * PAGE, true, HERE);
	enter(1, 0);
	assert_only(5, HERE, 1, 4 * PAGE);
}

static void the_first_slot_is_forgotten(void **state)
{
	make_second_slot(true);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE, 4 * PAGE, true, HERE);
	enter(1, 0);
	assert_only(5, HERE, 1, 4 * PAGE);
}

static void a_range_that_was_cut_at_the_slots(void **state)
{
	make_second_slot(true);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 4 * PAGE, true, HERE);
	convert(1, RAM + RAM_SIZE, 4 * PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

static void one_call_for_both_slots(void **state)
{
	make_second_slot(true);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* Who keeps books of what is private does not convert what is so already. */
static void a_part_that_needs_nothing(void **state)
{
	make_second_slot(true);
	convert(1, RAM + RAM_SIZE, 4 * PAGE, true, 70);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 4 * PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* What has no guest_memfd is shared, whatever one does. */
static void to_shared_where_there_is_nothing_private(void **state)
{
	make_second_slot(false);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 4 * PAGE, true, 70);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, 0);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 4 * PAGE, false, HERE);
	enter(1, 0);
	assert_silent();
}

/* In place a file without GUEST_MEMFD_FLAG_INIT_SHARED begins private. */
static void to_shared_of_two_files_that_begin_private(void **state)
{
	const struct slot first = { 0, RAM, RAM_SIZE, HVA, 0, 1 };
	const struct slot second = { 1, RAM + RAM_SIZE, RAM_SIZE, HVA + GIB, 0, 2 };

	make_file(1, 1, GMEM_FILE_IN_PLACE, 1);
	make_file(1, 2, GMEM_FILE_IN_PLACE, 1);
	set_slot(1, &first, 2);
	set_slot(1, &second, 2);
	make_vcpu(1, 0, 3);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, 0);
	convert_file(1, RAM_SIZE - 4 * PAGE, 4 * PAGE, false, HERE);
	enter(1, 0);
	assert_only(5, HERE, 1, 4 * PAGE);
}

static void a_guest_that_was_told_how_far_it_went(void **state)
{
	make_second_slot(true);
	enter(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE - 4 * PAGE, 8 * PAGE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE - 4 * PAGE, 4 * PAGE, true, HERE);
	enter_refusing(1, 0);
	assert_silent();
}

/* ---- L6 -------------------------------------------------------------------------------------------------- */

static void a_large_page_in_two_halves(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 2 * MIB, TO_PRIVATE | SIZE_2M);
	convert(1, RAM, MIB, true, HERE);
	convert(1, RAM + MIB, MIB, true, HERE);
	enter(1, 0);
	assert_only(6, HERE, 1, 2 * MIB);
}

static void large_pages_one_by_one(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * MIB, TO_PRIVATE | SIZE_2M);
	convert(1, RAM, 2 * MIB, true, HERE);
	convert(1, RAM + 2 * MIB, 2 * MIB, true, HERE);
	enter(1, 0);
	assert_silent();
}

static void a_small_range_in_pieces(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert(1, RAM, 2 * PAGE, true, HERE);
	convert(1, RAM + 2 * PAGE, 2 * PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* A cut where a slot ends cannot be avoided. */
static void a_large_page_across_slots(void **state)
{
	const struct slot first = { 0, RAM, MIB, HVA, 0, 1 };
	const struct slot second = { 1, RAM + MIB, MIB, HVA + GIB, MIB, 1 };

	make_vm();
	set_slot(1, &first, 2);
	set_slot(1, &second, 2);
	enter(1, 0);
	leave_call(1, 0, RAM, 2 * MIB, TO_PRIVATE | SIZE_2M);
	convert(1, RAM, MIB, true, HERE);
	convert(1, RAM + MIB, MIB, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* More than was asked for, to the ends of large pages, cuts nothing. */
static void more_than_was_asked_for(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM + 2 * MIB, 2 * MIB, TO_PRIVATE | SIZE_2M);
	convert(1, RAM, RAM_SIZE, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* Up to the page that somebody holds, then the rest: as error_offset wants it. */
static void a_cut_where_a_page_was_held(void **state)
{
	make_vm_in_place();
	enter(1, 0);
	leave_call(1, 0, RAM, 2 * MIB, TO_PRIVATE | SIZE_2M);
	convert_file_fails(1, 0, 2 * MIB, true, -EAGAIN, HERE);
	convert_file(1, 0, MIB, true, 78);
	convert_file(1, MIB, MIB, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* ---- L10 -------------------------------------------------------------------------------------------------- */

static void a_fault_that_nobody_looked_at(void **state)
{
	make_vm();
	for (int i = 0; i < 4; i++) {
		enter(1, 0);
		leave_fault(1, 0, RAM, true, HERE);
	}
	assert_only(10, HERE, 3, 3 * PAGE);
}

static void a_fault_that_was_answered(void **state)
{
	make_vm();
	for (int i = 0; i < 4; i++) {
		enter(1, 0);
		leave_fault(1, 0, RAM, i % 2 == 0, HERE);
		convert(1, RAM, PAGE, i % 2 == 0, 78);
	}
	enter(1, 0);
	assert_silent();
}

/* Entered again for another reason than the page, and only then looked at. */
static void a_fault_that_is_answered_after_a_signal(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	enter_at_once_out(1, 0);
	leave(1, 0, KVM_EXIT_INTR);
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	convert(1, RAM, PAGE, true, 78);
	enter(1, 0);
	assert_silent();
}

static void faults_of_pages_that_follow_each_other(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 4; i++) {
		enter(1, 0);
		leave_fault(1, 0, RAM + i * PAGE, true, HERE);
	}
	assert_silent();
}

/* Two vCPUs want the same page, and one of them has it converted for both. */
static void a_fault_that_another_vcpu_answered(void **state)
{
	make_vm();
	make_vcpu(1, 1, 4);
	enter(1, 0);
	by_thread(2);
	enter(1, 1);
	leave_fault(1, 1, RAM, true, HERE);
	by_thread(1000);
	leave_fault(1, 0, RAM, true, HERE);
	convert(1, RAM, PAGE, true, 78);
	enter(1, 0);
	by_thread(2);
	enter(1, 1);
	leave_fault(1, 1, RAM, true, HERE);
	convert(1, RAM, PAGE, true, 78);
	enter(1, 1);
	assert_silent();
}

/* What was converted while the vCPU was on its way out does not bring it back. */
static void a_fault_that_was_over_when_it_was_told(void **state)
{
	make_vm();
	enter(1, 0);
	by_thread(2);
	convert(1, RAM, PAGE, true, 78);
	by_thread(1000);
	leave_fault(1, 0, RAM, true, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	assert_silent();
}

/* It went on, and came back to the page for another reason. */
static void a_fault_that_comes_again_later(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	convert(1, RAM, PAGE, true, 78);
	enter(1, 0);
	assert_silent();
}

/* The page was given another memory: the slot was. */
static void a_fault_that_a_new_slot_answers(void **state)
{
	const struct slot ram = { 0, RAM, RAM_SIZE, HVA, 0, 1 };

	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	delete_slot(1, 0);
	set_slot(1, &ram, 2);
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	convert(1, RAM, PAGE, true, 78);
	enter(1, 0);
	assert_silent();
}

static void nothing_is_judged_of_what_was_lost(void **state)
{
	make_vm();
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, TO_PRIVATE);
	convert_fails(1, RAM, 4 * PAGE, true, -EAGAIN, HERE);
	records_lost(10);
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	records_lost(10);
	enter(1, 0);
	leave_fault(1, 0, RAM, true, HERE);
	assert_silent();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_that_was_not_told_of_a_failure),
		TEST(a_guest_that_was_told_of_a_failure),
		TEST(a_fault_whose_conversion_failed),
		TEST(a_call_that_makes_no_sense),
		TEST(one_that_fails_and_then_works),
		TEST(one_that_is_made_up_for_in_pieces_of_any_order),
		TEST(one_that_is_made_up_for_in_part),
		TEST(a_request_that_is_not_there_and_the_one_that_is),
		TEST(made_up_for_by_another_thread),
		TEST(a_failure_of_other_pages),
		TEST(a_vcpu_that_is_stopped_after_a_failure),
		TEST(a_failure_in_another_vm),
		TEST(the_second_slot_is_forgotten),
		TEST(the_first_slot_is_forgotten),
		TEST(a_range_that_was_cut_at_the_slots),
		TEST(one_call_for_both_slots),
		TEST(a_part_that_needs_nothing),
		TEST(to_shared_where_there_is_nothing_private),
		TEST(to_shared_of_two_files_that_begin_private),
		TEST(a_guest_that_was_told_how_far_it_went),
		TEST(a_large_page_in_two_halves),
		TEST(large_pages_one_by_one),
		TEST(a_small_range_in_pieces),
		TEST(a_large_page_across_slots),
		TEST(more_than_was_asked_for),
		TEST(a_cut_where_a_page_was_held),
		TEST(a_fault_that_nobody_looked_at),
		TEST(a_fault_that_was_answered),
		TEST(a_fault_that_is_answered_after_a_signal),
		TEST(faults_of_pages_that_follow_each_other),
		TEST(a_fault_that_another_vcpu_answered),
		TEST(a_fault_that_was_over_when_it_was_told),
		TEST(a_fault_that_comes_again_later),
		TEST(a_fault_that_a_new_slot_answers),
		TEST(nothing_is_judged_of_what_was_lost),
	};

	return cmocka_run_group_tests_name("lint of exits", tests, NULL, NULL);
}
