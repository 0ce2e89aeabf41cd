/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * KVM_SET_MEMORY_ATTRIBUTES, one call an operation. A round changes many places to one side, which is counted, and back,
 * which is not. Half of each slot lies between the places, so that what is to be uniform never grows together with its
 * neighbours.
 */
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <stdlib.h>

#define NR_SLOTS 4u
#define SLOTS_STRIDE ((uint64_t)16 << 30) /* at least */
#define MAX_PLACES 16u			  /* in a slot */
#define ODD (3 * BENCH_PAGE) /* how far beside the boundary what is not aligned begins */

enum before {
	UNIFORM, /* nothing was ever there */
	MAPPED,	 /* the guest has written to each page */
	LARGE,	 /* the guest has written to 2 MiB that are one page of the program's */
	MIXED,	 /* every other page is private */
};

struct shape {
	uint64_t size, offset;
	bool to_private, no_op;
	enum before before;
	uint64_t span; /* of a place; 0: the size */
};

static const struct shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

static uint64_t span_of(const struct shape *s)
{
	return s->span ? s->span : s->size;
}

static uint64_t slot_size(const struct shape *s)
{
	uint64_t size = 2 * span_of(s);

	return size > BENCH_1G ? size : BENCH_1G;
}

static bool has_guest(const struct shape *s)
{
	return s->before == MAPPED || s->before == LARGE;
}

/* A guest reaches but some GiB. What makes all of a slot uniform again is alone in it. */
static unsigned int nr_slots(const struct shape *s)
{
	return s->before == MAPPED ? 1 : NR_SLOTS;
}

static uint64_t slot_at(const struct shape *s, unsigned int slot)
{
	if (has_guest(s))
		return MACHINE_DATA + slot * BENCH_1G;
	return (slot + 1) * (slot_size(s) > SLOTS_STRIDE ? slot_size(s) : SLOTS_STRIDE);
}

static unsigned int places_of(const struct shape *s)
{
	uint64_t nr = s->before == LARGE ? 1 : slot_size(s) / (2 * span_of(s));

	return nr < MAX_PLACES ? (unsigned int)nr : MAX_PLACES;
}

/* The n-th place, as they lie one after the other in all slots. */
static uint64_t place(const struct shape *s, uint64_t n)
{
	unsigned int slot = (unsigned int)(n / places_of(s));

	return slot_at(s, slot) + n % places_of(s) * 2 * span_of(s) + s->offset;
}

static int attr_setup(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	struct machine *m;
	int err = 0;

	if (s->size > BENCH_1G && !r->way->ours)
		return bench_refuse(r, -EOPNOTSUPP, "a page costs as much as a page: minutes");
	m = malloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	r->own = m;
	err = machine_open(r, m, KVM_X86_SW_PROTECTED_VM);
	for (unsigned int i = 0; !err && i < nr_slots(s); i++)
		err = machine_add_slot(r, m, 1 + i, slot_at(s, i), slot_size(s),
				       MACHINE_GMEM | (has_guest(s) ? MACHINE_HVA : 0) |
					       (s->before == LARGE ? MACHINE_HUGE : 0));
	if (!err && has_guest(s))
		err = machine_add_vcpus(r, m, 1);
	if (!err)
		return 0;
	machine_teardown(r);
	return err;
}

static int set_all(struct bench_run *r, bool to_private)
{
	const struct shape *s = shape_of(r);
	int err = 0;

	for (uint64_t n = 0; !err && n < r->done; n++)
		err = machine_set_private(r->own, place(s, n), s->size, to_private);
	return err;
}

static int mix(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	int err = 0;

	for (uint64_t n = 0; n < r->done; n++)
		for (uint64_t at = 0; !err && at < s->size; at += 2 * BENCH_PAGE)
			err = machine_set_private(r->own, place(s, n) + at, BENCH_PAGE, true);
	return err;
}

