/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * States of pages: every state of seven pages across an edge, every range of it, both values. What the map answers, and
 * what a conversion in place tells its consumers, asks of them, changes and refuses.
 */
#include <errno.h>
#include <string.h>

#include "core/attr_map.h"
#include "core/gmem_file.h"
#include "small.h"

#define WIDTH 7u
#define ALL ((1u << WIDTH) - 1)

uint64_t nr_checks;

/* ---- the map ------------------------------------------------------------------------------------- */

static void set_state(struct attr_map *map, uint64_t origin, uint32_t state)
{
	for (unsigned int page = 0; page < WIDTH; page++) {
		must(attr_map_reserve(map, origin + page, 1) == 0);
		attr_map_set(map, origin + page, 1, state >> page & 1 ? ATTR_PRIVATE : 0);
	}
}

static uint32_t get_state(struct attr_map *map, uint64_t origin)
{
	uint32_t state = 0;

	for (unsigned int page = 0; page < WIDTH; page++)
		state |= (uint32_t) !!attr_map_get(map, origin + page) << page;
	return state;
}

static unsigned int nr_bits(uint32_t set)
{
	return (unsigned int)__builtin_popcount(set);
}

static void check_answers(struct attr_map *map, uint64_t origin, uint32_t state, struct range r)
{
	uint32_t set = set_of(r), value = 7, is_first = state >> r.first & 1;
	uint64_t nr = r.end - r.first, run = attr_map_run(map, origin + r.first, nr, &value), n = 0;

	while (n < nr && (state >> (r.first + n) & 1) == is_first)
		n++;
	must(run == n && value == (is_first ? ATTR_PRIVATE : 0));
	must(attr_map_count(map, origin + r.first, nr, ATTR_PRIVATE) == nr_bits(state & set));
	must(attr_map_count(map, origin + r.first, nr, 0) == nr_bits(~state & set));
	must(attr_map_uniform(map, origin + r.first, nr, &value) == (n == nr));
}

static void check_map(uint64_t origin, uint32_t initial)
{
	struct attr_map *map;

	must(attr_map_create(ATTR_PRIVATE, initial, &map) == 0);
	for (uint32_t state = 0; state <= ALL; state++) {
		FOR_EACH_RANGE(r, WIDTH)
		for (unsigned int to = 0; to < 2; to++) {
			uint32_t set = set_of(r);

			set_state(map, origin, state);
			check_answers(map, origin, state, r);
			must(attr_map_reserve(map, origin + r.first, r.end - r.first) == 0);
			attr_map_set(map, origin + r.first, r.end - r.first, to ? ATTR_PRIVATE : 0);
			must(get_state(map, origin) == (to ? state | set : state & ~set));
		}
		attr_map_check(map);
	}
	attr_map_destroy(map);
}

/* ---- conversion ------------------------------------------------------------------------------------ */

struct watcher {
	struct gmem_consumer consumer;
	uint64_t origin;
	uint32_t refuses;	    /* pages */
	uint32_t first, last, told; /* of the change that began */
	unsigned int nr_began;
};

static uint32_t pages_of(const struct watcher *w, uint64_t offset, uint64_t size)
{
	uint64_t first = (offset >> OS_PAGE_SHIFT) - w->origin, nr = size >> OS_PAGE_SHIFT;

	must(first < WIDTH && nr <= WIDTH - first);
	return set_of((struct range){ (unsigned int)first, (unsigned int)(first + nr) });
}

static int watcher_prepare(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct watcher *w = (struct watcher *)c;

	/* The highest first: the order must not matter. */
	for (unsigned int page = WIDTH; page--;)
		if (w->refuses >> page & 1)
			gmem_change_refuse(ch, (w->origin + page) << OS_PAGE_SHIFT, OS_PAGE_SIZE);
	return w->refuses & pages_of(w, ch->offset, ch->size) ? -EAGAIN : 0;
}

