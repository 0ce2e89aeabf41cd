/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Fibres: actors, threads of gmem, and number 0, which runs setup, waits for the actors and runs teardown.
 * Stacks are mapped once a process, with a page in front that nothing may touch.
 */
#include <string.h>
#include <sys/mman.h>

#include "os/sim/sim_private.h"

#define MXCSR_START 0x1f80u
#define FCW_START 0x037fu

struct sim sim = { .quiet = 1 };

static char *stacks[SIM_MAX_FIBRES];

static char *stack_of(unsigned int index)
{
	size_t each = SIM_STACK_SIZE + OS_PAGE_SIZE;
	char *map;

	if (stacks[index])
		return stacks[index];
	map = mmap((void *)(SIM_STACK_BASE + index * each), each, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (map == MAP_FAILED || mprotect(map, OS_PAGE_SIZE, PROT_NONE))
		sim_fail("no memory for a stack");
	stacks[index] = map + OS_PAGE_SIZE;
	return stacks[index];
}

_Noreturn static void fibre_main(void)
{
	struct sim_fibre *f = sim.self;

	f->fn(f->arg);
	sim_fibre_end();
}

/* What sim_context_switch() takes off: modes, six registers, where to go; a call would have left the stack so. */
static void *first_frame(char *stack)
{
	uint64_t *sp = (uint64_t *)(stack + SIM_STACK_SIZE) - 1;

	*--sp = (uint64_t)(uintptr_t)fibre_main;
	sp -= 6;
	memset(sp, 0, 6 * sizeof(*sp));
	*--sp = (uint64_t)FCW_START << 32 | MXCSR_START;
	return sp;
}

struct sim_fibre *sim_fibre_new(const char *name, void (*fn)(void *), void *arg, bool actor)
{
	struct sim_fibre *f = &sim.fibres[sim.nr_fibres];

	if (sim.nr_fibres == SIM_MAX_FIBRES)
		sim_fail("too many fibres: %d in one schedule", SIM_MAX_FIBRES);
	memset(f, 0, offsetof(struct sim_fibre, stores));
	f->index = sim.nr_fibres++;
	f->name = name;
	f->fn = fn;
	f->arg = arg;
	f->actor = actor;
	f->op.kind = SIM_BEGIN;
	f->op.pc = (const void *)(uintptr_t)fn;
	f->sp = first_frame(stack_of(f->index));
	sim.runnable |= 1u << f->index;
	sim_race_spawned(f);
	if (actor)
		sim.actors_left++;
	if (sim.policy->spawned)
		sim.policy->spawned(f);
	return f;
}

void sim_switch(struct sim_fibre *to)
{
	struct sim_fibre *from = sim.self;

	if (to == from)
		return;
	sim.nr_switches++;
	sim.hash = (sim.hash ^ to->index) * 0x100000001b3ull;
	if (sim.recording)
		sim_record_switch(to);
	from->ran = 0;
	sim.self = to;
	sim_context_switch(&from->sp, to->sp);
}

static void held_nothing(const struct sim_fibre *f)
{
	char text[80];

	if (f->nr_held) {
		sim_addr_text(f->held[0].lock, text, sizeof(text));
		sim_fail("a lock is held at the end: %s ends and holds %s", f->name, text);
	}
	if (f->catch_top)
		sim_fail("a catch is open at the end: of %s", f->name);
}

static void is_over(struct sim_fibre *f)
{
	f->done = true;
	sim.runnable &= ~(1u << f->index);
	sim_wake_blocked(SIM_ON_JOIN, f);
	if (f->actor && !--sim.actors_left)
		sim_wake_blocked(SIM_ON_ACTORS, NULL);
}

_Noreturn void sim_fibre_end(void)
{
	struct sim_fibre *f = sim.self;

	sim_stores_drain();
	held_nothing(f);
	is_over(f);
	if (!f->index)
		sim_to_main();
	sim_block(SIM_ON_JOIN, NULL);
	__builtin_unreachable();
}

void sim_to_main(void)
{
	void *nowhere;

	sim_context_switch(&nowhere, sim.main_sp);
}

/* ---- for actors ------------------------------------------------------------------------------ */

struct sim_fibre *sim_spawn(const char *name, void (*fn)(void *arg), void *arg)
{
	struct sim_fibre *f = sim_fibre_new(name, fn, arg, true);

	/* Until setup has returned. */
	if (!sim.self->index && !sim.self->actor) {
		sim.runnable &= ~(1u << f->index);
		f->blocked = true;
		f->why = SIM_ON_SETUP;
	}
	return f;
}

struct sim_fibre *sim_self(void)
{
	return sim.self;
}

const char *sim_fibre_name(const struct sim_fibre *f)
{
	return f->name;
}

bool sim_fibre_done(const struct sim_fibre *f)
{
	return f->done;
}

void sim_join(struct sim_fibre *f)
{
	sim_step(SIM_WAIT, f, 0, __builtin_return_address(0));
	while (!f->done)
		sim_block(SIM_ON_JOIN, f);
	sim_race_after(f);
}

void sim_kill(struct sim_fibre *f)
{
	sim_assert(f != sim.self && !f->done);
	sim_stores_drain_fibre(f);
	if (f->blocked)
		sim_unblock(f);
	is_over(f);
	sim_step(SIM_WAKE, f, 0, __builtin_return_address(0));
}

void sim_point(void)
{
	sim_step(SIM_OWN, NULL, 0, __builtin_return_address(0));
}

unsigned int sim_choose(unsigned int n)
{
	unsigned int value;

	sim_assert(n > 0 && n <= 31);
	sim.self->own_steps++;
	value = n == 1 ? 0 : sim_decide(SIM_PICK, 0, (1u << n) - 1, false);
	sim.hash = (sim.hash ^ value) * 0x100000001b3ull;
	return value;
}

void sim_wait_for(bool (*cond)(void *arg), void *arg, const char *what)
{
	struct sim_fibre *f = sim.self;

	sim_step(SIM_WAIT, NULL, 0, __builtin_return_address(0));
	sim_stores_drain();
	while (!cond(arg)) {
		f->cond = cond;
		f->cond_arg = arg;
		f->what = what;
		sim.nr_conds++;
		sim_block(SIM_ON_COND, NULL);
	}
	sim_race_after_all();
}

void sim_signal(struct sim_fibre *f)
{
	f->signal = true;
	if (f->blocked && f->why == SIM_ON_WORD) {
		f->result = -4; /* EINTR */
		sim_unblock(f);
	}
	sim_step(SIM_WAKE, f, 0, __builtin_return_address(0));
}

void sim_alone_begin(void)
{
	sim_stores_drain();
	sim.quiet++;
}

void sim_alone_end(void)
{
	sim_assert(sim.quiet);
	sim.quiet--;
}
