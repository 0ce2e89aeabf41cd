/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Windows: which ranges are being invalidated now, and which were a moment ago.
 *
 * A bracket opens a window before its zap and closes it after the change. A fault snapshots the
 * sequence before it reads anything, and installs its leaf only when neither a window that is open nor
 * one that closed since the snapshot meets the page. Only the ranges that matter make it retry: a
 * converter that never stops cannot starve faults elsewhere.
 *
 * A set is kept per index space: guest frame numbers, and addresses of the program. All under the mmu
 * lock. More brackets at once than there are entries share the last one, which then covers all of them.
 */
#ifndef GMEM_MMU_WINDOW_H
#define GMEM_MMU_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

#define WINDOW_NR_OPEN 8
#define WINDOW_NR_CLOSED 32

struct window {
	uint64_t start, end;  /* end is exclusive */
	uint32_t nr_brackets; /* 0: the entry is free */
};

struct window_set {
	struct window open[WINDOW_NR_OPEN];
	struct window closed[WINDOW_NR_CLOSED]; /* a ring by sequence */
	_Atomic uint64_t sequence;		/* counts the windows that closed */
	uint32_t nr_open;			/* brackets */
};

/* Without the mmu lock: how many have closed, or one less if one does just now. */
static inline uint64_t window_sequence(const struct window_set *set)
{
	return os_racy_load(&set->sequence);
}

void window_open(struct window_set *set, uint64_t start, uint64_t end);
void window_close(struct window_set *set, uint64_t start, uint64_t end);
/* The rest of the two below, for when there is something to look at. */
bool window_meets_open(const struct window_set *set, uint64_t start, uint64_t end);
bool window_meets_closed(const struct window_set *set, uint64_t sequence, uint64_t start,
			 uint64_t end);

/* A window that is open meets [start, end). */
static inline bool window_is_open(const struct window_set *set, uint64_t start, uint64_t end)
{
	return set->nr_open && window_meets_open(set, start, end);
}

/* A window closed since the sequence was read and met [start, end), or so many closed that nobody
 * knows any more. */
static inline bool window_closed_since(const struct window_set *set, uint64_t sequence,
				       uint64_t start, uint64_t end)
{
	return window_sequence(set) != sequence && window_meets_closed(set, sequence, start, end);
}

/* No bracket is running. */
bool window_set_idle(const struct window_set *set);

#endif
