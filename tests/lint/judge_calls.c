/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* L7, L8, L9: descriptors, and calls that follow each other. */
#include "records.h"

#define HERE 77

/* ---- L7 ------------------------------------------------------------------------------------------------ */

static void a_file_that_outlives_its_vm(void **state)
{
	make_vm();
	enter(1, 0);
	close_vcpu(1, 0);
	close_vm(1);
	assert_only(7, 1, 1, 0);
}

static void a_vcpu_that_outlives_its_vm(void **state)
{
	make_vm();
	close_file(1, 1);
	close_vm(1);
	assert_only(7, 3, 1, 0);
}

static void all_are_closed_the_vm_first(void **state)
{
	make_vm();
	close_vm(1);
	close_vcpu(1, 0);
	close_file(1, 1);
	assert_silent();
}

/* Who ends without closing anything leaves that to the kernel, and leaks nothing. */
static void none_is_closed(void **state)
{
	make_vm();
	enter(1, 0);
	assert_silent();
}

/* A descriptor may be there many times: gmem tells when the last one is closed, and not before. */
static void a_copy_of_a_descriptor_that_stays(void **state)
{
	make_vm();
	close_vcpu(1, 0);
	close_vm(1);
	/* close(dup(file)): nothing is told of it */
	assert_only(7, 1, 1, 0);
}

static void a_file_of_another_vm(void **state)
{
	make_vm();
	make_file(2, 2, 0, HERE);
	make_vcpu(2, 0, HERE);
	close_vcpu(1, 0);
	close_file(1, 1);
	close_vm(1);
	assert_silent();
}

static void two_vms_and_one_leaks(void **state)
{
	make_vm();
	make_file(2, 2, 0, HERE);
	close_vcpu(1, 0);
	close_file(1, 1);
	close_vm(1);
	close_vm(2);
	assert_only(7, HERE, 1, 0);
}

/* A child has the same descriptors, and numbers of its own; that it ends closes nothing of the parent's. */
static void a_child_that_was_forked(void **state)
{
	make_vm();
	process_is(1, true);
	by_process(1);
	make_file(1, 1, 0, HERE);
	close_vm(1);
	close_file(1, 1);
	by_process(0);
	close_vcpu(1, 0);
	close_file(1, 1);
	close_vm(1);
	assert_silent();
}

static void a_child_keeps_what_the_parent_closed(void **state)
{
	make_vm();
	process_is(1, true);
	close_vcpu(1, 0);
	close_file(1, 1);
	close_vm(1);
	by_process(1);
	make_vcpu(1, 0, HERE);
	assert_silent();
}

static void a_vm_that_is_gone_had_nothing_left(void **state)
{
	make_vm();
	close_vm(1);
	vm_gone(1);
	assert_silent();
}

static void the_closing_may_have_been_lost(void **state)
{
	make_vm();
	records_lost(1);
	close_vm(1);
	assert_silent();
}

/* ---- L8 ------------------------------------------------------------------------------------------------- */

static void loop(int nr, uint64_t step)
{
	for (int i = 0; i < nr; i++)
		convert(1, RAM + MIB + (uint64_t)i * step, PAGE, true, HERE);
}

static void pages_that_follow_each_other(void **state)
{
	make_vm();
	loop(16, PAGE);
	enter(1, 0);
	assert_only(8, HERE, 1, 16 * PAGE);
}

static void downwards_too(void **state)
{
	make_vm();
	loop(16, -PAGE);
	assert_only(8, HERE, 1, 16 * PAGE);
}

static void eight_are_a_loop(void **state)
{
	make_vm();
	loop(8, PAGE);
	enter(1, 0);
	assert_only(8, HERE, 1, 8 * PAGE);
}

static void seven_are_none(void **state)
{
	make_vm();
	loop(7, PAGE);
	enter(1, 0);
	loop(7, PAGE);
	assert_silent();
}

