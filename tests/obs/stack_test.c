/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stacks: what the observer has said is walked, all else copied once; nothing is read that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "obs/obs.h"
#include "obs/region.h"
#include "obs/walk.h"
#include "os/fault.h"

#define NR_PLACES 1024u

/* What a program has called from: code of this file that is nowhere. */
#define CODE 0x400000ull
#define WRAPPER (CODE + 0x10)
#define PLACE (CODE + 0x100)
#define OTHER_PLACE (CODE + 0x200)

#define NR_WORDS (2 * OBS_STACK_BYTES / 8)
/* In words: the called function's frame, the wrapper's return address, a variable. */
#define RETURN 5
#define VARIABLE 3

static struct obs_region *region;
static uint64_t stack[NR_WORDS];

static int begin(void **state)
{
	static const struct obs_self self = { .pid = 7, .name = "program" };
	static const struct obs_code code = { .start = CODE, .end = CODE + 0x1000, .path = "code" };
	uint64_t size = obs_region_size(NR_PLACES);

	region = aligned_alloc(4096, size);
	if (!region)
		return -1;
	memset(region, 0, size);
	obs_region_init(region, NR_PLACES);
	region->wants_records = 1;
	region->wants_stacks = 1;
	memset(stack, 0, sizeof(stack));
	if (!obs_attach(region, size, &self))
		return -1;
	obs_add_code(&code);
	return 0;
}

static int end(void **state)
{
	obs_detach();
	free(region);
	return 0;
}

/* As a call by the wrapper for that place, whose stack begins there. What the record says of its caller. */
static uint64_t caller_at(uint64_t *frame, uint64_t place)
{
	uint64_t n = region->ring.head;
	struct os_context *me = os_context();

	frame[0] = (uintptr_t)&frame[RETURN - 1];
	frame[1] = WRAPPER;
	frame[RETURN] = place;
	me->caller = WRAPPER;
	me->frame = (uintptr_t)frame;
	me->is_placed = 0;
	obs_count(OBS_PUNCH, 0, 0, 0);
	assert_int_equal(region->ring.head, n + 1);
	return obs_record_caller(obs_record_at(region, NR_PLACES, n));
}

static uint64_t caller_of(uint64_t place)
{
	return caller_at(stack, place);
}

static void say(uint64_t address, uint32_t state, int32_t offset)
{
	struct obs_frame_code *c = obs_code_at(region, obs_code_hash(0, address));

	*c = (struct obs_frame_code){
		.state = state | OBS_CODE_THERE,
		.address = address,
		.offset = offset,
		.return_at = -8,
	};
}

/* The wrapper's frame, and that a place is one. */
static void say_all(uint32_t by, int32_t offset)
{
	say(WRAPPER, OBS_CODE_KNOWN | OBS_CODE_WRAPS | OBS_CODE_RULED | by, offset);
	say(PLACE, OBS_CODE_KNOWN, 0);
	say(OTHER_PLACE, OBS_CODE_KNOWN, 0);
}

static uint32_t say_chain(uint64_t place)
{
	const struct obs_places p = { .places = { place }, .nr = 1 };
	uint64_t key = obs_chain_key(0, &p);
	bool is_there;
	uint32_t n = obs_chain_find(region, key, &is_there);

	assert_false(is_there);
	*obs_chain_at(region, n) = key;
	return n;
}

/* From the frame on to behind the return address. */
#define OFFSET ((RETURN + 1 - 2) * 8)

static void stacks_that_look_alike_are_copied_once(void **state)
{
	uint64_t first = caller_of(PLACE);

	assert_int_equal(first, obs_caller_of_stack(0));
	assert_int_equal(obs_stack_at(region, 0)->state, OBS_STACK_FILLED);
	assert_int_equal(obs_stack_at(region, 0)->caller, WRAPPER);
	assert_memory_equal(obs_stack_at(region, 0)->bytes, stack, OBS_STACK_BYTES);
	for (uint64_t i = 0; i < 1000; i++) {
		stack[VARIABLE] = i;
		assert_int_equal(caller_of(PLACE), first);
	}
	assert_int_equal(region->next_stack, 1);
}

static void another_depth_looks_alike(void **state)
{
	uint64_t first = caller_of(PLACE);

	memset(stack, 0, sizeof(stack));
	assert_int_equal(caller_at(&stack[32], PLACE), first);
}

static void another_place_at_the_same_depth_is_another_stack(void **state)
{
	uint64_t first = caller_of(PLACE), second = caller_of(OTHER_PLACE);

	assert_int_not_equal(first, second);
	assert_int_equal(caller_of(PLACE), first);
	assert_int_equal(caller_of(OTHER_PLACE), second);
	assert_int_equal(region->next_stack, 2);
}

