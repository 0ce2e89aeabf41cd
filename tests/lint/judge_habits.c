/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What real VMMs do: lint says what is wrong with it, and nothing of what is right.
 *
 * The last test makes up many vCPUs that do right in every order, with a model of what has memory; the same with one that
 * forgets.
 */
#include "records.h"

#include "obs/region.h"

#define HERE 77
#define TO_PRIVATE KVM_MAP_GPA_RANGE_ENCRYPTED
#define SIZE_2M KVM_MAP_GPA_RANGE_PAGE_SZ_2M

static void leave_for(uint64_t gpa, uint64_t size, uint64_t flags)
{
	enter(1, 0);
	leave_call(1, 0, gpa, size, flags);
}

/* ---- one that keeps RAM in a memfd, and marks all of it private before the guest starts ------------------------- */

/* Of shared memory it punches the file, and takes what is mapped out of the tables as well. */
static void let_go_of_memfd(uint64_t gpa, uint64_t size)
{
	punch_memfd(gpa - RAM, size, 71);
	discard(HVA + gpa - RAM, size, 72);
}

static void conversions_of_a_memfd_backend(void **state)
{
	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	for (uint64_t i = 0; i < 16; i++) {
		leave_for(RAM + 4 * i * PAGE, 4 * PAGE, 0);
		convert(1, RAM + 4 * i * PAGE, 4 * PAGE, false, 70);
		punch(1, 4 * i * PAGE, 4 * PAGE, 73);
	}
	for (uint64_t i = 0; i < 16; i++) {
		leave_for(RAM + 4 * i * PAGE, 4 * PAGE, TO_PRIVATE);
		convert(1, RAM + 4 * i * PAGE, 4 * PAGE, true, 70);
		let_go_of_memfd(RAM + 4 * i * PAGE, 4 * PAGE);
	}
	enter(1, 0);
	assert_silent();
}

/* Huge pages of the backend cannot be given back in pieces, so it does not: that is memory held twice, and said. */
static void a_backend_whose_pages_are_too_large(void **state)
{
	make_vm();
	leave_for(RAM, 4 * PAGE, TO_PRIVATE);
	convert(1, RAM, 4 * PAGE, true, HERE);
	left(1, RAM, 4 * PAGE, true, AT_ENTRY);
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* A guest that shares what is no RAM gets 0 for an answer: it is shared already. */
static void a_range_of_devices_becomes_shared(void **state)
{
	make_vm();
	leave_for(3 * GIB, MIB, 0);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_MMIO);
	enter(1, 0);
	assert_silent();
}

/* Memory that the guest has given back is let go of on both sides, whatever it is. */
static void memory_that_is_unplugged(void **state)
{
	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_IO);
	let_go_of_memfd(RAM + 2 * MIB, 2 * MIB);
	punch(1, 2 * MIB, 2 * MIB, 73);
	enter(1, 0);
	assert_silent();
}

/* A confidential guest cannot be reset: there is a new VM, with new guest_memfds, behind the same memory. */
static void a_reset_by_a_new_vm(void **state)
{
	const struct slot ram = { 0, RAM, RAM_SIZE, HVA, 0, 2 };

	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	leave_for(RAM, 4 * PAGE, 0);
	convert(1, RAM, 4 * PAGE, false, 70);
	punch(1, 0, 4 * PAGE, 73);
	enter(1, 0);
	leave(1, 0, KVM_EXIT_SYSTEM_EVENT);
	close_vcpu(1, 0);
	close_vm(1);
	make_file(2, 2, 0, 5);
	set_slot(2, &ram, 6);
	close_file(1, 1);
	vm_gone(1);
	convert(2, RAM, RAM_SIZE, true, 70);
	make_vcpu(2, 0, 7);
	enter(2, 0);
	assert_silent();
}

