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

int see_drain_begin(struct obs_region *r, struct see_drain *d)
{
	*d = (struct see_drain){ .r = r, .copy = malloc(NR_COPY * sizeof(*d->copy)) };
	return d->copy ? 0 : -ENOMEM;
}

void see_drain_end(struct see_drain *d)
{
	free(d->copy);
}

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

static bool is_there(const struct obs_record *place, uint64_t n)
{
	return __atomic_load_n(&place->sequence, __ATOMIC_ACQUIRE) == (uint32_t)(n + 1);
}

/* How many from tail on are complete. */
static size_t take(struct see_drain *d, uint64_t tail, uint64_t head)
{
	size_t nr = 0;

	while (nr < NR_COPY && tail + nr != head) {
		const struct obs_record *place = obs_record_at(d->r, tail + nr);

		if (!is_there(place, tail + nr))
			break;
		d->copy[nr++] = *place;
	}
	return nr;
}

/* Nothing is complete at tail, and somebody has taken that place. Is it to be left? */
static bool give_up(struct see_drain *d, uint64_t tail, uint64_t now_ns, bool final)
{
	const struct obs_record *place = obs_record_at(d->r, tail);

	if (final || obs_place_is_stuck(__atomic_load_n(&place->sequence, __ATOMIC_ACQUIRE), tail,
					d->r->ring.nr))
		return true;
	if (d->stuck_at != tail + 1) {
		d->stuck_at = tail + 1;
		d->stuck_since = now_ns;
	}
	return now_ns - d->stuck_since > GIVE_UP_NS;
}

static void tell_lost(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks)
{
	uint64_t lost = atomic_load(&d->r->ring.lost) + d->given_up;

	if (lost != d->lost_told)
		each_lost(d, sinks, nr_sinks, lost - d->lost_told);
	d->lost_told = lost;
}

size_t see_drain(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks, uint64_t now_ns,
		 bool final)
{
	struct obs_ring *ring = &d->r->ring;
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	size_t nr = 0;

	/* Not by us: a program that writes anywhere has written here. */
	if (head - tail > ring->nr)
		head = tail;
	while (tail != head) {
		d->nr_copy = take(d, tail, head);
		if (!d->nr_copy && !give_up(d, tail, now_ns, final))
			break;
		if (d->prepare)
			d->prepare(d->prepare_own, d->r, d->copy, d->nr_copy);
		tail += d->nr_copy ? d->nr_copy : 1;
		d->given_up += !d->nr_copy;
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
		if (d->nr_copy)
			each_records(d, sinks, nr_sinks);
		nr += d->nr_copy;
	}
	tell_lost(d, sinks, nr_sinks);
	return nr;
}
