/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* L1, L2, L3 and a part of L5: what is left behind on the side of a page that is not looked at, and who left it. */
#include "gmem/uapi.h"
#include "see/lint_state.h"

void lint_memory_asked(struct lint *l, const struct lint_asked *a)
{
	const struct obs_record *r = a->r;
	struct lint_call call = { .span = a->span,
				  .at = l->nr,
				  .caller = obs_record_caller(r),
				  .thread = r->thread,
				  .is_private = r->c & KVM_MEMORY_ATTRIBUTE_PRIVATE };

	if (r->result || a->span.start >= a->span.end)
		return;
	lint_calls_add(&a->vm->conversions, &call);
	page_set_put(&a->vm->is_private, a->span.start, a->span.end, call.is_private);
	page_set_put(&a->vm->told[LINT_IN_FILE], a->span.start, a->span.end, false);
	page_set_put(&a->vm->told[LINT_IN_PROGRAM], a->span.start, a->span.end, false);
}

/* ---- sets -------------------------------------------------------------------------------------------- */

/* Only what is in the set stays; or only what is not. */
static void keep(struct ranges *of, const struct page_set *set, bool present)
{
	struct ranges kept = { 0 };

	for (size_t i = 0; i < of->nr; i++) {
		uint64_t at = of->list[i].start, end = of->list[i].end, until;

		for (; at < end; at = until) {
			if (page_set_run(set, at, end, &until) == present)
				ranges_set(&kept, at, until, true);
		}
	}
	ranges_free(of);
	*of = kept;
}

/* ---- what was let go ---------------------------------------------------------------------------------- */

static void note_discard(struct lint *l, const struct lint_part *p, void *arg)
{
	const struct obs_record *r = arg;

	if (r->kind == OBS_PUNCH)
		page_set_put(&p->vm->held, p->span.start, p->span.end, false);
	lint_calls_add(&p->vm->discards,
		       &(struct lint_call){ .span = p->span,
					    .at = l->nr,
					    .caller = obs_record_caller(r),
					    .thread = r->thread,
					    .side = r->kind == OBS_PUNCH ? LINT_IN_FILE
									 : LINT_IN_PROGRAM });
}

/* A hole in a file of the program, which is not known to be behind any slot: it may be about any. */
static void note_unknown_discard(struct lint *l, const struct obs_record *r)
{
	for (size_t i = 0; i < l->nr_vms; i++) {
		if (l->vms[i]->process == r->process)
			lint_calls_add(&l->vms[i]->discards,
				       &(struct lint_call){ .at = l->nr,
							    .caller = obs_record_caller(r),
							    .thread = r->thread,
							    .side = LINT_IN_PROGRAM,
							    .anywhere = true });
	}
}

void lint_memory_discard(struct lint *l, const struct obs_record *r)
{
	if ((r->c & 0xff) == OBS_DISCARD_PUNCH)
		note_unknown_discard(l, r);
	else
		lint_each_part(l, r->process, 0, r->a, r->b, note_discard, (void *)r);
}

void lint_memory_punch(struct lint *l, const struct obs_record *r)
{
	lint_each_part(l, r->process, r->file, r->a, r->b, note_discard, (void *)r);
}

static void note_allocation(struct lint *l, const struct lint_part *p, void *arg)
{
	const struct obs_record *r = arg;
	const struct lint_file *f = lint_file(l, r->process, r->file);

	if (!f || f->is_all)
		return;
	page_set_put(&p->vm->held, p->span.start, p->span.end, true);
	lint_calls_add(&p->vm->allocations, &(struct lint_call){ .span = p->span,
								 .at = l->nr,
								 .caller = obs_record_caller(r),
								 .thread = r->thread,
								 .file = r->file });
}

void lint_memory_allocate(struct lint *l, const struct obs_record *r)
{
	lint_each_part(l, r->process, r->file, r->a, r->b, note_allocation, (void *)r);
}

/* ---- what was left ------------------------------------------------------------------------------------- */

struct left {
	struct lint_vm *vm;
	struct lint_span span;
	enum lint_side side;
	const struct lint_call *conversion; /* that made the page what it is; NULL: not known */
};

static const struct lint_call *find_conversion(const struct left *f)
{
	const struct lint_call *c;

	for (uint64_t i = 0; (c = lint_calls_at(&f->vm->conversions, i)); i++) {
		if (lint_meets(c->span, f->span))
			return c->is_private == (f->side == LINT_IN_PROGRAM) ? c : NULL;
	}
	return NULL;
}

static const struct lint_call *find_allocation(const struct left *f)
{
	const struct lint_call *c;

	for (uint64_t i = 0; (c = lint_calls_at(&f->vm->allocations, i)); i++) {
		if (lint_meets(c->span, f->span))
			return c;
	}
	return NULL;
}

/* Since the vCPU that the converting thread runs has left, of the side that is not looked at any more. */
static const struct lint_call *find_discard(struct lint *l, const struct left *f,
					    struct lint_span span)
{
	uint64_t since = f->conversion->at;
	const struct lint_call *c;

	for (size_t i = 0; i < l->nr_threads; i++) {
		const struct lint_thread *t = &l->threads[i];

		if (t->process == f->vm->process && t->number == f->conversion->thread &&
		    t->last_exit && t->last_exit < since)
			since = t->last_exit;
	}
	for (uint64_t i = 0; (c = lint_calls_at(&f->vm->discards, i)) && c->at >= since; i++) {
		if (c->side == f->side && (c->anywhere || lint_meets(c->span, span)))
			return c;
	}
	return NULL;
}

