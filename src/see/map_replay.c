/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A trace is read twice at the same time: once for its records, and ahead of that for its snapshots, since a snapshot
 * stands behind records that are younger than it. What ended after a snapshot was begun is applied after it.
 */
#include "see/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/gmem_file.h"
#include "mmu/mmu.h"

#define PAGE 4096u

struct replay {
	struct map *m;
	struct see_view *v;
	struct trace_reader *ahead;
	struct trace_item next; /* the next snapshot, in the other reader */
	int64_t next_ns;	/* when it was begun */
	bool has_next;
	const struct map_wish *wish;
};

/* ---- who ----------------------------------------------------------------------------------------- */

static bool is_same(const struct map_who *a, const struct map_who *b)
{
	return a->kind == b->kind && a->process == b->process && a->vcpu == b->vcpu &&
	       a->thread == b->thread && a->caller == b->caller;
}

/* Few places make most changes, and the last ones come again soonest. */
static uint32_t who_of(struct map *m, const struct obs_record *r)
{
	const struct map_who who = {
		.kind = r->kind,
		.process = r->process,
		.vcpu = r->vcpu,
		.thread = r->thread,
		.caller = obs_record_caller(r),
	};
	uint32_t back = m->nr_who < 64 ? m->nr_who : 64;

	for (uint32_t i = m->nr_who; i-- > m->nr_who - back && i;)
		if (is_same(&m->who[i], &who))
			return i;
	if (m->nr_who >= m->room_who) {
		uint32_t room = m->room_who ? 2 * m->room_who : 64;
		struct map_who *more =
			room > 1u << 20 ? NULL : realloc(m->who, room * sizeof(*more));

		if (!more)
			return 0;
		if (!m->nr_who)
			memset(&more[m->nr_who++], 0, sizeof(more[0]));
		m->who = more;
		m->room_who = room;
	}
	m->who[m->nr_who] = who;
	return m->nr_who++;
}

/* ---- records ------------------------------------------------------------------------------------- */

static void change_all(struct map *m, const struct obs_record *r, uint64_t start, uint64_t size,
		       bool by_file, const struct map_step *step)
{
	uint64_t end = start + size < start ? UINT64_MAX : start + size;

	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_slot *s = &m->slots[i];
		uint64_t from = by_file ? s->file_offset : s->gpa;

		if (s->gone != MAP_NEVER || s->process != r->process ||
		    (by_file ? !s->file || s->file != r->file
			     : s->vm != r->vm || s->flags & ACCOUNT_CONVERTS))
			continue;
		if (end <= from || start >= from + s->size)
			continue;
		map_change(m, i, start > from ? (start - from) / PAGE : 0, (end - from) / PAGE,
			   step);
	}
}

static void change_attributes(struct map *m, const struct obs_record *r, bool is_file,
			      const struct map_step *step)
{
	struct map_attributes *a =
		map_attributes_of(m, r->process, is_file, is_file ? r->file : r->vm);
	uint64_t end = r->a + r->b < r->a ? UINT64_MAX : r->a + r->b;

	if (a)
		map_runs_change(&a->runs, r->a / PAGE, end / PAGE, step, NULL, NULL);
	change_all(m, r, r->a, r->b, is_file, step);
}

static void file_made(struct map *m, const struct obs_record *r)
{
	struct map_attributes *a = map_attributes_of(m, r->process, true, r->file);

	if (!a)
		return;
	a->in_place = r->b & GMEM_FILE_IN_PLACE;
	map_runs_fill(&a->runs, UINT64_MAX / PAGE, r->b & GMEM_FILE_INIT_SHARED ? 1 : 1 << 4);
}

static bool is_in_place(const struct map *m, const struct obs_record *r)
{
	for (uint32_t i = 0; i < m->nr_attributes; i++) {
		const struct map_attributes *a = &m->attributes[i];

		if (a->is_file && a->process == r->process && a->number == r->file)
			return a->in_place;
	}
	return false;
}

