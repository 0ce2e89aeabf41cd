/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ranges kept in core and mmu: interval trees, bindings, windows, slots by address. */
#include <errno.h>

#include "core/binding.h"
#include "mmu/mmu_private.h"
#include "small.h"

#define WIDTH 6u

uint64_t nr_checks;

/* ---- interval trees ------------------------------------------------------------------------------ */

struct seen {
	const struct interval *nodes;
	uint32_t which;
	uint64_t last;
};

static bool note_interval(void *arg, struct interval *node)
{
	struct seen *s = arg;

	must(node->start >= s->last);
	s->last = node->start;
	s->which |= 1u << (node - s->nodes);
	return true;
}

/* Which of three ranges meet r. */
static uint32_t meeting(const struct range *ranges, unsigned int nr, struct range r)
{
	uint32_t which = 0;

	for (unsigned int i = 0; i < nr; i++)
		if (set_of(ranges[i]) & set_of(r))
			which |= 1u << i;
	return which;
}

static void check_interval_query(struct interval_tree *tree, const struct interval *nodes,
				 const struct range *ranges, unsigned int nr, uint64_t origin,
				 struct range q)
{
	uint32_t expected = meeting(ranges, nr, q);
	struct seen seen = { .nodes = nodes };
	struct interval *first = interval_first(tree, origin + q.first, origin + q.end);

	interval_for_each(tree, origin + q.first, origin + q.end, note_interval, &seen);
	must(seen.which == expected);
	must(!first == !expected);
	if (!first)
		return;
	must(expected & 1u << (first - nodes));
	for (unsigned int i = 0; i < nr; i++)
		must(!(expected & 1u << i) || nodes[i].start >= first->start);
}

static void check_intervals(const struct range *ranges, unsigned int nr, uint64_t origin)
{
	struct interval_tree tree = { 0 };
	struct interval nodes[3] = { 0 };

	for (unsigned int i = 0; i < nr; i++) {
		nodes[i].start = origin + ranges[i].first;
		nodes[i].end = origin + ranges[i].end;
		interval_insert(&tree, &nodes[i]);
	}
	FOR_EACH_RANGE(q, WIDTH)
	check_interval_query(&tree, nodes, ranges, nr, origin, q);
	interval_check(&tree);
	interval_remove(&tree, &nodes[0]);
	FOR_EACH_RANGE(q, WIDTH)
	must(!interval_first(&tree, origin + q.first, origin + q.end) ==
	     !(meeting(ranges, nr, q) & ~1u));
	interval_check(&tree);
}

/* ---- bindings ------------------------------------------------------------------------------------ */

static void note_binding(void *arg, struct gmem_binding *b)
{
	*(uint32_t *)arg |= 1u << (uintptr_t)b->owner;
}

static void check_bindings(const struct range *ranges, unsigned int nr, uint64_t origin)
{
	struct binding_tree tree = { 0 };
	struct gmem_binding b[3] = { 0 };
	uint32_t bound = 0, in = 0;

	for (unsigned int i = 0; i < nr; i++) {
		uint32_t set = set_of(ranges[i]);
		int ret;

		b[i].offset = origin + ranges[i].first;
		b[i].size = ranges[i].end - ranges[i].first;
		b[i].owner = (void *)(uintptr_t)i;
		ret = binding_insert(&tree, &b[i]);
		must(ret == (bound & set ? -EEXIST : 0));
		if (!ret) {
			bound |= set;
			in |= 1u << i;
		}
	}
	binding_check(&tree, origin + WIDTH);
	FOR_EACH_RANGE(q, WIDTH)
	{
		uint32_t which = 0;

		binding_for_each(&tree, origin + q.first, origin + q.end, note_binding, &which);
		must(which == (meeting(ranges, nr, q) & in));
	}
	binding_remove(&tree, &b[0]);
	binding_check(&tree, origin + WIDTH);
}

/* ---- windows ------------------------------------------------------------------------------------- */

static void check_windows(const struct range *ranges, unsigned int nr, uint64_t origin)
{
	struct window_set set = { 0 };

	for (unsigned int i = 0; i < nr; i++)
		window_open(&set, origin + ranges[i].first, origin + ranges[i].end);
	FOR_EACH_RANGE(q, WIDTH)
	must(window_is_open(&set, origin + q.first, origin + q.end) == !!meeting(ranges, nr, q));
	window_close(&set, origin + ranges[0].first, origin + ranges[0].end);
	FOR_EACH_RANGE(q, WIDTH)
	{
		must(window_is_open(&set, origin + q.first, origin + q.end) ==
		     !!(meeting(ranges, nr, q) & ~1u));
		must(window_closed_since(&set, 0, origin + q.first, origin + q.end) ==
		     !!(meeting(ranges, nr, q) & 1));
		must(!window_closed_since(&set, 1, origin + q.first, origin + q.end));
	}
	for (unsigned int i = 1; i < nr; i++)
		window_close(&set, origin + ranges[i].first, origin + ranges[i].end);
	must(window_set_idle(&set));
}

/* ---- slots by address ---------------------------------------------------------------------------- */

/* Addresses in quarters of a page: the changes of a program need not be aligned. */
static void check_hva_part(uint64_t origin, struct range of_slot, struct range q)
{
	const uint64_t quarter = OS_PAGE_SIZE / 4;
	struct memslot slot = { .gfn = 100,
				.nr_pages = of_slot.end - of_slot.first,
				.hva = origin + of_slot.first * OS_PAGE_SIZE };
	uint64_t gfn = 0, gfn_end = 0, hva = origin + q.first * quarter;
	uint32_t pages = 0, told = 0;
	bool found = memslot_hva_part(&slot, hva, origin + q.end * quarter, &gfn, &gfn_end);

	for (unsigned int at = q.first; at < q.end; at++)
		if (is_in(of_slot, at / 4))
			pages |= 1u << (at / 4 - of_slot.first);
	must(found == !!pages);
	if (found)
		must(gfn >= 100 && gfn_end <= 100 + slot.nr_pages && gfn < gfn_end);
	for (; found && gfn < gfn_end; gfn++)
		told |= 1u << (gfn - 100);
	must(told == pages);
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static void check_all(const struct range *ranges, unsigned int nr, uint64_t origin)
{
	check_intervals(ranges, nr, origin);
	check_bindings(ranges, nr, origin);
	check_windows(ranges, nr, origin);
}

int main(void)
{
	static const uint64_t origins[] = { 0, 510, (1ull << 52) - WIDTH, UINT64_MAX - WIDTH };
	static const uint64_t addresses[] = { 0, 1ull << 30, 0ull - 4 * OS_PAGE_SIZE };

	for (unsigned int i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		FOR_EACH_RANGE(a, WIDTH)
		FOR_EACH_RANGE(b, WIDTH)
		FOR_EACH_RANGE(c, WIDTH)
		check_all((struct range[]){ a, b, c }, 3, origins[i]);
	}
	for (unsigned int i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		/* The page at the very top has no end that is a number. */
		FOR_EACH_RANGE(slot, 3)
		FOR_EACH_RANGE(q, 15)
		check_hva_part(addresses[i], slot, q);
	}
	printf("%lu answers\n", nr_checks);
	return 0;
}