static struct lint_span slot_around(const struct lint_vm *vm, uint64_t gpa)
{
	for (size_t i = 0; i < vm->nr_slots; i++) {
		if (gpa >= vm->slots[i].span.start && gpa < vm->slots[i].span.end)
			return vm->slots[i].span;
	}
	return (struct lint_span){ 0, UINT64_MAX };
}

/* The conversion goes beyond the slot, and somebody has thought of the part there. */
static bool is_only_here(struct lint *l, const struct left *f)
{
	struct lint_span slot = slot_around(f->vm, f->span.start), all = f->conversion->span;
	struct lint_span before = { all.start, slot.start }, after = { slot.end, all.end };

	return (before.start < before.end && find_discard(l, f, before)) ||
	       (after.start < after.end && find_discard(l, f, after));
}

static void tell(struct lint *l, const struct left *f, unsigned int code, uint64_t caller)
{
	lint_found(l, &(struct lint_finding){ .code = code,
					      .process = f->vm->process,
					      .caller = caller,
					      .nr = 1,
					      .bytes = f->span.end - f->span.start,
					      .gpa = f->span.start,
					      .vm = f->vm->number });
	page_set_put(&f->vm->told[f->side], f->span.start, f->span.end, true);
}

/* After a conversion. */
static void judge_now(struct lint *l, struct left *f)
{
	const struct lint_call *discard;

	f->conversion = find_conversion(f);
	if (!f->conversion)
		return;
	discard = find_discard(l, f, f->span);
	if (discard)
		tell(l, f, f->side == LINT_IN_FILE ? 1 : 2, discard->caller);
	else if (is_only_here(l, f))
		tell(l, f, 5, f->conversion->caller);
	else
		tell(l, f, 3, f->conversion->caller);
}

/* Has the conversion been followed by an entry, so that nobody is still about to let go of the other side? */
static bool is_settled(struct lint *l, const struct left *f)
{
	const struct lint_call *c = f->conversion;

	if (!c)
		return true;
	for (size_t i = 0; i < l->nr_threads; i++) {
		const struct lint_thread *t = &l->threads[i];

		if (t->process == f->vm->process && t->number == c->thread && t->last_enter)
			return t->last_enter > c->at;
	}
	return f->vm->last_enter > c->at;
}

static uint64_t slot_caller(const struct lint_vm *vm, uint64_t gpa)
{
	for (size_t i = 0; i < vm->nr_slots; i++) {
		if (gpa >= vm->slots[i].span.start && gpa < vm->slots[i].span.end)
			return vm->slots[i].caller;
	}
	return 0;
}

static void judge_rest(struct lint *l, struct left *f)
{
	const struct lint_call *by = NULL;

	f->conversion = find_conversion(f);
	if (!is_settled(l, f))
		return;
	if (f->side == LINT_IN_FILE)
		by = find_allocation(f);
	if (!by)
		by = f->conversion;
	tell(l, f, f->side == LINT_IN_FILE ? 1 : 2,
	     by ? by->caller : slot_caller(f->vm, f->span.start));
}

/* What was not told yet of it. */
static void judge_at_end(struct lint *l, struct left *f)
{
	struct lint_span all = f->span;
	struct ranges rest = { 0 };

	if (!f->vm->last_enter || !ranges_set(&rest, all.start, all.end, true))
		return;
	keep(&rest, &f->vm->told[f->side], false);
	for (size_t i = 0; i < rest.nr; i++) {
		f->span = (struct lint_span){ rest.list[i].start, rest.list[i].end };
		judge_rest(l, f);
	}
	ranges_free(&rest);
}

void lint_memory_left(struct lint *l, const struct obs_record *r)
{
	struct left f = { .vm = lint_vm(l, r->process, r->vm),
			  .span = lint_span_of(r->a, r->b),
			  .side = r->c & OBS_LEFT_PRIVATE ? LINT_IN_PROGRAM : LINT_IN_FILE };

	if (!f.vm)
		return;
	if (r->c & OBS_LEFT_AT_END)
		judge_at_end(l, &f);
	else
		judge_now(l, &f);
}

/* What was allocated there was another slot's. What a page is outlives its slot; of a new file it is as the file says. */
void lint_memory_slot(struct lint *l, const struct lint_part *p)
{
	const struct lint_file *f =
		p->slot->file ? lint_file(l, p->vm->process, p->slot->file) : NULL;

	page_set_put(&p->vm->held, p->span.start, p->span.end, false);
	if (f && f->is_private)
		page_set_put(&p->vm->is_private, p->span.start, p->span.end, true);
}

static void judge_allocation(struct lint *l, struct lint_vm *vm, const struct lint_call *c)
{
	struct left f = { .vm = vm, .side = LINT_IN_FILE };
	struct ranges rest = { 0 };

	ranges_set(&rest, c->span.start, c->span.end, true);
	keep(&rest, &vm->held, true);
	keep(&rest, &vm->is_private, false);
	keep(&rest, &vm->told[LINT_IN_FILE], false);
	for (size_t i = 0; i < rest.nr; i++) {
		f.span = (struct lint_span){ rest.list[i].start, rest.list[i].end };
		tell(l, &f, 1, c->caller);
	}
	ranges_free(&rest);
}

/* Memory that was allocated and never touched cannot be seen from outside. */
void lint_memory_ends(struct lint *l, struct lint_vm *vm, uint16_t file)
{
	const struct lint_call *c;

	for (uint64_t i = 0; vm->last_enter && (c = lint_calls_at(&vm->allocations, i)); i++) {
		if (file && c->file != file)
			continue;
		judge_allocation(l, vm, c);
		page_set_put(&vm->held, c->span.start, c->span.end, false);
	}
}