static int watcher_begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct watcher *w = (struct watcher *)c;
	uint64_t at = 0, offset, size;

	if (ch->kind != GMEM_CHANGE_CONVERT)
		return 0;
	w->nr_began++;
	w->told = 0;
	w->first = pages_of(w, ch->offset, ch->size);
	while (gmem_change_next(ch, &at, &offset, &size)) {
		uint32_t part = pages_of(w, offset, size);

		must(!(w->told & part) && (part & w->first) == part);
		w->told |= part;
	}
	return 0;
}

static void watcher_end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	must(!ch->aborted);
}

static const struct gmem_consumer_ops watcher_ops = {
	.prepare = watcher_prepare,
	.begin = watcher_begin,
	.end = watcher_end,
};

static uint32_t lowest(uint32_t set)
{
	return (uint32_t)__builtin_ctz(set);
}

/* Does the change that began reach from the first page that changes to the last, and no further? */
static void check_told(const struct watcher *w, uint32_t changes)
{
	uint32_t from = lowest(changes), to = 31 - (uint32_t)__builtin_clz(changes);

	must(w->nr_began == 1);
	must(w->told == changes);
	must(w->first == set_of((struct range){ from, to + 1 }));
}

static void check_refused(const struct watcher *w, const struct gmem_conversion *c,
			  uint32_t refused)
{
	uint32_t told = 0;

	must(w->nr_began == 0);
	must(c->error_offset == (w->origin + lowest(refused)) << OS_PAGE_SHIFT);
	for (uint32_t i = 0; i < c->nr_refused; i++) {
		uint32_t part = pages_of(w, c->refused[i].offset, c->refused[i].size);

		/* In order, and joined where they touch. */
		must(!told || part > told << 1);
		told |= part;
	}
	must(told == refused);
}

static void check_conversion(struct gmem_file *f, struct watcher *w, uint32_t state, struct range r,
			     bool to_private)
{
	struct gmem_refused list[WIDTH];
	struct gmem_conversion c = {
		.offset = (w->origin + r.first) << OS_PAGE_SHIFT,
		.size = (uint64_t)(r.end - r.first) << OS_PAGE_SHIFT,
		.attributes = to_private ? ATTR_PRIVATE : 0,
		.refused = list,
		.max_refused = WIDTH,
	};
	uint32_t set = set_of(r), changes = set & (to_private ? ~state : state);
	uint32_t between = changes ? set_of((struct range){ lowest(changes),
							    32 - (uint32_t)__builtin_clz(changes) })
				   : 0;
	uint32_t refused = to_private ? w->refuses & between : 0, now;
	int ret;

	w->nr_began = 0;
	ret = gmem_file_convert(f, &c);
	now = get_state(gmem_file_attributes(f), w->origin);
	must(ret == (refused ? -EAGAIN : 0));
	if (ret) {
		must(now == state);
		check_refused(w, &c, refused);
	} else {
		must(now == (to_private ? state | set : state & ~set));
		if (changes)
			check_told(w, changes);
		else
			must(w->nr_began == 0);
	}
}

static void check_conversions(uint64_t origin)
{
	struct watcher w = { .consumer.ops = &watcher_ops, .origin = origin };
	struct gmem_file *f;

	must(gmem_file_create((origin + WIDTH) << OS_PAGE_SHIFT, GMEM_FILE_IN_PLACE, &f) == 0);
	gmem_file_add_consumer(f, &w.consumer);
	for (uint32_t state = 0; state <= ALL; state++)
		for (w.refuses = 0; w.refuses <= ALL; w.refuses++) {
			FOR_EACH_RANGE(r, WIDTH)
			for (unsigned int to = 0; to < 2; to++) {
				set_state(gmem_file_attributes(f), origin, state);
				check_conversion(f, &w, state, r, to);
			}
		}
	gmem_file_check(f);
	gmem_file_release(f);
	gmem_file_put(f);
}

int main(void)
{
	static const uint64_t origins[] = { 0, 512 - 3, 512 * 512 - 3 };

	for (unsigned int i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		check_map(origins[i], 0);
		check_map(origins[i], ATTR_PRIVATE);
		check_conversions(origins[i]);
	}
	check_map((1ull << 52) - WIDTH, 0);
	printf("%lu answers\n", nr_checks);
	return 0;
}
