/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/counts.h"

#include <string.h>

static uint64_t load(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void add(struct see_count *to, const struct obs_counter *from)
{
	to->nr += load(&from->nr);
	to->failed += load(&from->failed);
	to->ticks += load(&from->ticks);
	for (unsigned int i = 0; i < OBS_NR_BUCKETS; i++)
		to->buckets[i] += load(&from->buckets[i]);
}

const struct see_detail see_details_of_kinds[OBS_NR_DETAILS] = {
#define DETAIL(id, kind, name) [OBS_##id] = { OBS_##kind, name },
	OBS_DETAILS(DETAIL)
#undef DETAIL
};

static void add_lane(struct see_counts *to, const struct obs_lane *from)
{
	for (unsigned int k = 0; k < OBS_NR_EVENTS; k++)
		add(&to->kinds[k], &from->kinds[k]);
	for (unsigned int d = 0; d < OBS_NR_DETAILS; d++)
		add(&to->details[d], &from->details[d]);
}

/* Lanes are given out in order, the last is for who got none. */
void see_counts_read(const struct obs_region *r, struct see_counts *out)
{
	uint32_t used = atomic_load(&r->next_lane);

	memset(out, 0, sizeof(*out));
	for (uint32_t lane = 0; lane < OBS_NR_LANES; lane++)
		if (lane < used || lane == OBS_NR_LANES - 1)
			add_lane(out, obs_lane_at(r, lane));
}

uint64_t see_count_timed(const struct see_count *c)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i < OBS_NR_BUCKETS; i++)
		nr += c->buckets[i];
	return nr;
}

uint64_t see_count_percentile(const struct see_count *c, unsigned int percent)
{
	uint64_t nr = see_count_timed(c), seen = 0;
	double wanted = (double)nr * percent / 100;

	for (unsigned int i = 0; nr && i < OBS_NR_BUCKETS; i++) {
		double low = i ? (double)(1ull << i) : 0, width = i ? low : 2;

		if (c->buckets[i] && (double)(seen + c->buckets[i]) >= wanted)
			return (uint64_t)(low +
					  width * (wanted - (double)seen) / (double)c->buckets[i]);
		seen += c->buckets[i];
	}
	return 0;
}
