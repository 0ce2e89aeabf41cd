/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a program wrote is believed only within what it wrote. */
#include "see/unwind.h"

#include <stdlib.h>
#include <string.h>

#include "obs/walk.h"
#include "see/listed.h"
#include "see/where.h"

#define NR_CODES 4096u
#define NR_ONLY 1024u

/* What is known of an address; the last that was asked of those that share the place. */
struct code {
	uint64_t address;
	uint32_t process; /* + 1; 0: nothing */
	struct obs_frame_code is;
};

/* What a stack became: as in a record of the ring, no stack. */
struct resolved {
	uint32_t number;
	uint64_t caller;
};

/* Of a function that only passes calls on: the place that is outside of it, as long as there is but one. */
struct only {
	uint32_t process; /* + 1; 0: nothing */
	bool is_one;
	uint64_t caller, place;
};

struct see_stacks {
	struct see_places *places;
	uint32_t nr_modules; /* those below are all known */
	bool has_module[OBS_MAX_MODULES];
	uint32_t done; /* of the region's next_stack: all before are read */
	struct code codes[NR_CODES];
	struct resolved resolved[OBS_STACKS_GOOD * 2];
	struct see_chain chains[OBS_NR_CHAINS];
	struct only only[NR_ONLY];
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

/* ---- code ------------------------------------------------------------------------------------------- */

/* The new one may be what was missing, or where another one was. */
static void forget_code(struct obs_region *r, const struct trace_module *m)
{
	for (uint32_t i = 0; i < OBS_NR_CODES; i++) {
		struct obs_frame_code *c = obs_code_at(r, i);
		uint32_t state = atomic_load(&c->state);

		if (c->process == m->process &&
		    (!(state & OBS_CODE_RULED) || c->address - m->start < m->end - m->start))
			atomic_store(&c->state, 0);
	}
}

/* A row stays empty when who took it was killed. */
static void learn_modules(struct see_stacks *s, struct obs_region *r)
{
	uint32_t nr = see_nr_modules(r);
	struct trace_module m;

	for (uint32_t i = s->nr_modules; i < nr; i++) {
		if (!s->has_module[i] && see_module_read(r, i, &m)) {
			s->has_module[i] = true;
			see_places_add(s->places, &m);
			memset(s->codes, 0, sizeof(s->codes));
			forget_code(r, &m);
		}
		s->nr_modules += s->has_module[i] && i == s->nr_modules;
	}
}

static bool is_small(int64_t distance)
{
	return distance == (int32_t)distance;
}

/* Nobody has called main(). */
static bool is_first(const struct see_where *w)
{
	return w->function && !strcmp(w->function, "main");
}

static void ask(struct see_stacks *s, uint32_t process, uint64_t address,
		struct obs_frame_code *out)
{
	const struct see_where *w = see_place(s->places, process, address, true);
	bool is_end = is_first(w);
	struct see_frame_rule rule;

	*out = (struct obs_frame_code){ .state = OBS_CODE_THERE,
					.process = process,
					.address = address };
	out->state |= (w->module ? OBS_CODE_KNOWN : 0u) | (w->is_wrapper ? OBS_CODE_WRAPS : 0u);
	if (is_end || !see_frame_rule(s->places, process, address - 1, &rule) ||
	    !is_small(rule.offset) || !is_small(rule.return_at) || !is_small(rule.rbp_at))
		return;
	out->offset = (int32_t)rule.offset;
	out->return_at = (int32_t)rule.return_at;
	out->rbp_at = (int32_t)rule.rbp_at;
	out->state |= OBS_CODE_RULED | (rule.by_rbp ? OBS_CODE_BY_RBP : 0u) |
		      (rule.saves_rbp ? OBS_CODE_SAVES_RBP : 0u);
}

static const struct obs_frame_code *code_of(struct see_stacks *s, uint32_t process,
					    uint64_t address)
{
	struct code *c = &s->codes[obs_code_hash(process, address) & (NR_CODES - 1)];

	if (c->process != process + 1 || c->address != address) {
		c->process = process + 1;
		c->address = address;
		ask(s, process, address, &c->is);
	}
	return &c->is;
}

/* Now the program may go on there by itself. */
static void publish(struct obs_region *r, const struct obs_frame_code *is)
{
	uint32_t h = obs_code_hash(is->process, is->address);

	for (uint32_t i = h; i != h + OBS_NR_PROBES; i++) {
		struct obs_frame_code *c = obs_code_at(r, i);

		if (c->address && (c->address != is->address || c->process != is->process))
			continue;
		if (atomic_load(&c->state))
			return;
		c->process = is->process;
		c->offset = is->offset;
		c->return_at = is->return_at;
		c->rbp_at = is->rbp_at;
		c->address = is->address;
		atomic_store_explicit(&c->state, is->state, memory_order_release);
		return;
	}
}

/* ---- one stack ----------------------------------------------------------------------------------- */

struct stack_walk {
	struct see_stacks *s;
	struct obs_region *r;
};

static bool look(void *own, uint64_t address, struct obs_frame_code *out)
{
	struct stack_walk *w = own;

	*out = *code_of(w->s, w->s->copy.process, address);
	publish(w->r, out);
	return true;
}

static bool load(void *own, uint64_t address, uint64_t *value)
{
	const struct obs_stack *s = &((struct stack_walk *)own)->s->copy;
	uint64_t at = address - s->frame;

	if (s->size < sizeof(*value) || at > s->size - sizeof(*value))
		return false;
	memcpy(value, s->bytes + at, sizeof(*value));
	return true;
}

static struct only *only_of(struct see_stacks *s, uint32_t process, uint64_t caller)
{
	struct only *o = &s->only[obs_code_hash(process, caller) & (NR_ONLY - 1)];

