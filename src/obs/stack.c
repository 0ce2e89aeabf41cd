/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/stack.h"

#include "obs/obs.h"
#include "obs/walk.h"
#include "os/fault.h"
#include "os/os.h"

bool obs_wants_place(enum obs_event kind, long result)
{
	switch (kind) {
	case OBS_REQUEST:
		return result < 0;
	case OBS_RUN_ENTER:
	case OBS_RUN_EXIT:
	case OBS_CONVERT:
	case OBS_VM_CONVERT:
	case OBS_ASKED:
	case OBS_BIND:
	case OBS_SLOT:
	case OBS_SLOT_HOST:
	case OBS_VM_MADE:
	case OBS_VCPU_MADE:
	case OBS_FILE_MADE:
	case OBS_REFUSAL:
	case OBS_PUNCH:
	case OBS_ALLOCATE:
	case OBS_DISCARD:
		return true;
	default:
		return false;
	}
}

/* ---- by what the observer has said ----------------------------------------------------------- */

struct own_stack {
	const struct obs_region *r;
	uint64_t frame;
	uint32_t process;
};

static inline bool look(void *own, uint64_t address, struct obs_frame_code *out)
{
	const struct own_stack *s = own;
	uint32_t h = obs_code_hash(s->process, address);

	for (uint32_t i = h; i != h + OBS_NR_PROBES; i++) {
		const struct obs_frame_code *c = obs_code_at(s->r, i);
		uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

		if (c->address == address && c->process == s->process && state) {
			out->state = state;
			out->offset = c->offset;
			out->return_at = c->return_at;
			out->rbp_at = c->rbp_at;
			return true;
		}
		if (!c->address)
			return false;
	}
	return false;
}

/* By hand: a sanitizer has its own view of the program's stack. */
static inline bool load(void *own, uint64_t address, uint64_t *value)
{
	const struct own_stack *s = own;

	if (address - s->frame > OBS_STACK_BYTES - sizeof(*value))
		return false;
	__asm__ volatile("mov (%1), %0" : "=r"(*value) : "r"(address) : "memory");
	return true;
}

/* A stack of a signal handler, or one that is gone, may end anywhere. */
static bool walk(struct own_stack *s, uint64_t caller, struct obs_places *out)
{
	const struct obs_walker w = { .look = look, .load = load, .own = s };
	struct os_catch c;
	bool is_known;

	if (os_catch(&c))
		return false;
	is_known = obs_walk(&w, s->frame, caller, out);
	os_catch_end(&c);
	return is_known;
}

/* false: the observer has to look. */
static bool is_known(struct own_stack *s, struct os_context *me)
{
	struct obs_places p;
	uint32_t number;
	bool is_there;

	if (!walk(s, me->caller, &p))
		return false;
	number = obs_chain_find(s->r, obs_chain_key(s->process, &p), &is_there);
	if (number == OBS_NR_CHAINS)
		me->caller = p.places[0];
	else if (is_there)
		me->caller = obs_caller_of_chain(number);
	return number == OBS_NR_CHAINS || is_there;
}

/* ---- copies ---------------------------------------------------------------------------------- */

#define NR_WORDS 32u
#define NR_RECENT 256u
#define BEFORE 256ull /* bytes */

/* Stacks that were copied: the upper half of what they look like, and their number. A 0 is none. */
static _Atomic uint64_t recent[NR_RECENT];

/* Frame pointers that a walk may use point into the stack, or to a bit before it. */
static bool is_near(uint64_t word, uint64_t frame)
{
	return word - frame + BEFORE < OBS_STACK_BYTES + 2 * BEFORE;
}

static uint64_t add_words(uint64_t h, const uint64_t *words, uint64_t nr, uint64_t at,
			  uint64_t frame)
{
	for (uint64_t i = 0; i < nr; i++) {
		if (is_near(words[i], frame))
			h = obs_mix(h ^ (at + i * 8), words[i] - frame);
		else if (words[i] >= OS_PAGE_SIZE && obs_knows_caller(words[i]))
			h = obs_mix(h ^ (at + i * 8) << 32, words[i]);
	}
	return h;
}

/* A walk uses no word but those that point to code and to the stack: where those are the same, so is what it finds. */
static uint64_t looks_like(const struct own_stack *s)
{
	uint64_t h = s->process;

	for (uint64_t at = 0, size; at < OBS_STACK_BYTES; at += size) {
		uint64_t words[NR_WORDS], left = OBS_STACK_BYTES - at;

		/* Not beyond the end of a page: what is behind it may not be there. */
		size = sizeof(words) - ((s->frame + at) & (sizeof(words) - 1));
		size = size < left ? size : left;
		if (os_copy_in(words, s->frame + at, size))
			break;
		h = add_words(h, words, size / sizeof(words[0]), at, s->frame);
	}
	return h | 1ull << 32;
}

static uint32_t copy(uint8_t *to, uint64_t from)
{
	uint64_t first = OS_PAGE_SIZE - (from & (OS_PAGE_SIZE - 1));
	uint64_t size = OBS_STACK_BYTES;

	if (first >= size)
		return os_copy_in(to, from, size) ? 0 : (uint32_t)size;
	if (os_copy_in(to, from, first))
		return 0;
	return (uint32_t)(os_copy_in(to + first, from + first, size - first) ? first : size);
}

static bool put_stack(struct obs_region *r, const struct own_stack *own,
		      const struct os_context *me, uint32_t *number)
{
	struct obs_stack *s;
	uint32_t state = OBS_STACK_FREE;

	*number = atomic_fetch_add(&r->next_stack, 1);
	s = obs_stack_at(r, *number);
	if (!atomic_compare_exchange_strong(&s->state, &state, OBS_STACK_TAKEN)) {
		atomic_fetch_add_explicit(&r->stacks_lost, 1, memory_order_relaxed);
		return false;
	}
	s->number = *number;
	s->process = own->process;
	s->caller = me->caller;
	s->frame = own->frame;
	s->size = copy(s->bytes, own->frame);
	atomic_store_explicit(&s->state, OBS_STACK_FILLED, memory_order_release);
	return true;
}

static __attribute__((noinline)) void refer_to_stack(struct obs_region *r,
						     const struct own_stack *s,
						     struct os_context *me)
{
	uint64_t like = looks_like(s);
	_Atomic uint64_t *place = &recent[like & (NR_RECENT - 1)];
	uint64_t before = atomic_load_explicit(place, memory_order_acquire);
	uint32_t number = (uint32_t)before;

	if (before >> 32 != like >> 32 || os_racy_load(&r->next_stack) - number > OBS_STACKS_GOOD) {
		if (!put_stack(r, s, me, &number))
			return;
		atomic_store_explicit(place, (like & ~(uint64_t)UINT32_MAX) | number,
				      memory_order_release);
	}
	me->caller = obs_caller_of_stack(number);
}

void obs_forget_stacks(void)
{
	for (uint32_t i = 0; i < NR_RECENT; i++)
		os_racy_store(&recent[i], 0);
}

void obs_place_caller(struct obs_region *r, struct os_context *me)
{
	struct own_stack s = { .r = r, .frame = me->frame, .process = obs_own_process() };

	/* Nobody's stack is as crooked as that. */
	if (me->frame % sizeof(uint64_t) == 0 && !is_known(&s, me))
		refer_to_stack(r, &s, me);
	me->is_placed = 1;
}
