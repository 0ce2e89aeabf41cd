/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* L4, L5, L6 and L10: what a vCPU left for, and what was done about it until it is entered again. */
#include <errno.h>

#include "gmem/uapi.h"
#include "see/lint_state.h"

static void found(struct lint *l, const struct lint_vm *vm, unsigned int code, uint64_t caller,
		  struct lint_span span)
{
	lint_found(l, &(struct lint_finding){ .code = code,
					      .process = vm->process,
					      .caller = caller,
					      .nr = 1,
					      .bytes = span.end - span.start,
					      .gpa = span.start,
					      .vm = vm->number });
}

/* ---- conversions ------------------------------------------------------------------------------------ */

static void note_failed(struct lint_vcpu *v, const struct lint_asked *a)
{
	struct lint_span part = lint_both(v->span, a->span);

	/* A range that makes no sense was meant for what the guest asked for. */
	if (part.start >= part.end)
		part = v->span;
	ranges_set(&v->failed, part.start, part.end, true);
	v->failed_by = obs_record_caller(a->r);
	v->was_refused = true;
}

static uint64_t page_size(uint64_t flags)
{
	switch (flags & 0xf) {
	case KVM_MAP_GPA_RANGE_PAGE_SZ_2M:
		return 1ull << 21;
	case KVM_MAP_GPA_RANGE_PAGE_SZ_1G:
		return 1ull << 30;
	default:
		return LINT_PAGE;
	}
}

static bool is_slot_edge(const struct lint_vm *vm, uint64_t gpa)
{
	for (size_t i = 0; i < vm->nr_slots; i++) {
		if (vm->slots[i].span.start == gpa || vm->slots[i].span.end == gpa)
			return true;
	}
	return false;
}

static bool cuts_a_page(const struct lint_vm *vm, const struct lint_vcpu *v, uint64_t gpa)
{
	return gpa > v->span.start && gpa < v->span.end && gpa % page_size(v->flags) &&
	       !is_slot_edge(vm, gpa);
}

static void note_done(const struct lint_vm *vm, struct lint_vcpu *v, const struct lint_asked *a)
{
	struct lint_span part = lint_both(v->span, a->span);

	/* What is converted after all did not fail. */
	ranges_set(&v->failed, a->span.start, a->span.end, false);
	if (part.start >= part.end || v->wants != LINT_CALL)
		return;
	ranges_set(&v->done, part.start, part.end, true);
	v->done_by = obs_record_caller(a->r);
	/* Who was refused the whole goes as far as he can. */
	if (!v->was_refused &&
	    (cuts_a_page(vm, v, a->span.start) || cuts_a_page(vm, v, a->span.end)))
		v->cut_by = v->done_by;
}

void lint_exits_asked(struct lint *l, const struct lint_asked *a)
{
	bool makes_sense = a->span.start < a->span.end;
	struct lint_thread *t = lint_thread(l, a->r);

	for (size_t i = 0; i < a->vm->nr_vcpus; i++) {
		struct lint_vcpu *v = &a->vm->vcpus[i];
		bool own = t && v->run_by == t->number;

		if (!v->is_out || v->wants == LINT_NOTHING ||
		    (makes_sense ? !lint_meets(v->span, a->span) : !own))
			continue;
		v->was_tried = true;
		if (a->r->result)
			note_failed(v, a);
		else
			note_done(a->vm, v, a);
	}
}

/* What a page that somebody waits for is has changed in another way. */
void lint_exits_slot(struct lint_vm *vm, struct lint_span span)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++)
		vm->vcpus[i].was_tried |= lint_meets(vm->vcpus[i].span, span);
}

/* ---- exits ------------------------------------------------------------------------------------------- */

/* The one that lint_exits_guest() was told of. */
static bool is_guest_call(const struct lint_vcpu *v, const struct obs_record *r)
{
	return r->a == KVM_EXIT_HYPERCALL && !r->result && r->b == KVM_HC_MAP_GPA_RANGE &&
	       v->wants == LINT_CALL && v->span.start == r->c;
}

/* Of a guest's call that nobody was told of, the first page is known. */
static void note_other_exit(struct lint_vcpu *v, const struct obs_record *r)
{
	v->wants = LINT_NOTHING;
	if (r->a != KVM_EXIT_HYPERCALL || r->result || r->b != KVM_HC_MAP_GPA_RANGE)
		return;
	v->wants = LINT_CALL;
	v->span = lint_span_of(r->c, LINT_PAGE);
	v->flags = 0;
}

