/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The writing side of the region: a record in the ring, and the counters of the thread's lane. */
#include "obs/tell.h"

#include "obs/region.h"
#include "obs/stack.h"

/* With an observer this is much of what a short request costs: in one piece, with what is told in registers. */
#define ALWAYS __attribute__((always_inline))

_Atomic(struct obs_region *) obs_attached;

static _Atomic uint32_t own_process = OBS_MAX_PROCESSES;
/* Of the ring. A copy: the region's own word is the program's to spoil, and would lead us out of it. */
static _Atomic uint64_t nr_places;

uint32_t obs_own_process(void)
{
	return os_racy_load(&own_process);
}

bool obs_looks_closer(void)
{
	struct obs_region *r = os_racy_load(&obs_attached);

	return r && r->looks_closer;
}

/* ---- the ring ----------------------------------------------------------------------------- */

#define PREFETCH 4

/*
 * The ring is larger than caches, and the reader has had each line: who comes next finds the place there, and as his own.
 * The compiler's own prefetch asks for it as one that is only read, unless it is told of a younger processor.
 */
static inline ALWAYS void prefetch(const struct obs_record *place)
{
	__asm__ volatile("prefetchw %0" : : "m"(*place));
}

/* The place is ours until we store its sequence. */
static inline ALWAYS bool reserve(struct obs_ring *ring, uint64_t nr, uint64_t *n)
{
	uint64_t head = os_racy_load(&ring->head);

	do {
		if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) >= nr) {
			atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&ring->head, &head, head + 1, memory_order_relaxed, memory_order_relaxed));
	*n = head;
	return true;
}

/*
 * The reader leaves a place whose writer stands still for long, and the place comes to another. So each writer marks
 * it first, and goes without its record when an earlier one has it still, or a later one has had it. NULL: it does;
 * the reader counts the number as lost.
 */