static int touch(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	uint64_t step = s->before == LARGE ? BENCH_2M : BENCH_PAGE;
	int err = 0;

	for (uint64_t n = 0; !err && n < r->done; n++)
		err = machine_call(r->own, 0, GUEST_WRITE, place(s, n) - s->offset,
				   span_of(s) / step, step);
	return err;
}

/* What stands before the calls that count. */
static int prepare(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	int err = 0;

	if (s->before == MIXED)
		return mix(r);
	if (!s->to_private && !s->no_op)
		err = set_all(r, true);
	if (!err && has_guest(s))
		err = touch(r);
	return err;
}

static int attr_round(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	uint64_t most = (uint64_t)nr_slots(s) * places_of(s);
	int err;

	r->done = r->nr < most ? r->nr : most;
	err = prepare(r);
	bench_start(r);
	if (!err)
		err = set_all(r, s->to_private);
	bench_stop(r);
	if (!err && s->to_private)
		err = set_all(r, false);
	return has_guest(s) ? machine_say(r, r->own, 0, err) : err;
}

static const struct bench_ops attr_ops = { attr_setup, attr_round, machine_teardown };

#define US 1000.0
#define CASE(name_, what_, slow_, limit_, ...)                                                    \
	{                                                                                         \
		.name = "attr/" name_, .what = what_, .unit = BENCH_TIME, .per = "call",          \
		.slow = slow_, .goals = { { .limit = limit_ } },                                  \
		.ways = { MACHINE_WAYS(attr_ops) }, .data = &(const struct shape){ __VA_ARGS__ }, \
	}
#define BOTH(name_, what_, slow_, limit_, ...)                                            \
	CASE(name_ "/to-private", what_, slow_, limit_, __VA_ARGS__, .to_private = true), \
		CASE(name_ "/to-shared", what_, slow_, limit_, __VA_ARGS__)

const struct bench_case bench_attr_cases[] = {
	BOTH("uniform/4K", "one page, nothing mapped", false, 1 * US, .size = BENCH_PAGE),
	BOTH("uniform/2M", "2 MiB, nothing mapped", false, 1 * US, .size = BENCH_2M),
	BOTH("uniform/1G", "1 GiB, nothing mapped", true, 1 * US, .size = BENCH_1G),
	BOTH("uniform/1T", "1 TiB, nothing mapped", false, 1 * US, .size = 1024 * BENCH_1G),
	BOTH("unaligned/2M", "2 MiB from 12 KiB on", false, 3 * US, .size = BENCH_2M,
	     .offset = ODD),
	BOTH("unaligned/1G", "1 GiB from 12 KiB on", true, 3 * US, .size = BENCH_1G, .offset = ODD),
	BOTH("unaligned/1T", "1 TiB from 12 KiB on", false, 3 * US, .size = 1024 * BENCH_1G,
	     .offset = ODD),
	CASE("no-op/4K", "one page that is so already", false, 0, .size = BENCH_PAGE,
	     .no_op = true),
	CASE("no-op/1G", "1 GiB that is so already", false, 0, .size = BENCH_1G, .no_op = true),
	CASE("mixed/2M", "2 MiB of which every other page is private, to shared", false, 0,
	     .size = BENCH_2M, .before = MIXED),
	CASE("mixed/64M", "the same of 64 MiB", true, 0, .size = 32 * BENCH_2M, .before = MIXED),
	BOTH("large", "one page of 2 MiB that the guest has mapped large", false, 2 * US,
	     .size = BENCH_PAGE, .offset = ODD, .span = BENCH_2M, .before = LARGE),
	BOTH("mapped/4K", "one page that the guest has mapped", false, 0, .size = BENCH_PAGE,
	     .span = 2 * BENCH_PAGE, .before = MAPPED),
	BOTH("mapped/16M", "16 MiB that the guest has mapped", false, 0, .size = 8 * BENCH_2M,
	     .before = MAPPED),
	{ 0 },
};