static void what_the_observer_has_said_is_not_copied(void **state)
{
	uint32_t one, other;

	say_all(0, OFFSET);
	one = say_chain(PLACE);
	other = say_chain(OTHER_PLACE);
	assert_int_equal(caller_of(PLACE), obs_caller_of_chain(one));
	assert_int_equal(caller_of(OTHER_PLACE), obs_caller_of_chain(other));
	assert_int_equal(region->next_stack, 0);
}

static void a_frame_may_be_found_by_its_pointer(void **state)
{
	uint32_t one;

	say_all(OBS_CODE_BY_RBP, 16);
	one = say_chain(PLACE);
	assert_int_equal(caller_of(PLACE), obs_caller_of_chain(one));
}

static void a_chain_that_the_observer_has_not_seen_is_copied(void **state)
{
	say_all(0, OFFSET);
	assert_int_equal(caller_of(PLACE), obs_caller_of_stack(0));
}

static void without_room_for_chains_there_is_the_place(void **state)
{
	say_all(0, OFFSET);
	for (uint32_t i = 0; i < OBS_NR_CHAINS; i++)
		*obs_chain_at(region, i) = 2;
	assert_int_equal(caller_of(PLACE), PLACE);
	assert_int_equal(region->next_stack, 0);
}

static void all_that_a_call_does_has_its_place(void **state)
{
	uint64_t first = caller_of(PLACE), n = region->ring.head;

	obs_count(OBS_VM_CONVERT, 0, 0, 0);
	obs_count(OBS_INVALIDATE, 0, 0, 0);
	assert_int_equal(obs_record_caller(obs_record_at(region, NR_PLACES, n)), first);
	assert_int_equal(obs_record_caller(obs_record_at(region, NR_PLACES, n + 1)), first);
}

static void without_room_for_stacks_there_is_the_wrapper(void **state)
{
	for (uint32_t i = 0; i < OBS_NR_STACKS; i++)
		obs_stack_at(region, i)->state = OBS_STACK_TAKEN;
	assert_int_equal(caller_of(PLACE), WRAPPER);
	assert_int_equal(region->stacks_lost, 1);
	/* The next one may have some. */
	obs_stack_at(region, 1)->state = OBS_STACK_FREE;
	assert_int_equal(caller_of(PLACE), obs_caller_of_stack(1));
}

/* As writable to the program as any memory of its own. */
static void what_is_said_wrongly_leads_out_of_no_stack(void **state)
{
	static const int32_t far[] = { INT32_MAX, INT32_MIN,  OBS_STACK_BYTES - 7,
				       1 << 20,	  -(1 << 20), -16,
				       -1 };

	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		say_all(0, far[i]);
		assert_int_not_equal(caller_of(PLACE), PLACE);
		say_all(OBS_CODE_BY_RBP | OBS_CODE_SAVES_RBP, far[i]);
		assert_int_not_equal(caller_of(PLACE), PLACE);
	}
}

static void a_code_that_calls_itself_ends(void **state)
{
	say_all(0, OFFSET);
	for (size_t i = 0; i < NR_WORDS; i++)
		stack[i] = WRAPPER;
	assert_int_equal(caller_of(WRAPPER), obs_caller_of_stack(0));
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
	os_fault_signal(signo, info, context);
	abort();
}

/* The test's own library takes them at the start of each test. */
static void catch_faults(void)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSEGV, &act, NULL);
}

static void a_stack_may_end(void **state)
{
	char *pages =
		mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *frame = (uint64_t *)(pages + 0x1000) - 16;

	catch_faults();
	assert_ptr_not_equal(pages, MAP_FAILED);
	munmap(pages + 0x1000, 0x1000);
	assert_int_equal(caller_at(frame, PLACE), obs_caller_of_stack(0));
	assert_int_equal(obs_stack_at(region, 0)->size, 16 * 8);
	/* A place that would be behind the end. */
	say_all(0, 0x200);
	assert_int_equal(caller_at(frame, OTHER_PLACE), obs_caller_of_stack(1));
	munmap(pages, 0x1000);
	os_context()->is_placed = 0;
	obs_count(OBS_PUNCH, 0, 0, 0);
	assert_int_equal(obs_stack_at(region, 2)->size, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stacks_that_look_alike_are_copied_once),
		TEST(another_depth_looks_alike),
		TEST(another_place_at_the_same_depth_is_another_stack),
		TEST(what_the_observer_has_said_is_not_copied),
		TEST(a_frame_may_be_found_by_its_pointer),
		TEST(a_chain_that_the_observer_has_not_seen_is_copied),
		TEST(without_room_for_chains_there_is_the_place),
		TEST(all_that_a_call_does_has_its_place),
		TEST(without_room_for_stacks_there_is_the_wrapper),
		TEST(what_is_said_wrongly_leads_out_of_no_stack),
		TEST(a_code_that_calls_itself_ends),
		TEST(a_stack_may_end),
	};

	if (os_fault_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
