/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A point: who goes on. Whatever the policy says that is not the default is recorded; the default is a function
 * of what happened before, so that the recorded choices alone give the same schedule again.
 *
 * By default the fibre goes on; when it cannot, the next by number does. A fibre that yields goes behind the others
 * until somebody has changed something, and one that has run for long does so of itself: a loop that waits for
 * another fibre ends.
 */
#include "os/sim/sim_private.h"

#define NS_PER_POINT 50
#define LONG_RUN 4000

unsigned int sim_decide(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			bool may_stay)
{
	unsigned int value = sim.policy->decide(kind, by_default, mask, may_stay);
	struct sim_slot *slot = sim_slot;

	if (value == by_default)
		return value;
	if (slot->nr_choices == SIM_MAX_CHOICES)
		return by_default;
	slot->choices[slot->nr_choices++] = (struct sim_choice){
		.at = sim.self->own_steps,
		.fibre = (uint8_t)sim.self->index,
		.kind = (uint8_t)kind,
		.value = (uint16_t)value,
	};
	return value;
}

void sim_checks_run(enum sim_when when)
{
	unsigned int i;

	if (sim.in_check)
		return;
	sim.quiet++;
	sim.in_check = true;
	for (i = 0; i < sim.nr_checks; i++)
		if (sim.checks[i].when == when)
			sim.checks[i].fn(sim.checks[i].arg);
	sim.in_check = false;
	sim.quiet--;
}

void sim_invariant(enum sim_when when, void (*check)(void *arg), void *arg)
{
	sim_assert(sim.nr_checks < SIM_MAX_CHECKS);
	sim.checks[sim.nr_checks++] = (struct sim_check){ when, check, arg };
	if (when == SIM_AT_POINT)
		sim.check_points = true;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void sim_unblock(struct sim_fibre *f)
{
	if (f->why == SIM_ON_COND)
		sim.nr_conds--;
	if (f->why == SIM_ON_WORD)
		sim.nr_words--;
	f->blocked = false;
	sim.runnable |= 1u << f->index;
}

void sim_wake_blocked(enum sim_why why, const volatile void *on)
{
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++) {
		struct sim_fibre *f = &sim.fibres[i];

		if (f->blocked && !f->done && f->why == why && f->on == on)
			sim_unblock(f);
	}
}

static void look_at_conditions(void)
{
	unsigned int i;

	sim.quiet++;
	for (i = 0; i < sim.nr_fibres; i++) {
		struct sim_fibre *f = &sim.fibres[i];

		if (f->blocked && !f->done && f->why == SIM_ON_COND && f->cond(f->cond_arg))
			sim_unblock(f);
	}
	sim.quiet--;
}

/* Nobody can go on: time passes until a wait ends. */
static bool next_deadline(void)
{
	struct sim_fibre *first = NULL;
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++) {
		struct sim_fibre *f = &sim.fibres[i];

		if (f->blocked && !f->done && f->why == SIM_ON_WORD && !f->forever &&
		    (!first || f->deadline < first->deadline))
			first = f;
	}
	if (!first)
		return false;
	if (sim.clock < first->deadline)
		sim.clock = first->deadline;
	first->result = -110; /* ETIMEDOUT */
	sim_unblock(first);
	return true;
}

_Noreturn static void deadlock(void)
{
	char text[SIM_TEXT_SIZE - 200];

	sim_describe_fibres(text, sizeof(text));
	sim_fail("deadlock: nobody can go on\n%s", text);
}

/* Somebody who can go on, though this one cannot. */
static uint32_t wait_for_anybody(void)
{
	if (sim.nr_conds)
		look_at_conditions();
	if (sim.runnable & ~sim.yielded)
		return sim.runnable & ~sim.yielded;
	sim.yielded = 0;
	sim_stores_drain_all();
	if (sim.nr_conds)
		look_at_conditions();
	while (!sim.runnable)
		if (!next_deadline())
			deadlock();
	return sim.runnable;
}

