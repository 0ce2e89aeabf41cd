/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* counts: a region's counters and histograms, of all threads together. */
#ifndef GMEM_SEE_COUNTS_H
#define GMEM_SEE_COUNTS_H

#include "see/see.h"

struct see_count {
	uint64_t nr, failed, ticks;
	uint64_t buckets[OBS_NR_BUCKETS];
};

struct see_counts {
	struct see_count kinds[OBS_NR_EVENTS];
	struct see_count details[OBS_NR_DETAILS];
};

struct see_detail {
	unsigned int kind; /* that it is within: enum obs_event */
	const char *name;
};
extern const struct see_detail see_details_of_kinds[OBS_NR_DETAILS];

/* Counters go on meanwhile: each is read at some moment. */
void see_counts_read(const struct obs_region *r, struct see_counts *out);

/* How many took a time. */
uint64_t see_count_timed(const struct see_count *c);
/* So many of a hundred took at most this long, in ticks; a bucket's are taken to be spread evenly in it. 100: the end of
 * the last bucket that has any. 0: none took a time. */
uint64_t see_count_percentile(const struct see_count *c, unsigned int percent);

#endif
