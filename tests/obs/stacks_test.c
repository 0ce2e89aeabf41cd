/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whoever follows stacks gets through anything that a program may have written where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "obs/region.h"
#include "see/unwind.h"

#define NR_PLACES 64u
#define NR_RECORDS 256u
#define NR_ROUNDS 300u

static struct obs_region *region;
static struct see_stacks *stacks;
static struct obs_record records[NR_RECORDS];

static int begin(void **state)
{
	uint64_t size = obs_region_size(NR_PLACES);

	srandom(1);
	region = aligned_alloc(4096, size);
	stacks = see_stacks_new();
	if (!region || !stacks)
		return -1;
	memset(region, 0, size);
	obs_region_init(region, NR_PLACES);
	return 0;
}

static int end(void **state)
{
	see_stacks_free(stacks);
	free(region);
	return 0;
}

static void spoil(void *what, size_t size)
{
	unsigned char *to = what;

	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)random();
}

static uint64_t any_word(void)
{
	return (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();
}

/* Callers of all kinds, of which some are there. */
static void make_records(void)
{
	spoil(records, sizeof(records));
	for (uint32_t i = 0; i < NR_RECORDS; i++) {
		uint64_t caller = random() & 1 ? obs_caller_of_stack((uint32_t)random() % 4096)
					       : obs_caller_of_chain((uint32_t)random());

		records[i].kind = (uint16_t)(random() % OBS_NR_EVENTS);
		if (random() & 3) {
			records[i].caller_low = (uint32_t)caller;
			records[i].caller_high = (uint16_t)(caller >> 32);
		}
	}
}

static void make_stack(struct obs_stack *s, uint32_t number)
{
	spoil(s, sizeof(*s));
	s->state = (uint32_t)random() % 4;
	if (random() & 1) {
		s->number = number;
		s->process = 0;
		memcpy(s->bytes + 8, &s->caller, sizeof(s->caller));
	}
	if (random() & 1)
		s->size = OBS_STACK_BYTES;
}

static void anything_is_read(void **state)
{
	for (unsigned int i = 0; i < NR_ROUNDS; i++) {
		struct obs_module *m = obs_module_at(region, i);

		spoil(m, sizeof(*m));
		m->process = (uint32_t)random() % 3;
		region->nr_modules = i + 1;
		region->next_stack = random() & 7 ? region->next_stack + (uint32_t)random() % 64
						  : (uint32_t)any_word();
		for (uint32_t n = 0; n < 64; n++)
			make_stack(obs_stack_at(region, region->next_stack - n),
				   region->next_stack - n);
		spoil(obs_code_at(region, (uint32_t)random()), sizeof(struct obs_frame_code));
		*obs_chain_at(region, (uint32_t)random()) = any_word();
		make_records();
		see_stacks_apply(stacks, region, records, NR_RECORDS);
	}
}

/* What is no address of a program goes to nobody. */
static void no_record_keeps_a_number_for_its_caller(void **state)
{
	make_records();
	for (uint32_t i = 0; i < NR_RECORDS; i++) {
		uint64_t caller = i & 1 ? obs_caller_of_stack(i) : obs_caller_of_chain(i);

		records[i].caller_low = (uint32_t)caller;
		records[i].caller_high = (uint16_t)(caller >> 32);
	}
	see_stacks_apply(stacks, region, records, NR_RECORDS);
	for (uint32_t i = 0; i < NR_RECORDS; i++)
		assert_int_equal(obs_record_caller(&records[i]), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(anything_is_read),
		TEST(no_record_keeps_a_number_for_its_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