static void go_to(unsigned int index)
{
	sim_checks_run(SIM_AT_SWITCH);
	sim_switch(&sim.fibres[index]);
}

void sim_block(enum sim_why why, const volatile void *on)
{
	struct sim_fibre *f = sim.self;
	uint32_t mask;

	if (sim.quiet)
		sim_fail("wait where nobody else may run: %s", f->name);
	sim_stores_drain();
	f->why = why;
	f->on = on;
	f->blocked = true;
	f->order = ++sim.wait_order;
	f->own_steps++;
	sim.runnable &= ~(1u << f->index);
	if (why == SIM_ON_WORD)
		sim.nr_words++;
	mask = wait_for_anybody();
	go_to(sim_decide(SIM_GO, sim_next_after(f->index, mask), mask, false));
}

/* ---- points ---------------------------------------------------------------------------------- */

/* os_wait() may return early: spurious wake-ups, and a clock that was faster than the one who would wake it. */
static void wake_early(void)
{
	uint32_t mask = 1u << SIM_NOBODY;
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++)
		if (sim.fibres[i].blocked && !sim.fibres[i].done &&
		    sim.fibres[i].why == SIM_ON_WORD)
			mask |= 1u << i;
	i = sim_decide(SIM_EARLY, SIM_NOBODY, mask, false);
	if (i == SIM_NOBODY)
		return;
	sim.fibres[i].result = sim.fibres[i].forever ? 0 : -110;
	sim_unblock(&sim.fibres[i]);
}

static void drain_some(void)
{
	uint32_t mask = 1u << SIM_NOBODY;
	unsigned int i;

	sim_stores_expire();
	for (i = 0; i < sim.nr_fibres; i++)
		if (sim.fibres[i].nr_stores)
			mask |= 1u << i;
	i = sim_decide(SIM_DRAIN, SIM_NOBODY, mask, false);
	if (i != SIM_NOBODY)
		sim_stores_drain_one(&sim.fibres[i]);
}

static bool changes(enum sim_kind kind)
{
	return kind != SIM_LOAD && kind != SIM_GUEST_LOAD && kind != SIM_YIELD;
}

static void choose_who(struct sim_fibre *f, bool yields)
{
	uint32_t bit = 1u << f->index, others;
	unsigned int to;

	if (yields)
		sim.yielded |= bit;
	others = sim.runnable & ~sim.yielded & ~bit;
	if (!others && yields) {
		sim.yielded = 0;
		others = sim.runnable & ~bit;
	}
	if (!others)
		return;
	if (yields)
		to = sim_decide(SIM_GO, sim_next_after(f->index, others), others, false);
	else
		to = sim_decide(SIM_GO, f->index, others | bit, true);
	if (to != f->index)
		go_to(to);
}

static void step(struct sim_fibre *f, enum sim_kind kind)
{
	bool yields = kind == SIM_YIELD;

	if (sim.nr_conds)
		look_at_conditions();
	if (sim.check_points)
		sim_checks_run(SIM_AT_POINT);
	if (sim.nr_stores)
		drain_some();
	if (sim.nr_words)
		wake_early();
	if (sim.yielded && changes(kind))
		sim.yielded = 0;
	if (++f->ran > LONG_RUN) {
		f->ran = 0;
		yields = true;
	}
	if (yields && sim.policy->yielded)
		sim.policy->yielded(f);
	if (!(sim.runnable & (sim.runnable - 1)))
		return;
	sim.contended++;
	choose_who(f, yields);
}

void sim_step(enum sim_kind kind, const volatile void *addr, uint32_t size, const void *pc)
{
	struct sim_fibre *f = sim.self;

	if (sim.quiet)
		return;
	f->own_steps++;
	f->op = (struct sim_op){ kind, size, addr, pc };
	sim.now++;
	sim.clock += NS_PER_POINT;
	if (sim.now > sim.max_points)
		sim_fail("no progress: %llu points", (unsigned long long)sim.max_points);
	if (sim.recording)
		sim_record(&f->op);
	step(f, kind);
}

uint64_t sim_now(void)
{
	return sim.now;
}
