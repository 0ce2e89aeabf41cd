/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a program wrote is believed only within what it wrote. */
#include "see/unwind.h"

#include <stdlib.h>
#include <string.h>

#include "see/trace.h"
#include "see/where.h"

#define MAX_FRAMES 16
#define NR_CODES 4096u
#define NR_CALLS 1024u

/* What is known of an address; the last that was asked of those that share the place. */
struct code {
	uint64_t address;
	uint32_t process; /* + 1; 0: nothing */
	bool is_known, is_wrapper, has_rule;
	struct see_frame_rule rule;
};

/* The last stack of a thread. */
struct call {
	uint32_t thread, process;
	uint64_t raw, found, time;
	uint64_t run_raw, run_found; /* of its last KVM_RUN that had one */
};

struct see_stacks {
	struct see_places *places;
	uint32_t nr_modules;
	struct code codes[NR_CODES];
	struct call calls[NR_CALLS];
	uint16_t by_number[OBS_NR_STACKS * 2]; /* place + 1 */
	uint32_t next_seen;		       /* of the region's next_stack */
	uint32_t nr_indexed;		       /* those that wait for their records */
	struct obs_stack copy;
};

struct see_stacks *see_stacks_new(void)
{
	struct see_stacks *s = calloc(1, sizeof(*s));

	if (s)
		s->places = see_places_new();
	if (s && !s->places) {
		free(s);
		s = NULL;
	}
	return s;
}

void see_stacks_free(struct see_stacks *s)
{
	if (s)
		see_places_free(s->places);
	free(s);
}

uint64_t see_stacks_lost(const struct obs_region *r)
{
	return atomic_load(&r->stacks_lost);
}

static void learn_modules(struct see_stacks *s, const struct obs_region *r)
{
	uint32_t nr = atomic_load(&r->nr_modules);
	struct trace_module m;

	while (s->nr_modules < nr && s->nr_modules < OBS_MAX_MODULES &&
	       trace_module_of(obs_module_at(r, s->nr_modules), &m)) {
		see_places_add(s->places, &m);
		s->nr_modules++;
		memset(s->codes, 0, sizeof(s->codes));
	}
}

/* ---- one stack ----------------------------------------------------------------------------------- */

static const struct code *code_at(struct see_stacks *s, uint32_t process, uint64_t address)
{
	uint64_t h = (address ^ (uint64_t)process << 48) * 0x9e3779b97f4a7c15ull;
	struct code *c = &s->codes[h >> 40 & (NR_CODES - 1)];
	const struct see_where *w;

	if (c->process == process + 1 && c->address == address)
		return c;
	w = see_place(s->places, process, address, true);
	*c = (struct code){ .address = address, .process = process + 1 };
	c->is_known = w->module;
	c->is_wrapper = w->is_wrapper;
	c->has_rule = see_frame_rule(s->places, process, address - 1, &c->rule);
	return c;
}

static bool load(const struct obs_stack *s, uint64_t address, uint64_t *value)
{
	uint64_t at = address - s->frame;

	if (s->size < sizeof(*value) || at > s->size - sizeof(*value))
		return false;
	memcpy(value, s->bytes + at, sizeof(*value));
	return true;
}

struct frame {
	uint64_t pc, rsp, rbp;
};

static bool step(const struct obs_stack *s, const struct see_frame_rule *r, struct frame *f)
{
	uint64_t cfa = (r->by_rbp ? f->rbp : f->rsp) + (uint64_t)r->offset;

	if (cfa <= f->rsp - sizeof(uint64_t) || !load(s, cfa + (uint64_t)r->return_at, &f->pc))
		return false;
	if (r->saves_rbp && !load(s, cfa + (uint64_t)r->rbp_at, &f->rbp))
		return false;
	f->rsp = cfa;
	return true;
}

/* 0: there is none outside of wrappers, as far as one can see. */
static uint64_t find_caller(struct see_stacks *s, uint32_t process, uint64_t raw)
{
	const struct obs_stack *stack = &s->copy;
	struct frame f = { .rsp = stack->frame + 16 };

	if (!load(stack, stack->frame, &f.rbp) || !load(stack, stack->frame + 8, &f.pc) ||
	    f.pc != raw)
		return 0;
	for (int i = 0; i < MAX_FRAMES; i++) {
		const struct code *c = code_at(s, process, f.pc);

		if (!c->is_known)
			return 0;
		if (!c->is_wrapper)
			return f.pc;
		if (!c->has_rule || !step(stack, &c->rule, &f))
			return 0;
	}
	return 0;
}

/* ---- records ---------------------------------------------------------------------------------------- */