	return o->process == process + 1 && o->caller == caller ? o : NULL;
}

static void note_only(struct see_stacks *s, const struct obs_stack *stack, uint64_t place)
{
	struct only *o = only_of(s, stack->process, stack->caller);

	if (o) {
		o->is_one = o->is_one && o->place == place;
		return;
	}
	o = &s->only[obs_code_hash(stack->process, stack->caller) & (NR_ONLY - 1)];
	/* Whoever shares the place with another has none. */
	*o = (struct only){ .process = stack->process + 1,
			    .is_one = !o->process,
			    .caller = stack->caller,
			    .place = place };
}

static uint64_t caller_of(struct see_stacks *s, struct obs_region *r, const struct obs_places *p)
{
	uint64_t key = obs_chain_key(s->copy.process, p);
	bool is_there;
	uint32_t n = obs_chain_find(r, key, &is_there);

	if (n == OBS_NR_CHAINS)
		return p->places[0];
	if (!is_there) {
		s->chains[n] = (struct see_chain){ .process = s->copy.process, .is = *p };
		atomic_store_explicit(obs_chain_at(r, n), key, memory_order_release);
	}
	return obs_caller_of_chain(n);
}

static void resolve(struct see_stacks *s, struct obs_region *r)
{
	const struct obs_stack *stack = &s->copy;
	struct stack_walk own = { .s = s, .r = r };
	const struct obs_walker w = { .look = look, .load = load, .own = &own };
	struct resolved *to = &s->resolved[stack->number % (OBS_STACKS_GOOD * 2)];
	struct obs_places p;

	obs_walk(&w, stack->frame, stack->caller, &p);
	to->number = stack->number;
	to->caller = caller_of(s, r, &p);
	note_only(s, stack, p.nr ? p.places[0] : 0);
}

/* It is copied and free again: the program could change it while we look. */
static bool take_stack(struct see_stacks *s, struct obs_region *r, uint32_t number)
{
	struct obs_stack *stack = obs_stack_at(r, number);

	switch (atomic_load_explicit(&stack->state, memory_order_acquire)) {
	case OBS_STACK_FREE:
		return true;
	case OBS_STACK_FILLED:
		break;
	default:
		return false;
	}
	memcpy(&s->copy, stack, sizeof(s->copy));
	atomic_store_explicit(&stack->state, OBS_STACK_FREE, memory_order_release);
	if (s->copy.size > OBS_STACK_BYTES)
		s->copy.size = 0;
	resolve(s, r);
	return true;
}

/* One that is being written is not referred to yet, and is looked at again. */
static void take_stacks(struct see_stacks *s, struct obs_region *r)
{
	uint32_t next = atomic_load(&r->next_stack), first;
	bool all = true;

	if (next - s->done > OBS_NR_STACKS)
		s->done = next - OBS_NR_STACKS;
	first = s->done;
	for (uint32_t i = first; i != next; i++) {
		all = take_stack(s, r, i) && all;
		if (all)
			s->done = i + 1;
	}
}

/* ---- records ---------------------------------------------------------------------------------------- */

static void set_caller(struct obs_record *r, uint64_t caller)
{
	r->caller_low = (uint32_t)caller;
	r->caller_high = (uint16_t)(caller >> 32);
}

/* Those that have a place, when there is one and it was not lost. */
static bool wants_place(const struct obs_record *r)
{
	switch (r->kind) {
	case OBS_REQUEST:
		return r->result < 0;
	case OBS_CONVERT:
	case OBS_VM_CONVERT:
	case OBS_ASKED:
	case OBS_BIND:
	case OBS_SLOT:
	case OBS_SLOT_HOST:
	case OBS_PUNCH:
	case OBS_ALLOCATE:
	case OBS_DISCARD:
	case OBS_REFUSAL:
		return true;
	default:
		return false;
	}
}

static uint64_t found(struct see_stacks *s, const struct obs_record *r, uint32_t *chain)
{
	uint64_t caller = obs_record_caller(r);
	const struct only *o;

	if ((caller & OBS_CALLER_KIND) == OBS_CALLER_STACK) {
		const struct resolved *of = &s->resolved[(uint32_t)caller % (OBS_STACKS_GOOD * 2)];

		caller = of->number == (uint32_t)caller ? of->caller : 0;
	}
	if ((caller & OBS_CALLER_KIND) == OBS_CALLER_CHAIN) {
		*chain = (uint32_t)caller & (OBS_NR_CHAINS - 1);
		return s->chains[*chain].is.places[0];
	}
	o = caller && wants_place(r) ? only_of(s, r->process, caller) : NULL;
	return o && o->is_one && o->place ? o->place : caller;
}

void see_stacks_apply(void *stacks, struct obs_region *r, struct obs_record *records, size_t nr)
{
	struct see_stacks *s = stacks;
	uint32_t chain;

	learn_modules(s, r);
	take_stacks(s, r);
	for (size_t i = 0; i < nr; i++)
		set_caller(&records[i], found(s, &records[i], &chain));
}