static inline ALWAYS struct obs_record *take_place(const struct obs_region *r, uint64_t nr,
						   uint64_t n)
{
	struct obs_record *p = obs_record_at(r, nr, n);
	uint32_t now = __atomic_load_n(&p->sequence, __ATOMIC_ACQUIRE);

	do {
		if (!obs_place_is_free(now, n, nr))
			return NULL;
	} while (!__atomic_compare_exchange_n(&p->sequence, &now, obs_sequence_taken(n), false,
					      __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return p;
}

static inline int16_t error_of(long result)
{
	if (result < 0 && result >= INT16_MIN)
		return (int16_t)result;
	return 0;
}

static inline void publish(struct obs_record *place, uint64_t n)
{
	__atomic_store_n(&place->sequence, obs_sequence_filled(n), __ATOMIC_RELEASE);
}

/* The event has no record. */
static __attribute__((noinline, cold)) void note_lost(struct os_context *me)
{
	uint64_t now = os_tsc();

	if (!me->lost++)
		me->lost_since = now;
	me->lost_until = now;
}

/* The thread's records go on: how many are missing comes first. False: there is no room even for that. */
static __attribute__((noinline, cold)) bool tell_gap(struct obs_region *r, uint64_t nr,
						     struct os_context *me)
{
	struct obs_record *p;
	uint64_t n;

	if (!reserve(&r->ring, nr, &n))
		return false;
	p = take_place(r, nr, n);
	if (!p)
		return true;
	p->thread = me->thread;
	p->time = me->lost_since;
	p->ticks = obs_ticks_pack(me->lost_until - me->lost_since);
	p->caller_low = 0;
	p->caller_high = 0;
	p->result = 0;
	p->kind = OBS_GAP;
	p->rule = 0;
	p->process = (uint16_t)os_racy_load(&own_process);
	p->vm = me->vm;
	p->vcpu = me->vcpu;
	p->file = 0;
	p->a = me->lost;
	p->b = 0;
	p->c = 0;
	publish(p, n);
	me->lost = 0;
	return true;
}

static inline ALWAYS void put_record(struct obs_region *r, const struct obs_told *t,
				     struct os_context *me, uint64_t time, uint64_t ticks)
{
	uint64_t nr = os_racy_load(&nr_places);
	struct obs_record *p;
	uint64_t n;

	if ((__builtin_expect(me->lost, 0) && !tell_gap(r, nr, me)) || !reserve(&r->ring, nr, &n)) {
		note_lost(me);
		return;
	}
	p = take_place(r, nr, n);
	if (!p)
		return;
	prefetch(obs_record_at(r, nr, n + PREFETCH));
	p->thread = me->thread;
	p->time = time;
	p->ticks = obs_ticks_pack(ticks);
	p->caller_low = (uint32_t)me->caller;
	p->caller_high = (uint16_t)(me->caller >> 32);
	p->result = error_of(t->result);
	p->kind = (uint16_t)t->kind;
	p->rule = t->rule;
	p->process = (uint16_t)os_racy_load(&own_process);
	p->vm = me->vm;
	p->vcpu = me->vcpu;
	p->file = t->file ? t->file : me->file;
	p->a = t->a;
	p->b = t->b;
	p->c = t->c;
	publish(p, n);
}

/* ---- counters ----------------------------------------------------------------------------- */

static inline void add(_Atomic uint64_t *word, uint64_t value, bool is_shared)
{
	if (__builtin_expect(is_shared, 0))
		atomic_fetch_add_explicit(word, value, memory_order_relaxed);
	else
		os_racy_store(word, os_racy_load(word) + value);
}

static inline ALWAYS void add_up(struct obs_counter *c, bool is_shared, long result, bool is_timed,
				 uint64_t ticks)
{
	add(&c->nr, 1, is_shared);
	if (result < 0)
		add(&c->failed, 1, is_shared);
	if (is_timed) {
		uint32_t log = 63u - (uint32_t)__builtin_clzll(ticks | 1);
		uint32_t bucket = log < OBS_NR_BUCKETS ? log : OBS_NR_BUCKETS - 1;

		add(&c->ticks, ticks, is_shared);
		add(&c->buckets[bucket], 1, is_shared);
	}
}

static inline ALWAYS void add_event(struct obs_region *r, const struct obs_told *t, uint32_t lane,
				    uint64_t ticks)
{
	add_up(&obs_lane_at(r, lane)->kinds[t->kind], lane == OBS_NR_LANES - 1, t->result,
	       t->start != 0, ticks);
}

/* ---- a thread's first event, and each -------------------------------------------------------- */

static __attribute__((noinline)) void begin_thread(struct obs_region *r, struct os_context *me)
{
	uint32_t lane = atomic_fetch_add(&r->next_lane, 1);

	/* The number of all who came shall not come round. */
	if (lane >= OBS_NR_LANES - 1) {
		os_racy_store(&r->next_lane, OBS_NR_LANES - 1);
		lane = OBS_NR_LANES - 1;
	}
	me->thread = os_thread_number();
	me->lane = lane + 1;
}

static inline ALWAYS void tell_observer(struct obs_region *r, const struct obs_told *t)
{
	struct os_context *me = os_context();
	uint64_t now = os_tsc();
	uint64_t ticks = t->start ? now - t->start : 0;

	if (__builtin_expect(!me->lane, 0))
		begin_thread(r, me);
	me->told = now;
	if (__builtin_expect(r->wants_stacks, 0) && !me->is_placed && me->frame &&
	    obs_wants_place(t->kind, t->result))
		obs_place_caller(r, me);
	if (r->wants_records)
		put_record(r, t, me, t->start ? t->start : now, ticks);
	add_event(r, t, me->lane - 1, ticks);
}

/* By value: what has an address is not in registers. */
static __attribute__((noinline, cold)) void tell_others(struct obs_told t)
{
	obs_tell_others(&t);
}

static inline ALWAYS void tell(const struct obs_told *t)
{
	struct obs_region *r = os_racy_load(&obs_attached);

	if (__builtin_expect(os_racy_load(&os_wanted) != OS_WANTED_BY_OBSERVER, 0))
		tell_others(*t);
	if (r)
		tell_observer(r, t);
}

void obs_more_span(enum obs_event event, uint16_t file, uint64_t start, long result, uint64_t a,
		   uint64_t b, uint64_t c)
{
	tell(&(struct obs_told){ .kind = event,
				 .file = file,
				 .start = start,
				 .result = result,
				 .a = a,
				 .b = b,
				 .c = c });
}

void obs_more_of(enum obs_event event, uint16_t file, uint64_t a, uint64_t b, uint64_t c)
{
	obs_more_span(event, file, 0, 0, a, b, c);
}

void obs_more(enum obs_event event)
{
	struct obs_told t = { .kind = event };
	struct obs_region *r = os_racy_load(&obs_attached);
	struct os_context *me = os_context();

	obs_tell_others(&t);
	if (!r)
		return;
	if (!me->lane)
		begin_thread(r, me);
	add_event(r, &t, me->lane - 1, 0);
}

void obs_detail(enum obs_detail detail, uint64_t start, long result)
{
	struct obs_region *r = os_racy_load(&obs_attached);
	const struct os_context *me = os_context();
	uint32_t lane = me->lane - 1;

	if (r && me->lane)
		add_up(&obs_lane_at(r, lane)->details[detail], lane == OBS_NR_LANES - 1, result,
		       true, me->told - start);
}

void obs_refused(int err, uint16_t rule)
{
	struct os_context *me = os_context();

	me->rule = rule;
	me->result = error_of(err);
	me->refusals++;
	if (obs_watched())
		tell(&(struct obs_told){
			.kind = OBS_REFUSAL, .rule = rule, .result = err, .a = rule });
}

/* ---- processes ------------------------------------------------------------------------------ */

static void enlist(struct obs_region *r, const struct obs_self *self)
{
	uint32_t i = atomic_fetch_add(&r->nr_processes, 1);
	struct obs_process *p;

	if (i >= OBS_MAX_PROCESSES) {
		atomic_fetch_sub(&r->nr_processes, 1);
		atomic_fetch_add(&r->processes_lost, 1);
		i = OBS_MAX_PROCESSES;
	} else {
		p = obs_process_at(r, i);
		p->pid = self->pid;
		p->parent = self->parent;
		p->start = os_tsc();
		obs_copy_end(p->name, sizeof(p->name), self->name);
		atomic_store_explicit(&p->state, OBS_STATE_LIVES, memory_order_release);
	}
	os_racy_store(&own_process, i);
	obs_count(OBS_PROCESS_MADE, self->pid, self->parent, r->looks_closer);
}

bool obs_attach(void *region, uint64_t size, const struct obs_self *self)
{
	struct obs_region *r = region;
	uint64_t nr = obs_region_check(r, size);

	if (!nr)
		return false;
	os_racy_store(&nr_places, nr);
	atomic_store_explicit(&obs_attached, r, memory_order_release);
	atomic_fetch_or(&os_wanted, OS_WANTED_BY_OBSERVER);
	enlist(r, self);
	return true;
}

void obs_after_fork(const struct obs_self *self)
{
	struct os_context *me = os_context();
	struct obs_region *r = os_racy_load(&obs_attached);

	me->lane = 0;
	me->thread = 0;
	me->lost = 0;
	if (!r)
		return;
	obs_forget_code();
	enlist(r, self);
}

void obs_end(void)
{
	struct obs_region *r = os_racy_load(&obs_attached);
	uint32_t i = os_racy_load(&own_process);

	if (!r || i >= OBS_MAX_PROCESSES ||
	    atomic_exchange(&obs_process_at(r, i)->state, OBS_STATE_GONE) == OBS_STATE_GONE)
		return;
	obs_count(OBS_PROCESS_GONE, obs_process_at(r, i)->pid, 0, 0);
}

void obs_detach(void)
{
	atomic_fetch_and(&os_wanted, ~OS_WANTED_BY_OBSERVER);
	atomic_store(&obs_attached, NULL);
	*os_context() = (struct os_context){ 0 };
	obs_forget_code();
	obs_forget_stacks();
}
