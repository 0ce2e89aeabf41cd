/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/window.h"

#include <stddef.h>

#include "core/range.h"
#include "os/os.h"

static bool meets(const struct window *w, uint64_t start, uint64_t end)
{
	return ranges_meet(w->start, w->end, start, end);
}

void window_open(struct window_set *set, uint64_t start, uint64_t end)
{
	struct window *last = &set->open[WINDOW_NR_OPEN - 1];

	os_assert(start < end);
	set->nr_open++;
	for (size_t i = 0; i < WINDOW_NR_OPEN; i++) {
		struct window *w = &set->open[i];

		if (!w->nr_brackets) {
			*w = (struct window){ start, end, 1 };
			return;
		}
	}
	last->start = min_u64(start, last->start);
	last->end = max_u64(end, last->end);
	last->nr_brackets++;
}

/* A bracket that shares the last entry matches nothing exactly and is found there. Two brackets of the
 * same range may close each other's entry: one that covers the range stays until both are gone. */
static struct window *find_open(struct window_set *set, uint64_t start, uint64_t end)
{
	struct window *last = &set->open[WINDOW_NR_OPEN - 1];

	for (size_t i = 0; i < WINDOW_NR_OPEN; i++) {
		struct window *w = &set->open[i];

		if (w->nr_brackets == 1 && w->start == start && w->end == end)
			return w;
	}
	os_assert(last->nr_brackets && last->start <= start && end <= last->end);
	return last;
}

void window_close(struct window_set *set, uint64_t start, uint64_t end)
{
	find_open(set, start, end)->nr_brackets--;
	set->nr_open--;
	set->closed[window_sequence(set) % WINDOW_NR_CLOSED] = (struct window){ start, end, 0 };
	os_racy_store(&set->sequence, window_sequence(set) + 1);
}

bool window_meets_open(const struct window_set *set, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < WINDOW_NR_OPEN; i++) {
		const struct window *w = &set->open[i];

		if (w->nr_brackets && meets(w, start, end))
			return true;
	}
	return false;
}

bool window_meets_closed(const struct window_set *set, uint64_t sequence, uint64_t start,
			 uint64_t end)
{
	if (window_sequence(set) - sequence > WINDOW_NR_CLOSED)
		return true;
	for (; sequence != window_sequence(set); sequence++)
		if (meets(&set->closed[sequence % WINDOW_NR_CLOSED], start, end))
			return true;
	return false;
}

bool window_set_idle(const struct window_set *set)
{
	for (size_t i = 0; i < WINDOW_NR_OPEN; i++)
		if (set->open[i].nr_brackets)
			return false;
	return !set->nr_open;
}