/* The guest asks page by page: each call is an answer. */
static void pages_with_entries_between(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++) {
		enter(1, 0);
		leave_call(1, 0, RAM + i * PAGE, PAGE, KVM_MAP_GPA_RANGE_ENCRYPTED);
		convert(1, RAM + i * PAGE, PAGE, true, HERE);
	}
	enter(1, 0);
	assert_silent();
}

/* It asks by a port. */
static void pages_with_other_exits_between(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++) {
		enter(1, 0);
		leave(1, 0, KVM_EXIT_IO);
		convert(1, RAM + i * PAGE, PAGE, true, HERE);
	}
	enter(1, 0);
	assert_silent();
}

/* The same when another thread converts, and never enters. */
static void a_thread_that_converts_for_a_guest(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++) {
		enter(1, 0);
		leave_fault(1, 0, RAM + i * PAGE, true, 5);
		by_thread(2);
		convert(1, RAM + i * PAGE, PAGE, true, HERE);
		by_thread(1000);
	}
	enter(1, 0);
	assert_silent();
}

static void pages_that_do_not_follow_each_other(void **state)
{
	make_vm();
	loop(32, 2 * PAGE);
	assert_silent();
}

static void pages_of_changing_kinds(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++)
		convert(1, RAM + i * PAGE, PAGE, i % 2, HERE);
	assert_silent();
}

static void larger_pieces(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++)
		convert(1, RAM + 2 * i * PAGE, 2 * PAGE, true, HERE);
	assert_silent();
}

/* Four threads, each with pages of its own, at the same time. */
static void threads_do_not_make_a_loop_together(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++) {
		by_thread(2 + (uint32_t)(i % 8));
		convert(1, RAM + i * PAGE, PAGE, true, HERE);
	}
	assert_silent();
}

static void two_vms_do_not_make_a_loop_together(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++)
		convert((uint16_t)(1 + i % 2), RAM + i * PAGE, PAGE, true, HERE);
	assert_silent();
}

/* To find the page that is held one has to ask page by page. */
static void a_loop_after_a_refusal(void **state)
{
	make_vm_in_place();
	convert_file_fails(1, 0, 32 * PAGE, true, -EAGAIN, 76);
	for (uint64_t i = 0; i < 32; i++)
		convert_file(1, i * PAGE, PAGE, true, HERE);
	enter(1, 0);
	assert_silent();
}

static void in_place_too(void **state)
{
	make_vm_in_place();
	for (uint64_t i = 0; i < 32; i++)
		convert_file(1, i * PAGE, PAGE, true, HERE);
	assert_only(8, HERE, 1, 32 * PAGE);
}

/* ---- L9 --------------------------------------------------------------------------------------------------- */

static void try_again(int nr, uint64_t wait)
{
	for (int i = 0; i < nr; i++) {
		convert_file_fails(1, 0, 16 * PAGE, true, -EAGAIN, HERE);
		time_passes(wait);
	}
}

static void again_and_again(void **state)
{
	make_vm_in_place();
	try_again(100, US);
	assert_only(9, HERE, 1, 0);
}

static void eight_times_are_hot(void **state)
{
	make_vm_in_place();
	try_again(8, US);
	assert_only(9, HERE, 1, 0);
}

static void seven_times_are_not(void **state)
{
	make_vm_in_place();
	try_again(7, US);
	convert_file(1, 0, 16 * PAGE, true, HERE);
	try_again(7, US);
	assert_silent();
}

static void who_waits_may_try_for_ever(void **state)
{
	make_vm_in_place();
	try_again(100, 101 * US);
	assert_silent();
}

/* Each try finds another page, since the one before was let go: whoever holds many is asked for one after the other. */
static void each_time_a_page_was_let_go(void **state)
{
	make_vm_in_place();
	for (uint64_t i = 0; i < 16; i++) {
		convert_file_fails(1, 0, 16 * PAGE, true, -EAGAIN, HERE);
		by_thread(2);
		unpin(1, i * PAGE, PAGE);
		by_thread(1000);
	}
	convert_file(1, 0, 16 * PAGE, true, HERE);
	assert_silent();
}