/* Made, moved, or deleted. What moves takes its pages along. */
static void slot_set(struct map *m, const struct obs_record *r, int64_t ns)
{
	uint32_t as_id = r->a >> 16 & 0xffff, id = r->a & 0xffff;
	uint32_t old = map_find_slot(m, r->process, r->vm, as_id, id), made;
	struct map_slot s = {
		.process = r->process,
		.vm = r->vm,
		.as_id = as_id,
		.id = id,
		.gpa = r->b,
		.size = r->c,
		.file = r->file,
		.made = ns,
		.gone = MAP_NEVER,
	};

	if (old != UINT32_MAX && r->c == m->slots[old].size && r->b == m->slots[old].gpa)
		return;
	if (old != UINT32_MAX)
		m->slots[old].gone = ns;
	if (!r->c || r->c % PAGE || r->b % PAGE || r->c / PAGE >= 1u << 31 || r->b + r->c < r->b)
		return;
	if (r->file && is_in_place(m, r))
		s.flags = ACCOUNT_CONVERTS | ACCOUNT_ALL_IN_FILE;
	if (old != UINT32_MAX) {
		s.hva = m->slots[old].hva;
		s.file = m->slots[old].file;
		s.file_offset = m->slots[old].file_offset;
		s.flags = m->slots[old].flags;
	}
	made = map_add_slot(m, &s);
	for (uint64_t i = 0; made != UINT32_MAX && old != UINT32_MAX && i < m->slots[old].runs.nr;
	     i++) {
		const struct map_run run = m->slots[old].runs.list[i];

		map_change(m, made, run.first, run.end,
			   &(struct map_step){ MAP_SET_STATES, run.states, run.who, ns });
	}
}

static void slot_memory(struct map *m, const struct obs_record *r)
{
	uint32_t i = map_find_slot(m, r->process, r->vm, r->a >> 16 & 0xffff, r->a & 0xffff);

	if (i == UINT32_MAX)
		return;
	m->slots[i].hva = r->b;
	m->slots[i].file_offset = r->c;
}

static void vm_gone(struct map *m, const struct obs_record *r, int64_t ns)
{
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		struct map_slot *s = &m->slots[i];

		if (s->gone == MAP_NEVER && s->process == r->process && s->vm == r->b) {
			s->gone = ns;
			s->ends_with_vm = true;
		}
	}
}

static void guest_fault(struct map *m, const struct obs_record *r, struct map_step *step)
{
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_slot *s = &m->slots[i];
		uint64_t page = (r->a - s->gpa) / PAGE;
		bool in_file;

		if (s->gone != MAP_NEVER || s->process != r->process || s->vm != r->vm ||
		    r->a < s->gpa || r->a - s->gpa >= s->size || s->as_id)
			continue;
		in_file = s->flags & ACCOUNT_ALL_IN_FILE ||
			  s->runs.list[map_runs_find(&s->runs, page)].states & 0xf0;
		/* Who only reads the program's memory gets its page of zeros. */
		if (!in_file && !(r->b & MMU_WRITE))
			continue;
		step->op = in_file ? MAP_FILE_GETS : MAP_PROGRAM_GETS;
		map_change(m, i, page, page + 1, step);
	}
}

static void discard(struct map *m, const struct obs_record *r, const struct map_step *step)
{
	uint64_t end = r->a + r->b < r->a ? UINT64_MAX : r->a + r->b;

	if ((r->c & 0xff) == OBS_DISCARD_PUNCH)
		return; /* of a file that we do not know: the next snapshot does */
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_slot *s = &m->slots[i];

		if (s->gone != MAP_NEVER || s->process != r->process || !s->hva ||
		    s->flags & ACCOUNT_ALL_IN_FILE || end <= s->hva || r->a >= s->hva + s->size)
			continue;
		map_change(m, i, r->a > s->hva ? (r->a - s->hva) / PAGE : 0, (end - s->hva) / PAGE,
			   step);
	}
}