/* It takes 64 MiB at a time, says "again", and the guest comes back for what is left: as with TDX. */
static void a_range_that_is_done_in_turns(void **state)
{
	const struct slot second = { 1, RAM + RAM_SIZE, RAM_SIZE, HVA + GIB, 0, 2 };

	make_vm();
	make_file(1, 2, 0, 1);
	set_slot(1, &second, 2);
	leave_for(RAM, 2 * RAM_SIZE, TO_PRIVATE);
	convert(1, RAM, RAM_SIZE, true, 70);
	let_go_of_memfd(RAM, RAM_SIZE);
	enter_refusing(1, 0);
	leave_call(1, 0, RAM + RAM_SIZE, RAM_SIZE, TO_PRIVATE);
	convert(1, RAM + RAM_SIZE, RAM_SIZE, true, 70);
	discard(HVA + GIB, RAM_SIZE, 72);
	enter(1, 0);
	assert_silent();
}

/* ---- one without confidential hardware, that hides its guest's memory -------------------------------------------- */

/* All is shared with itself at first, loaded, and given to the guest for good; it ends by _exit(). */
static void memory_in_place_that_is_hidden(void **state)
{
	make_vm_in_place();
	allocate(1, 0, RAM_SIZE, 70);
	convert_file(1, 0, RAM_SIZE, true, 71);
	convert_file(1, RAM_SIZE / 2, 16 * PAGE, false, 72);
	for (int i = 0; i < 4; i++) {
		enter(1, 0);
		leave(1, 0, KVM_EXIT_MMIO);
	}
	punch(1, MIB, MIB, 73); /* a balloon */
	enter(1, 0);
	assert_silent();
}

/* The device that has the page is told to stop, then asked again. */
static void a_held_page_is_waited_for(void **state)
{
	make_vm_in_place();
	leave_for(RAM, 2 * MIB, TO_PRIVATE | SIZE_2M);
	for (uint64_t i = 0; i < 32; i++) {
		convert_file_fails(1, 0, 2 * MIB, true, -EAGAIN, HERE);
		by_thread(7);
		unpin(1, i * PAGE, PAGE);
		by_thread(1000);
	}
	convert_file(1, 0, 2 * MIB, true, HERE);
	enter(1, 0);
	assert_silent();
}

/* ---- one with a way for hypercalls and another for faults ---------------------------------------------------------- */

#define BY_CALL 80
#define BY_FAULT 81

static void a_hole_after_a_hypercall_but_not_after_a_fault(void **state)
{
	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	leave_for(RAM, 4 * PAGE, 0);
	convert(1, RAM, 4 * PAGE, false, BY_CALL);
	punch(1, 0, 4 * PAGE, 73);
	enter(1, 0);
	leave_fault(1, 0, RAM + MIB, false, 5);
	convert(1, RAM + MIB, PAGE, false, BY_FAULT);
	left(1, RAM + MIB, PAGE, false, AT_ENTRY);
	enter(1, 0);
	assert_only(3, BY_FAULT, 1, PAGE);
}

/* A hole that could not be punched is a line in its log, and no more. Nothing is told of such a one. */
static void a_hole_that_failed(void **state)
{
	make_vm();
	convert(1, RAM, RAM_SIZE, true, 70);
	leave_for(RAM, 4 * PAGE, 0);
	convert(1, RAM, 4 * PAGE, false, BY_CALL);
	left(1, RAM, 4 * PAGE, false, AT_ENTRY);
	enter(1, 0);
	assert_only(3, BY_CALL, 1, 4 * PAGE);
}

/* The bits are not looked at, but who converts the whole range at once cuts nothing. */
static void size_bits_that_make_no_difference(void **state)
{
	make_vm();
	leave_for(RAM, 4 * MIB, TO_PRIVATE | SIZE_2M);
	convert(1, RAM, 4 * MIB, true, BY_CALL);
	enter(1, 0);
	assert_silent();
}

/* ---- one whose conversions are made by a thread of their own -------------------------------------------------------- */

static void worker(uint64_t gpa, uint64_t size, bool is_private, bool works)
{
	by_thread(9);
	convert(1, gpa, size, is_private, HERE);
	if (works && is_private)
		discard(HVA + gpa - RAM, size, 72);
	else if (works)
		punch(1, gpa - RAM, size, 73);
	by_thread(1000);
}

static void a_thread_for_conversions(void **state)
{
	make_vm();
	for (uint64_t i = 0; i < 32; i++) {
		enter(1, 0);
		leave_fault(1, 0, RAM + i * PAGE, i % 2 == 0, 5);
		worker(RAM + i * PAGE, PAGE, i % 2 == 0, true);
	}
	enter(1, 0);
	assert_silent();
}

