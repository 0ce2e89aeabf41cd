/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/see.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How many records are taken at once: their places are free again after that. */
#define NR_COPY 4096u
/* A writer that was killed between taking a place and filling it does not come back. One that stands still for
 * longer than this (stopped, swapped out) is taken for one; its event is lost, and it harms no other (region.h). */
#define GIVE_UP_NS 2000000000ull
/* So many are not lost between two looks. */
#define LEAP (1ull << 36)

int see_drain_begin(struct obs_region *r, struct see_drain *d)
{
	*d = (struct see_drain){ .r = r, .nr = r->ring.nr, .tail = r->ring.tail };
	memcpy(d->made, r, sizeof(d->made));
	d->copy = malloc(NR_COPY * sizeof(*d->copy));
	return d->copy ? 0 : -ENOMEM;
}

void see_drain_end(struct see_drain *d)
{
	free(d->copy);
}

/* ---- sinks ------------------------------------------------------------------------------------- */

static void each_lost(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks, uint64_t nr)
{
	for (size_t i = 0; i < nr_sinks; i++) {
		struct see_sink *s = sinks[i];

		if (s->lost && !s->failed)
			s->failed = s->lost(s->own, d->r, nr) != 0;
	}
}

static void each_records(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks)
{
	for (size_t i = 0; i < nr_sinks; i++) {
		struct see_sink *s = sinks[i];

		if (s->records && !s->failed)
			s->failed = s->records(s->own, d->r, d->copy, d->nr_copy) != 0;
	}
}

static void tell_lost(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks)
{
	if (d->nr_lost + d->given_up != d->lost_told)
		each_lost(d, sinks, nr_sinks, d->nr_lost + d->given_up - d->lost_told);
	d->lost_told = d->nr_lost + d->given_up;
}

/* ---- damage ------------------------------------------------------------------------------------- */

/* Something is missing, though nobody can say how much: so it is one at least. */
static void damaged(struct see_drain *d)
{
	d->given_up += !d->is_damaged;
	d->is_damaged = true;
}

static void mend_header(struct see_drain *d)
{
	struct obs_ring *ring = &d->r->ring;

	if (!memcmp(d->r, d->made, sizeof(d->made)) && ring->nr == d->nr &&
	    ring->offset == OBS_AT_RING &&
	    atomic_load_explicit(&ring->tail, memory_order_relaxed) == d->tail)
		return;
	damaged(d);
	memcpy(d->r, d->made, sizeof(d->made));
	ring->nr = d->nr;
	ring->offset = OBS_AT_RING;
	atomic_store_explicit(&ring->tail, d->tail, memory_order_release);
}

/* Writers add one at a time: what falls, or leaps, was not counted by them. */
static void count_lost(struct see_drain *d)
{
	uint64_t now = atomic_load(&d->r->ring.lost);

	if (now - d->lost >= LEAP)
		damaged(d);
	else
		d->nr_lost += now - d->lost;
	d->lost = now;
}

static struct obs_record *place_at(const struct see_drain *d, uint64_t n)
{
	return obs_record_at(d->r, d->nr, n);
}

static uint32_t sequence_of(const struct obs_record *place)
{
	return __atomic_load_n(&place->sequence, __ATOMIC_ACQUIRE);
}

/* Up to where numbers have been given out. With one that cannot be, writers would stand still for ever. */
static uint64_t head_of(struct see_drain *d)
{
	uint64_t head = atomic_load_explicit(&d->r->ring.head, memory_order_acquire);
	uint64_t mended = d->tail;

	if (head - d->tail <= d->nr)
		return head;
	damaged(d);
	while (mended - d->tail < d->nr &&
	       sequence_of(place_at(d, mended)) == obs_sequence_filled(mended))
		mended++;
	atomic_compare_exchange_strong(&d->r->ring.head, &head, mended);
	return mended;
}

/* ---- records ------------------------------------------------------------------------------------ */

enum seen { WHOLE, NOT_YET, SPOILT };

static bool may_be_told(const struct obs_record *r)
{
	return r->kind > OBS_NONE && r->kind < OBS_NR_EVENTS && r->process <= OBS_MAX_PROCESSES;
}

static enum seen look(const struct see_drain *d, uint64_t n, struct obs_record *to)
{
	const struct obs_record *place = place_at(d, n);
	uint32_t sequence = sequence_of(place);

	if (sequence != obs_sequence_filled(n)) {
		bool is_right = sequence == obs_sequence_taken(n) ||
				obs_place_is_free(sequence, n, d->nr) ||
				obs_place_is_stuck(sequence, n, d->nr);

		return is_right ? NOT_YET : SPOILT;
	}
	*to = *place;
	to->sequence = sequence;
	/* x86 loads in order; the compiler shall, too. TSan knows no fence of threads. */
	atomic_signal_fence(memory_order_acquire);
	return sequence_of(place) == sequence && may_be_told(to) ? WHOLE : SPOILT;
}

/* It is lost, and the place is one that a later number may have. */
static void leave_spoilt(struct see_drain *d)
{
	struct obs_record *place = place_at(d, d->tail);
	uint32_t sequence = sequence_of(place);

	damaged(d);
	d->given_up++;
	__atomic_compare_exchange_n(&place->sequence, &sequence, obs_sequence_filled(d->tail),
				    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* What is complete from the tail on, up to the first that is not; or is spoilt, which is behind the tail then. */
static void take(struct see_drain *d, uint64_t head)
{
	for (d->nr_copy = 0; d->nr_copy < NR_COPY && d->tail != head; d->tail++) {
		enum seen seen = look(d, d->tail, &d->copy[d->nr_copy]);

		if (seen == NOT_YET)
			break;
		if (seen == SPOILT) {
			leave_spoilt(d);
			d->tail++;
			break;
		}
		d->nr_copy++;
	}
}

/* Nothing is complete at tail, and somebody has taken that place. Is it to be left? */
static bool give_up(struct see_drain *d, uint64_t head, uint64_t now_ns, bool final)
{
	if (final || d->tail < d->forsaken ||
	    obs_place_is_stuck(sequence_of(place_at(d, d->tail)), d->tail, d->nr))
		return true;
	if (d->stuck_at != d->tail + 1) {
		d->stuck_at = d->tail + 1;
		d->stuck_since = now_ns;
		d->stuck_head = head;
	}
	if (now_ns - d->stuck_since <= GIVE_UP_NS)
		return false;
	/* All who had a number then have been waited for as long. */
	d->forsaken = d->stuck_head;
	return true;
}

size_t see_drain(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks, uint64_t now_ns,
		 bool final)
{
	uint64_t head;
	size_t nr = 0;

	mend_header(d);
	head = head_of(d);
	while (d->tail != head) {
		uint64_t before = d->tail;

		take(d, head);
		if (d->tail == before) {
			if (!give_up(d, head, now_ns, final))
				break;
			d->tail++;
			d->given_up++;
		}
		atomic_store_explicit(&d->r->ring.tail, d->tail, memory_order_release);
		if (d->nr_copy && d->prepare)
			d->prepare(d->prepare_own, d->r, d->copy, d->nr_copy);
		if (d->nr_copy)
			each_records(d, sinks, nr_sinks);
		nr += d->nr_copy;
		/* Just here; whose events found no room is told by their threads (OBS_GAP). */
		tell_lost(d, sinks, nr_sinks);
	}
	count_lost(d);
	tell_lost(d, sinks, nr_sinks);
	return nr;
}