void lint_exits_exit(struct lint *l, struct lint_vm *vm, const struct obs_record *r)
{
	struct lint_vcpu *v = lint_vcpu(vm, r->vcpu - 1u);
	bool is_fault = r->a == KVM_EXIT_MEMORY_FAULT && r->result != -EINTR;
	struct lint_span page = lint_span_of(r->b & ~(LINT_PAGE - 1), LINT_PAGE);

	if (!v)
		return;
	if (is_fault && v->was_ignored && v->span.start == page.start && v->flags == r->c)
		found(l, vm, 10, obs_record_caller(r), page);
	v->is_out = true;
	v->run_by = r->thread;
	v->was_tried = v->was_refused = false;
	ranges_free(&v->failed);
	v->failed_by = v->done_by = v->cut_by = 0;
	ranges_free(&v->done);
	if (is_fault) {
		v->wants = LINT_FAULT;
		v->span = page;
		v->flags = r->c;
		vm->nr_asked++;
	} else if (!is_guest_call(v, r)) {
		note_other_exit(v, r);
	}
}

/* It is told just before its exit. */
void lint_exits_guest(struct lint_vm *vm, const struct obs_record *r)
{
	struct lint_vcpu *v = lint_vcpu(vm, r->vcpu - 1u);

	if (!v || r->b > UINT64_MAX / LINT_PAGE)
		return;
	v->wants = LINT_CALL;
	v->span = lint_span_of(r->a, r->b * LINT_PAGE);
	v->flags = r->c;
	vm->nr_asked++;
}

/* ---- entries ------------------------------------------------------------------------------------------ */

static uint64_t bytes_of(const struct ranges *r, struct lint_span span)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->nr; i++) {
		struct lint_span part = { r->list[i].start, r->list[i].end };

		part = lint_both(part, span);
		sum += part.end - part.start;
	}
	return sum;
}

/* Some of it is not what the guest asked for. */
static bool is_wanting(const struct lint_vm *vm, const struct lint_vcpu *v, struct lint_span part)
{
	uint64_t is_private = page_set_bytes(&vm->is_private, part.start, part.end);

	return v->flags & KVM_MAP_GPA_RANGE_ENCRYPTED ? is_private < part.end - part.start
						      : is_private;
}

/* L5: of two slots that have parts of the range, one was converted and the other not at all. */
static void judge_slots(struct lint *l, struct lint_vm *vm, struct lint_vcpu *v)
{
	struct lint_span left = { 0, 0 };
	uint64_t done = 0;

	for (size_t i = 0; i < vm->nr_slots && v->done_by; i++) {
		struct lint_span part = lint_both(v->span, vm->slots[i].span);
		uint64_t bytes = bytes_of(&v->done, part);

		done += bytes;
		if (part.start < part.end && !bytes && is_wanting(vm, v, part))
			left = part;
	}
	if (done && left.start < left.end)
		found(l, vm, 5, v->done_by, left);
}

static void judge_call(struct lint *l, struct lint_vm *vm, struct lint_vcpu *v)
{
	judge_slots(l, vm, v);
	if (v->cut_by)
		found(l, vm, 6, v->cut_by, v->span);
}

void lint_exits_enter(struct lint *l, struct lint_vm *vm, const struct obs_record *r)
{
	struct lint_vcpu *v = lint_vcpu(vm, r->vcpu - 1u);
	bool was_told = r->b & OBS_ANSWERS_NO, goes_on = !r->a;

	if (!v || !v->is_out)
		return;
	if (v->failed.nr && !was_told && (goes_on || v->wants == LINT_CALL))
		lint_found(l, &(struct lint_finding){ .code = 4,
						      .process = vm->process,
						      .caller = v->failed_by,
						      .nr = 1,
						      .bytes = v->failed.total,
						      .gpa = v->failed.list[0].start,
						      .vm = vm->number });
	if (v->wants == LINT_CALL && !was_told)
		judge_call(l, vm, v);
	v->was_ignored = v->wants == LINT_FAULT && !v->was_tried;
	v->is_out = false;
}