static void set_caller(struct obs_record *r, uint64_t caller)
{
	r->caller_low = (uint32_t)caller;
	r->caller_high = (uint16_t)(caller >> 32);
}

static bool is_run(const struct obs_record *r)
{
	return r->kind == OBS_RUN_ENTER || r->kind == OBS_RUN_EXIT;
}

static struct call *call_of(struct see_stacks *s, const struct obs_record *r)
{
	struct call *c = &s->calls[r->thread & (NR_CALLS - 1)];

	if (c->thread != r->thread || c->process != r->process)
		*c = (struct call){ .thread = r->thread, .process = r->process };
	return c;
}

static void use_stack(struct see_stacks *s, struct obs_record *r, uint64_t raw)
{
	struct call *c = call_of(s, r);
	uint64_t found = find_caller(s, r->process, raw);

	if (!found)
		return;
	c->raw = raw;
	c->found = found;
	c->time = r->time;
	if (is_run(r)) {
		c->run_raw = raw;
		c->run_found = found;
	}
	set_caller(r, found);
}

/* What comes in the middle of an ioctl that has told its stack. */
static bool is_inside(const struct obs_record *r)
{
	switch (r->kind) {
	case OBS_CONVERT:
	case OBS_VM_CONVERT:
	case OBS_ASKED:
	case OBS_BIND:
	case OBS_SLOT:
	case OBS_SLOT_HOST:
	case OBS_VM_MADE:
	case OBS_VCPU_MADE:
	case OBS_FILE_MADE:
		return true;
	default:
		return false;
	}
}

/* One of the same call; or another KVM_RUN of the thread. A request is told at its end, with the time it began. */
static void use_last(struct see_stacks *s, struct obs_record *r, uint64_t raw)
{
	const struct call *c = call_of(s, r);

	if (is_run(r) && c->run_raw == raw)
		set_caller(r, c->run_found);
	else if (c->raw == raw && (r->kind == OBS_REQUEST ? c->time >= r->time : is_inside(r)))
		set_caller(r, c->found);
}

static uint32_t hash(uint64_t number)
{
	return (uint32_t)(number * 0x9e3779b97f4a7c15ull >> 32);
}

/* Those of records before first nobody will ask for. */
static void index_stacks(struct see_stacks *s, struct obs_region *r, uint64_t first)
{
	uint32_t next = atomic_load(&r->next_stack);

	if (next == s->next_seen && !s->nr_indexed)
		return;
	s->next_seen = next;
	s->nr_indexed = 0;
	memset(s->by_number, 0, sizeof(s->by_number));
	for (uint32_t i = 0; i < OBS_NR_STACKS; i++) {
		struct obs_stack *stack = obs_stack_at(r, i);
		uint32_t h = hash(stack->number);

		if (atomic_load_explicit(&stack->state, memory_order_acquire) != OBS_STACK_FILLED)
			continue;
		if ((int64_t)(stack->number - first) < 0) {
			atomic_store(&stack->state, OBS_STACK_FREE);
			continue;
		}
		while (s->by_number[h % (OBS_NR_STACKS * 2)])
			h++;
		s->by_number[h % (OBS_NR_STACKS * 2)] = (uint16_t)(i + 1);
		s->nr_indexed++;
	}
}

/* It is copied and free again: the program could change it while we look. */
static bool take_stack(struct see_stacks *s, struct obs_region *r, uint64_t number)
{
	for (uint32_t h = hash(number);; h++) {
		uint16_t i = s->by_number[h % (OBS_NR_STACKS * 2)];
		struct obs_stack *stack;

		if (!i || !s->nr_indexed)
			return false;
		stack = obs_stack_at(r, i - 1u);
		if (stack->number != number)
			continue;
		memcpy(&s->copy, stack, sizeof(s->copy));
		atomic_store_explicit(&stack->state, OBS_STACK_FREE, memory_order_release);
		if (s->copy.size > OBS_STACK_BYTES)
			s->copy.size = 0;
		return true;
	}
}

void see_stacks_apply(void *stacks, struct obs_region *r, struct obs_record *records, size_t nr,
		      uint64_t first)
{
	struct see_stacks *s = stacks;

	learn_modules(s, r);
	index_stacks(s, r, first);
	for (size_t i = 0; i < nr; i++) {
		uint64_t raw = obs_record_caller(&records[i]);

		if (take_stack(s, r, first + i))
			use_stack(s, &records[i], raw);
		else
			use_last(s, &records[i], raw);
		if (records[i].kind == OBS_REQUEST)
			call_of(s, &records[i])->raw = 0;
	}
}