static void apply_record(struct map *m, const struct obs_record *r, int64_t ns)
{
	struct map_step step = { .ns = ns };

	switch (r->kind) {
	case OBS_VM_CONVERT:
	case OBS_CONVERT:
		step.op = r->c ? MAP_SET_PRIVATE : MAP_SET_SHARED;
		step.who = who_of(m, r);
		change_attributes(m, r, r->kind == OBS_CONVERT, &step);
		break;
	case OBS_PUNCH:
		step.op = MAP_FILE_LOSES;
		step.who = who_of(m, r);
		change_all(m, r, r->a, r->b, true, &step);
		break;
	case OBS_DISCARD:
		step.op = MAP_PROGRAM_LOSES;
		step.who = who_of(m, r);
		discard(m, r, &step);
		break;
	case OBS_GUEST_FAULT:
		if (r->c != MMU_FAULT_OK)
			break;
		step.who = who_of(m, r);
		guest_fault(m, r, &step);
		break;
	case OBS_SLOT:
		slot_set(m, r, ns);
		break;
	case OBS_SLOT_HOST:
		slot_memory(m, r);
		break;
	case OBS_FILE_MADE:
		file_made(m, r);
		break;
	case OBS_VM_GONE:
		vm_gone(m, r, ns);
		break;
	default:
		break;
	}
}

/* ---- both together -------------------------------------------------------------------------------- */

static void find_next(struct replay *p)
{
	p->has_next = false;
	while (p->ahead && trace_reader_next(p->ahead, &p->next) == 1) {
		const struct account_snapshot *s = p->next.snapshot.is;

		if (p->next.kind != TRACE_SNAPSHOT)
			continue;
		p->has_next = true;
		p->next_ns = (int64_t)(s->time_ns - s->cost_ns - p->v->clock.clock_ns);
		return;
	}
}

static void apply_snapshots(struct replay *p, int64_t until)
{
	while (p->has_next && p->next_ns <= until && p->next_ns <= p->wish->until) {
		if (p->next_ns > p->m->now)
			p->m->now = p->next_ns;
		map_apply_snapshot(p->m, p->next.snapshot.place, p->m->now, p->next.snapshot.is);
		find_next(p);
	}
}

#define TELL_EVERY 4096

static void tell(const struct replay *p)
{
	uint64_t of, done = trace_reader_done(p->v->reader, &of);

	if (p->wish->tell)
		p->wish->tell(p->wish->arg, done, of);
}

static int read_all(struct replay *p)
{
	struct trace_item item;
	uint64_t nr = 0;
	int ret;

	find_next(p);
	while ((ret = see_view_next(p->v, &item)) == 1) {
		int64_t ns;

		if (++nr % TELL_EVERY == 0)
			tell(p);
		if (item.kind == TRACE_LOST)
			p->m->nr_lost += item.lost.nr;
		if (item.kind != TRACE_RECORDS)
			continue;
		ns = see_clock_ns(&p->v->clock, item.record.time + obs_record_ticks(&item.record));
		if (ns > p->m->end)
			p->m->end = ns;
		if (ns > p->wish->until)
			continue;
		apply_snapshots(p, ns);
		p->m->now = ns > p->m->now ? ns : p->m->now;
		if (item.record.result >= 0)
			apply_record(p->m, &item.record, p->m->now);
	}
	apply_snapshots(p, MAP_NEVER);
	if (p->m->now > p->m->end)
		p->m->end = p->m->now;
	return ret;
}

static int replay_once(const char *path, const struct map_wish *wish, uint64_t log_from,
		       struct map *m, struct see_view *v, char *problem, size_t size)
{
	struct replay p = { .m = m, .v = v, .wish = wish };
	int err = see_view_open(path, v, problem, size);

	*m = (struct map){ .log_from = log_from, .is_simulated = true };
	if (err)
		return err;
	if (trace_reader_open(path, &p.ahead) && p.ahead) {
		trace_reader_close(p.ahead);
		p.ahead = NULL;
	}
	if (read_all(&p) < 0)
		snprintf(problem, size, "%s", trace_reader_problem(v->reader));
	trace_reader_close(p.ahead);
	if (m->err) {
		snprintf(problem, size, "%s", strerrordesc_np(-m->err));
		err = m->err;
		see_view_close(v);
		map_free(m);
	}
	return err;
}

int map_replay(const char *path, const struct map_wish *wish, struct map *m, struct see_view *v,
	       char *problem, size_t size)
{
	uint64_t nr;
	int err;

	problem[0] = '\0';
	err = replay_once(path, wish, wish->with_changes ? 0 : UINT64_MAX, m, v, problem, size);
	if (err || !wish->with_changes || m->nr_logged <= MAP_MAX_CHANGES)
		return err;
	nr = m->nr_changes;
	map_free(m);
	see_view_close(v);
	return replay_once(path, wish, nr - MAP_MAX_CHANGES, m, v, problem, size);
}
