/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Rules of failures on purpose: any text is parsed or refused with a place in it, and what is parsed is a table that the
 * program's side can go by, whatever happens there. The first bytes are events, the rest is the text.
 */
#include <errno.h>

#include "obs/inject.h"
#include "obs/region.h"
#include "see/inject.h"
#include "target.h"

#define NR_EVENTS 8

static struct obs_region *region(void)
{
	static struct obs_region *r;
	uint64_t size = obs_region_size(1);

	if (!r) {
		r = aligned_alloc(4096, (size + 4095) & ~4095ull);
		must(r);
		memset(r, 0, size);
		obs_region_init(r, 1);
		r->injects = 1;
	}
	return r;
}

static void check_rule(const struct inject_rule *r)
{
	must(r->point < INJECT_NR_POINTS && see_inject_point(r->point));
	must(r->action != INJECT_NOTHING && r->action <= INJECT_SHORT);
	must((r->action == INJECT_FAIL) == (r->err < 0) && r->err > -4096);
	must(r->gpa <= r->gpa_end && r->offset <= r->offset_end);
	must(r->vcpu >= -1 && r->slot >= -1 && r->kind <= INJECT_PRIVATE);
	must(!r->chance_of || (r->chance && r->chance <= r->chance_of));
	must(r->line && !atomic_load(&r->met) && !atomic_load(&r->made));
}

static void one_event(struct input *in)
{
	struct inject_key key = {
		.point = take8(in) % INJECT_NR_POINTS,
		.kind = take8(in) % 3,
		.has_slot = true,
		.slot = take8(in),
		.has_gpa = true,
		.gpa = take64(in),
		.has_offset = true,
		.offset = take64(in),
		.size = 4096,
	};
	struct inject what = { .action = INJECT_NOTHING };

	if (key.point == INJECT_POISON)
		must(obs_inject_poison(&key, false) == obs_inject_poison(&key, true));
	else if (obs_inject(&key, &what))
		must(what.action > INJECT_NOTHING && what.action <= INJECT_SHORT &&
		     what.action != INJECT_EXIT_ANY && what.err <= 0);
}

static void go_by(struct inject_table *t, struct input *in)
{
	for (uint32_t i = 0; i < t->nr; i++)
		check_rule(&t->rules[i]);
	obs_inject_begin(region());
	for (int i = 0; i < NR_EVENTS; i++)
		one_event(in);
	obs_inject_end();
	for (uint32_t i = 0; i < t->nr; i++) {
		struct inject_rule *r = &t->rules[i];

		must(atomic_load(&r->made) <= atomic_load(&r->met));
		must(!r->count || atomic_load(&r->made) <= r->count);
		must(!r->nth || atomic_load(&r->made) <= 1);
	}
}

static uint32_t lines_of(const uint8_t *text, size_t size)
{
	uint32_t nr = 1;

	for (size_t i = 0; i < size; i++)
		nr += text[i] == '\n';
	return nr;
}

void target(const uint8_t *data, size_t size)
{
	size_t nr_events = size < NR_EVENTS ? size : NR_EVENTS;
	struct input in = { .at = data, .left = nr_events };
	const uint8_t *text = data + nr_events;
	struct inject_table *t = obs_region_at(region(), OBS_AT_INJECTION);
	struct see_inject_problem problem;
	int err;

	size -= nr_events;
	t->nr = 0;
	t->seed = size;
	err = see_inject_parse((const char *)text, size, "in-place", t, &problem);
	must(err == 0 || err == -EINVAL);
	if (err) {
		must(t->nr == 0 && problem.line && problem.line <= lines_of(text, size));
		must(problem.column && problem.column <= size + 1 && problem.text[0]);
		must(memchr(problem.text, 0, sizeof(problem.text)));
		return;
	}
	must(t->nr <= INJECT_MAX_RULES);
	go_by(t, &in);
}