/* The advice failed; it says "no" to the vCPU, and "yes" right behind it. */
static void a_no_that_is_followed_by_a_yes(void **state)
{
	make_vm();
	enter(1, 0);
	leave_fault(1, 0, RAM, true, 5);
	worker(RAM, PAGE, true, false);
	left(1, RAM, PAGE, true, AT_ENTRY);
	enter(1, 0);
	assert_only(3, HERE, 1, PAGE);
}

/* Its guest_memfds are numbers that nobody closes. */
static void descriptors_that_are_numbers(void **state)
{
	make_vm();
	enter(1, 0);
	leave(1, 0, KVM_EXIT_HLT);
	close_vcpu(1, 0);
	close_vm(1);
	assert_only(7, 1, 1, 0);
}

/* ---- one with one guest_memfd as large as all addresses, whose offsets are gpas --------------------------------------- */

static void one_file_for_all_addresses(void **state)
{
	const struct slot low = { 0, RAM, RAM_SIZE, HVA, RAM, 1 };
	const struct slot high = { 1, 4 * GIB, RAM_SIZE, HVA + GIB, 4 * GIB, 1 };

	make_vm();
	delete_slot(1, 0);
	set_slot(1, &low, 2);
	set_slot(1, &high, 2);
	leave_for(4 * GIB, 4 * PAGE, TO_PRIVATE);
	convert(1, 4 * GIB, 4 * PAGE, true, 70);
	discard(HVA + GIB, 4 * PAGE, 72);
	leave_for(4 * GIB, 4 * PAGE, 0);
	convert(1, 4 * GIB, 4 * PAGE, false, HERE);
	punch(1, 4 * GIB, 4 * PAGE, 73);
	enter(1, 0);
	leave_call(1, 0, RAM, 4 * PAGE, 0);
	convert(1, RAM, 4 * PAGE, false, HERE);
	left(1, RAM, 4 * PAGE, false, AT_ENTRY); /* never punches the low one */
	enter(1, 0);
	assert_only(3, HERE, 1, 4 * PAGE);
}

/* ---- many of them, in any order ---------------------------------------------------------------------------------------- */

#define NR_VCPUS 4u
#define NR_PAGES 16u /* of each; those of one begin where those of the last end */
#define NR_STEPS 20000
#define FORGETS 3u /* the vCPU that forgets, when there is one */

enum step { INSIDE, OUT, CONVERTED, DONE };

static struct vcpu {
	enum step at;
	bool is_call, to_private;
	unsigned int page, nr;
} vcpus[NR_VCPUS];
static struct page {
	bool is_private, in_file, in_program;
} pages[NR_VCPUS * NR_PAGES];
static uint64_t seed;

static unsigned int draw(unsigned int below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(seed >> 33) % below;
}

static void leave_one(unsigned int id)
{
	struct vcpu *v = &vcpus[id];
	unsigned int first = draw(NR_PAGES);

	/* What a guest does with the pages it has. */
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		struct page *p = &pages[id * NR_PAGES + i];

		*(p->is_private ? &p->in_file : &p->in_program) |= draw(2);
	}
	v->at = OUT;
	v->is_call = draw(2);
	v->page = id * NR_PAGES + first;
	v->nr = v->is_call ? 1 + draw(NR_PAGES - first) : 1;
	v->to_private = !pages[v->page].is_private;
	if (v->is_call)
		leave_call(1, id, RAM + v->page * PAGE, v->nr * PAGE,
			   v->to_private ? TO_PRIVATE : 0);
	else
		leave_fault(1, id, RAM + v->page * PAGE, v->to_private, 5);
}

static void convert_for(unsigned int id)
{
	struct vcpu *v = &vcpus[id];

	if (draw(4) == 0)
		convert_fails(1, RAM + v->page * PAGE, v->nr * PAGE, v->to_private, -EAGAIN, 76);
	convert(1, RAM + v->page * PAGE, v->nr * PAGE, v->to_private, HERE + id);
	for (unsigned int i = 0; i < v->nr; i++)
		pages[v->page + i].is_private = v->to_private;
	v->at = CONVERTED;
}

