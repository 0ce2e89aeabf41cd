/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define ALL_STATES ((1u << ACCOUNT_NR_STATES) - 1)
#define MAX_RUNS (1u << 22)
/* That a trace may have; what comes after them is missing. */
#define MAX_SLOTS (1u << 16)
#define MAX_ATTRIBUTES (1u << 12)

const struct map_class_info map_classes[MAP_NR_CLASSES] = {
	[MAP_SHARED_EMPTY] = { 's', "shared, no memory yet" },
	[MAP_SHARED] = { 'S', "shared, has memory" },
	[MAP_PRIVATE_EMPTY] = { 'p', "private, no memory yet" },
	[MAP_PRIVATE] = { 'P', "private, in the guest_memfd" },
	[MAP_SHARED_STRAY] = { 'f', "shared, memory only in the guest_memfd" },
	[MAP_PRIVATE_STRAY] = { 'h', "private, memory only in the program" },
	[MAP_SHARED_TWICE] = { 'b', "shared, held twice" },
	[MAP_PRIVATE_TWICE] = { 'B', "private, held twice" },
};

enum map_class map_class_of(unsigned int state, uint32_t slot_flags)
{
	bool is_private = state & ACCOUNT_PRIVATE;

	switch (state & (ACCOUNT_IN_FILE | ACCOUNT_IN_PROGRAM)) {
	case 0:
		return is_private ? MAP_PRIVATE_EMPTY : MAP_SHARED_EMPTY;
	case ACCOUNT_IN_FILE:
		if (is_private)
			return MAP_PRIVATE;
		return slot_flags & ACCOUNT_ALL_IN_FILE ? MAP_SHARED : MAP_SHARED_STRAY;
	case ACCOUNT_IN_PROGRAM:
		return is_private ? MAP_PRIVATE_STRAY : MAP_SHARED;
	default:
		return is_private ? MAP_PRIVATE_TWICE : MAP_SHARED_TWICE;
	}
}

/* ---- runs -------------------------------------------------------------------------------------- */