static void what_another_process_lets_go_is_something_else(void **state)
{
	make_vm_in_place();
	process_is(1, true);
	for (uint64_t i = 0; i < 16; i++) {
		convert_file_fails(1, 0, 16 * PAGE, true, -EAGAIN, HERE);
		by_process(1);
		unpin(1, i * PAGE, PAGE);
		by_process(0);
	}
	assert_only(9, HERE, 1, 0);
}

static void what_is_let_go_of_another_file_is_something_else(void **state)
{
	make_vm_in_place();
	for (uint64_t i = 0; i < 16; i++) {
		convert_file_fails(1, 0, 16 * PAGE, true, -EAGAIN, HERE);
		unpin(2, i * PAGE, PAGE);
	}
	assert_only(9, HERE, 1, 0);
}

static void a_hole_between_two_tries(void **state)
{
	make_vm_in_place();
	for (uint64_t i = 0; i < 16; i++) {
		convert_file_fails(1, 0, 16 * PAGE, true, -EAGAIN, HERE);
		punch(1, i * PAGE, PAGE, 78);
	}
	assert_silent();
}

/* Threads that are refused once each. */
static void many_threads_once(void **state)
{
	make_vm_in_place();
	for (uint32_t i = 0; i < 32; i++) {
		by_thread(2 + i);
		try_again(1, US);
	}
	assert_silent();
}

static void another_request_between(void **state)
{
	make_vm_in_place();
	for (int i = 0; i < 32; i++) {
		try_again(1, US);
		request(KVM_CHECK_EXTENSION, 0, 78);
	}
	assert_silent();
}

static void an_entry_between(void **state)
{
	make_vm_in_place();
	for (int i = 0; i < 32; i++) {
		enter(1, 0);
		leave(1, 0, KVM_EXIT_IO);
		try_again(1, US);
	}
	assert_silent();
}

static void other_errors_are_no_invitation(void **state)
{
	make_vm_in_place();
	for (int i = 0; i < 32; i++)
		convert_file_fails(1, 0, 16 * PAGE, true, -EINVAL, HERE);
	assert_silent();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_outlives_its_vm),
		TEST(a_vcpu_that_outlives_its_vm),
		TEST(all_are_closed_the_vm_first),
		TEST(none_is_closed),
		TEST(a_copy_of_a_descriptor_that_stays),
		TEST(a_file_of_another_vm),
		TEST(two_vms_and_one_leaks),
		TEST(a_child_that_was_forked),
		TEST(a_child_keeps_what_the_parent_closed),
		TEST(a_vm_that_is_gone_had_nothing_left),
		TEST(the_closing_may_have_been_lost),
		TEST(pages_that_follow_each_other),
		TEST(downwards_too),
		TEST(eight_are_a_loop),
		TEST(seven_are_none),
		TEST(pages_with_entries_between),
		TEST(pages_with_other_exits_between),
		TEST(a_thread_that_converts_for_a_guest),
		TEST(pages_that_do_not_follow_each_other),
		TEST(pages_of_changing_kinds),
		TEST(larger_pieces),
		TEST(threads_do_not_make_a_loop_together),
		TEST(two_vms_do_not_make_a_loop_together),
		TEST(a_loop_after_a_refusal),
		TEST(in_place_too),
		TEST(again_and_again),
		TEST(eight_times_are_hot),
		TEST(seven_times_are_not),
		TEST(who_waits_may_try_for_ever),
		TEST(each_time_a_page_was_let_go),
		TEST(what_another_process_lets_go_is_something_else),
		TEST(what_is_let_go_of_another_file_is_something_else),
		TEST(a_hole_between_two_tries),
		TEST(many_threads_once),
		TEST(another_request_between),
		TEST(an_entry_between),
		TEST(other_errors_are_no_invitation),
	};

	return cmocka_run_group_tests_name("lint of calls", tests, NULL, NULL);
}