static void let_go_for(unsigned int id)
{
	struct vcpu *v = &vcpus[id];

	if (v->to_private)
		discard(HVA + v->page * PAGE, v->nr * PAGE, 72);
	else
		punch(1, v->page * PAGE, v->nr * PAGE, 73);
	for (unsigned int i = 0; i < v->nr; i++)
		*(v->to_private ? &pages[v->page + i].in_program : &pages[v->page + i].in_file) =
			false;
	v->at = DONE;
}

/* What gmem sees when it looks at the pages that this vCPU's thread has converted. */
static uint64_t look_and_enter(unsigned int id)
{
	struct vcpu *v = &vcpus[id];
	uint64_t nr = 0;

	for (unsigned int i = v->page; i < v->page + v->nr; i++) {
		bool is_left = pages[i].is_private ? pages[i].in_program : pages[i].in_file;

		if (is_left)
			left(1, RAM + i * PAGE, PAGE, pages[i].is_private, AT_ENTRY);
		nr += is_left;
	}
	enter(1, id);
	v->at = INSIDE;
	return nr;
}

/* How many pages were left behind. */
static uint64_t run_all(bool one_forgets)
{
	uint64_t nr = 0;

	for (int i = 0; i < NR_STEPS; i++) {
		unsigned int id = draw(NR_VCPUS);
		struct vcpu *v = &vcpus[id];

		by_thread(1000 + id);
		if (v->at == INSIDE)
			leave_one(id);
		else if (v->at == OUT)
			convert_for(id);
		else if (v->at == CONVERTED && !(one_forgets && id == FORGETS))
			let_go_for(id);
		else
			nr += look_and_enter(id);
	}
	return nr;
}

static void make_many(void)
{
	make_vm();
	for (uint32_t i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = (struct vcpu){ .at = INSIDE };
		by_thread(1000 + i);
		if (i)
			make_vcpu(1, i, 3);
		enter(1, i);
	}
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		pages[i] = (struct page){ 0 };
}

static void many_that_do_right_in_any_order(void **state)
{
	seed = 1;
	make_many();
	assert_int_equal(run_all(false), 0);
	assert_silent();
}

static void many_of_whom_one_forgets(void **state)
{
	uint64_t nr;

	seed = 2;
	make_many();
	nr = run_all(true);
	assert_true(nr > 100);
	assert_only(3, HERE + FORGETS, nr, nr * PAGE);
}

/* They have the same place in the table, and VMs and threads of the same numbers. */
static void processes_without_a_place_are_not_one(void **state)
{
	struct lint *l = lint_new(1000000);

	assert_non_null(l);
	lint_record(l, &(struct obs_record){ .kind = OBS_RUN_ENTER,
					     .vm = 1,
					     .vcpu = 1,
					     .process = OBS_MAX_PROCESSES });
	lint_end(l);
	assert_int_equal(lint_gaps(l), 1u << LINT_UNPLACED);
	lint_free(l);
}

static void where_nothing_was_seen_nothing_is_judged(void **state)
{
	struct lint *l = lint_new(1000000);

	assert_non_null(l);
	lint_end(l);
	assert_int_equal(lint_gaps(l), 1u << LINT_NO_EVENT);
	lint_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(conversions_of_a_memfd_backend),
		TEST(a_backend_whose_pages_are_too_large),
		TEST(a_range_of_devices_becomes_shared),
		TEST(memory_that_is_unplugged),
		TEST(a_reset_by_a_new_vm),
		TEST(a_range_that_is_done_in_turns),
		TEST(memory_in_place_that_is_hidden),
		TEST(a_held_page_is_waited_for),
		TEST(a_hole_after_a_hypercall_but_not_after_a_fault),
		TEST(a_hole_that_failed),
		TEST(size_bits_that_make_no_difference),
		TEST(a_thread_for_conversions),
		TEST(a_no_that_is_followed_by_a_yes),
		TEST(descriptors_that_are_numbers),
		TEST(one_file_for_all_addresses),
		TEST(many_that_do_right_in_any_order),
		TEST(many_of_whom_one_forgets),
		TEST(processes_without_a_place_are_not_one),
		TEST(where_nothing_was_seen_nothing_is_judged),
	};

	return cmocka_run_group_tests_name("lint of habits", tests, NULL, NULL);
}