static int make_room(struct map_runs *r, uint64_t nr)
{
	uint64_t room = r->room ? r->room : 8;
	struct map_run *more;

	if (r->nr + nr <= r->room)
		return 0;
	while (room < r->nr + nr)
		room *= 2;
	more = realloc(r->list, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->list = more;
	r->room = room;
	return 0;
}

int map_runs_fill(struct map_runs *r, uint64_t nr_pages, uint16_t states)
{
	r->nr = 0;
	if (make_room(r, 1))
		return -ENOMEM;
	r->list[0] = (struct map_run){ .end = nr_pages, .states = states };
	r->nr = 1;
	return 0;
}

uint64_t map_runs_find(const struct map_runs *r, uint64_t page)
{
	uint64_t low = 0, high = r->nr;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (r->list[middle].first <= page)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* A run begins at that page from here on; there is room. The number of that run. */
static uint64_t split(struct map_runs *r, uint64_t page)
{
	uint64_t i = map_runs_find(r, page);

	if (page >= r->list[r->nr - 1].end)
		return r->nr;
	if (r->list[i].first == page)
		return i;
	memmove(&r->list[i + 1], &r->list[i], (r->nr - i) * sizeof(r->list[0]));
	r->nr++;
	r->list[i].end = page;
	r->list[i + 1].first = page;
	return i + 1;
}

static void join(struct map_runs *r, uint64_t from, uint64_t to)
{
	uint64_t at = from;

	for (uint64_t i = from + 1; i < to; i++) {
		struct map_run *last = &r->list[at];

		if (r->list[i].states == last->states && r->list[i].who == last->who)
			last->end = r->list[i].end;
		else
			r->list[++at] = r->list[i];
	}
	if (at + 1 == to)
		return;
	memmove(&r->list[at + 1], &r->list[to], (r->nr - to) * sizeof(r->list[0]));
	r->nr -= to - at - 1;
}

static uint16_t after(uint16_t states, const struct map_step *step)
{
	unsigned int s = states & ALL_STATES, rest = states & ~ALL_STATES;

	switch (step->op) {
	case MAP_SET_PRIVATE:
		return (uint16_t)(rest | (s & 0xf0) | (s & 0x0f) << 4);
	case MAP_SET_SHARED:
		return (uint16_t)(rest | (s & 0x0f) | (s & 0xf0) >> 4);
	case MAP_FILE_GETS:
		return (uint16_t)(rest | (s & 0xcc) | (s & 0x33) << 2);
	case MAP_FILE_LOSES:
		return (uint16_t)(rest | (s & 0x33) | (s & 0xcc) >> 2);
	case MAP_PROGRAM_GETS:
		return (uint16_t)(rest | (s & 0xaa) | (s & 0x55) << 1);
	case MAP_PROGRAM_LOSES:
		return (uint16_t)(rest | (s & 0x55) | (s & 0xaa) >> 1);
	case MAP_SET_STATES:
		break;
	}
	return step->states;
}

static bool other_attribute(unsigned int a, unsigned int b)
{
	bool a_pure = !(a & 0x0f) || !(a & 0xf0), b_pure = !(b & 0x0f) || !(b & 0xf0);

	return a_pure && b_pure && !(a & 0xf0) != !(b & 0xf0);
}

static bool is_so_already(const struct map_runs *r, uint64_t first, uint64_t end,
			  const struct map_step *step)
{
	for (uint64_t i = map_runs_find(r, first); i < r->nr && r->list[i].first < end; i++)
		if (after(r->list[i].states, step) != r->list[i].states)
			return false;
	return true;
}

uint64_t map_runs_change(struct map_runs *r, uint64_t first, uint64_t end,
			 const struct map_step *step,
			 void (*changed)(void *arg, const struct map_run *run), void *arg)
{
	uint64_t from, to, nr_pages = 0;

	if (first >= end || is_so_already(r, first, end, step) || r->nr >= MAX_RUNS ||
	    make_room(r, 2))
		return 0;
	from = split(r, first);
	to = split(r, end);
	for (uint64_t i = from; i < to; i++) {
		struct map_run *run = &r->list[i];
		uint16_t states = after(run->states, step);

		if (states == run->states)
			continue;
		if (other_attribute(run->states, states))
			nr_pages += run->end - run->first;
		run->states = states;
		if (step->who)
			run->who = step->who;
		if (changed)
			changed(arg, run);
	}
	join(r, from ? from - 1 : 0, to < r->nr ? to + 1 : r->nr);
	return nr_pages;
}

/* ---- the log ------------------------------------------------------------------------------------- */

/* What was before the first change that is kept. */
static void keep_base(struct map *m)
{
	m->base = calloc(m->nr_slots, sizeof(*m->base));
	if (!m->base) {
		m->err = -ENOMEM;
		return;
	}
	m->nr_base = m->nr_slots;
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_runs *from = &m->slots[i].runs;

		if (!from->nr)
			continue;
		if (make_room(&m->base[i], from->nr)) {
			m->err = -ENOMEM;
			return;
		}
		memcpy(m->base[i].list, from->list, from->nr * sizeof(from->list[0]));
		m->base[i].nr = from->nr;
	}
}

struct logging {
	struct map *m;
	uint32_t slot, who;
	int64_t ns;
};

static bool goes_on(const struct map_change *last, const struct map_change *c)
{
	return last->ns == c->ns && last->slot == c->slot && last->end == c->first &&
	       last->states == c->states && last->who == c->who;
}

static void keep_change(struct map *m, const struct map_change *c)
{
	if (m->nr_logged && goes_on(&m->changes[m->nr_logged - 1], c)) {
		m->changes[m->nr_logged - 1].end = c->end;
		return;
	}
	if (m->nr_logged == m->room_changes) {
		uint64_t room = m->room_changes ? 2 * m->room_changes : 1024;
		struct map_change *more = realloc(m->changes, room * sizeof(*more));

		if (!more) {
			m->err = -ENOMEM;
			return;
		}
		m->changes = more;
		m->room_changes = room;
	}
	m->changes[m->nr_logged++] = *c;
}

static void on_change(void *arg, const struct map_run *run)
{
	struct logging *l = arg;
	struct map *m = l->m;
	const struct map_change c = {
		.ns = l->ns,
		.slot = l->slot,
		.who = l->who,
		.first = run->first,
		.end = run->end,
		.states = run->states,
	};

	if (m->nr_changes++ >= m->log_from && !m->err && m->nr_logged <= MAP_MAX_CHANGES)
		keep_change(m, &c);
}

void map_change(struct map *m, uint32_t slot, uint64_t first, uint64_t end,
		const struct map_step *step)
{
	struct map_slot *s = &m->slots[slot];
	struct logging l = { .m = m, .slot = slot, .who = step->who, .ns = step->ns };
	uint64_t nr;

	if (end > s->size / PAGE)
		end = s->size / PAGE;
	if (first >= end || !s->runs.nr)
		return;
	if (m->log_from && m->log_from != UINT64_MAX && !m->base && !m->err &&
	    m->nr_changes >= m->log_from)
		keep_base(m);
	nr = map_runs_change(&s->runs, first, end, step, on_change, &l);
	if (step->op == MAP_SET_STATES)
		m->nr_corrected += nr;
}

/* ---- slots --------------------------------------------------------------------------------------- */

uint32_t map_find_slot(const struct map *m, uint32_t process, uint32_t vm, uint32_t as_id,
		       uint32_t id)
{
	for (uint32_t i = m->nr_slots; i-- > 0;) {
		const struct map_slot *s = &m->slots[i];

		if (s->gone == MAP_NEVER && s->process == process && s->vm == vm &&
		    s->as_id == as_id && s->id == id)
			return i;
	}
	return UINT32_MAX;
}

struct map_attributes *map_attributes_of(struct map *m, uint32_t process, bool is_file,
					 uint32_t number)
{
	struct map_attributes *more;

	for (uint32_t i = 0; i < m->nr_attributes; i++) {
		struct map_attributes *a = &m->attributes[i];

		if (a->process == process && a->is_file == is_file && a->number == number)
			return a;
	}
	more = m->nr_attributes == MAX_ATTRIBUTES
		       ? NULL
		       : realloc(m->attributes, (m->nr_attributes + 1) * sizeof(*more));
	if (!more)
		return NULL;
	m->attributes = more;
	more += m->nr_attributes;
	*more = (struct map_attributes){ .process = process, .is_file = is_file, .number = number };
	if (map_runs_fill(&more->runs, UINT64_MAX / PAGE, 1))
		return NULL;
	m->nr_attributes++;
	return more;
}

static void take_attributes(struct map *m, uint32_t slot)
{
	struct map_slot *s = &m->slots[slot];
	bool is_file = s->flags & ACCOUNT_CONVERTS;
	const struct map_attributes *a =
		map_attributes_of(m, s->process, is_file, is_file ? (uint32_t)s->file : s->vm);
	uint64_t first = (is_file ? s->file_offset : s->gpa) / PAGE, end = first + s->size / PAGE;

	for (uint64_t i = a ? map_runs_find(&a->runs, first) : 0; a && i < a->runs.nr; i++) {
		const struct map_run *r = &a->runs.list[i];
		uint64_t from = r->first > first ? r->first : first;

		if (r->first >= end)
			break;
		map_change(m, slot, from - first, (r->end < end ? r->end : end) - first,
			   &(struct map_step){ .op = r->states == 1 ? MAP_SET_SHARED
								    : MAP_SET_PRIVATE,
					       .who = r->who,
					       .ns = s->made });
	}
}

uint32_t map_add_slot(struct map *m, const struct map_slot *is)
{
	if (m->nr_slots == MAX_SLOTS) {
		m->nr_lost++;
		return UINT32_MAX;
	}
	if (m->nr_slots == m->room_slots) {
		uint32_t room = m->room_slots ? 2 * m->room_slots : 16;
		struct map_slot *more = realloc(m->slots, room * sizeof(*more));

		if (!more)
			goto no_memory;
		m->slots = more;
		m->room_slots = room;
	}
	m->slots[m->nr_slots] = *is;
	m->slots[m->nr_slots].runs = (struct map_runs){ 0 };
	if (map_runs_fill(&m->slots[m->nr_slots].runs, is->size / PAGE, 1))
		goto no_memory;
	m->nr_slots++;
	take_attributes(m, m->nr_slots - 1);
	return m->nr_slots - 1;
no_memory:
	m->err = -ENOMEM;
	return UINT32_MAX;
}

/* ---- snapshots ------------------------------------------------------------------------------------ */

static bool is_same(const struct map_slot *s, const struct account_slot *row)
{
	return s->gpa == row->gpa && s->size == row->size && s->hva == row->hva;
}

static uint32_t slot_of_row(struct map *m, uint32_t process, int64_t ns,
			    const struct account_slot *row)
{
	uint32_t i = map_find_slot(m, process, row->vm, row->as_id, row->id);

	if (i != UINT32_MAX && is_same(&m->slots[i], row)) {
		m->slots[i].flags |= row->flags & ACCOUNT_ALL_IN_FILE;
		m->slots[i].file = row->file;
		return i;
	}
	if (i != UINT32_MAX)
		m->slots[i].gone = ns;
	return map_add_slot(m, &(struct map_slot){
				       .process = process,
				       .vm = row->vm,
				       .as_id = row->as_id,
				       .id = row->id,
				       .flags = row->flags & ACCOUNT_ALL_IN_FILE,
				       .gpa = row->gpa,
				       .size = row->size,
				       .hva = row->hva,
				       .file = row->file,
				       .file_offset = row->file_offset,
				       .made = ns,
				       .gone = MAP_NEVER,
			       });
}

static bool is_sound(const struct account_slot *row)
{
	return !(row->flags & ACCOUNT_GONE) && row->size && !(row->size % PAGE) &&
	       !(row->gpa % PAGE) && row->size / PAGE < 1u << 31 && row->gpa + row->size > row->gpa;
}

void map_apply_snapshot(struct map *m, uint32_t process, int64_t ns,
			const struct account_snapshot *s)
{
	uint32_t row = UINT32_MAX, slot = UINT32_MAX;

	m->nr_snapshots++;
	m->is_coarse = s->coarse_pages || s->left_runs;
	m->is_blind = s->flags & (ACCOUNT_BLIND | ACCOUNT_NO_PROGRAM);
	for (uint32_t i = 0; i < s->nr_slots; i++)
		if (is_sound(&s->slots[i]))
			slot_of_row(m, process, ns, &s->slots[i]);
	for (uint32_t i = 0; i < s->nr_runs; i++) {
		const struct account_run *run = &s->runs[i];
		uint64_t first;

		if (run->slot >= s->nr_slots || !is_sound(&s->slots[run->slot]))
			continue;
		if (run->slot != row) {
			row = run->slot;
			slot = slot_of_row(m, process, ns, &s->slots[row]);
		}
		if (slot == UINT32_MAX || run->gpa < m->slots[slot].gpa)
			continue;
		first = (run->gpa - m->slots[slot].gpa) / PAGE;
		map_change(m, slot, first, first + run->nr_pages,
			   &(struct map_step){ MAP_SET_STATES, run->states, 0, ns });
	}
}

void map_free(struct map *m)
{
	for (uint32_t i = 0; i < m->nr_slots; i++)
		free(m->slots[i].runs.list);
	for (uint32_t i = 0; i < m->nr_base; i++)
		free(m->base[i].list);
	for (uint32_t i = 0; i < m->nr_attributes; i++)
		free(m->attributes[i].runs.list);
	free(m->slots);
	free(m->base);
	free(m->attributes);
	free(m->who);
	free(m->changes);
	*m = (struct map){ 0 };
}
