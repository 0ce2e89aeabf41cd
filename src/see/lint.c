/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What each record is for, L7, and the findings. */
#include "see/lint.h"

#include <stdlib.h>

#include "core/gmem_file.h"
#include "gmem/ioctl.h"
#include "gmem/uapi.h"
#include "see/lint_state.h"

/* enum kvm_object_type, in records of what was closed. */
enum { CLOSED_VM = 1, CLOSED_VCPU, CLOSED_GMEM };

struct lint *lint_new(uint64_t tsc_khz)
{
	struct lint *l = calloc(1, sizeof(*l));

	if (l)
		l->tsc_khz = tsc_khz;
	return l;
}

void lint_free(struct lint *l)
{
	if (!l)
		return;
	lint_state_free(l);
	free(l);
}

/* ---- who there is ------------------------------------------------------------------------------------- */

static void process_made(struct lint *l, const struct obs_record *r)
{
	if (r->process < sizeof(l->closer))
		l->closer[r->process] = r->c;
}

static bool looks_closer(const struct lint *l, const struct obs_record *r)
{
	return r->process < sizeof(l->closer) && l->closer[r->process];
}

static void vcpu_made(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, (uint16_t)r->b);
	struct lint_vcpu *v = vm ? lint_vcpu(vm, (uint32_t)r->a) : NULL;

	if (v)
		v->made_by = obs_record_caller(r);
}

static void file_made(struct lint *l, const struct obs_record *r)
{
	struct lint_file *f = lint_file(l, r->process, r->file);

	if (!f)
		return;
	f->vm = r->vm;
	f->is_all = r->b & (GMEM_FILE_MMAP | GMEM_FILE_IN_PLACE);
	f->is_private = (r->b & GMEM_FILE_IN_PLACE) && !(r->b & GMEM_FILE_INIT_SHARED);
	f->made_by = obs_record_caller(r);
}

static void slot_changed(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, r->vm);
	uint32_t id = (uint32_t)r->a;
	struct lint_slot slot = { .id = id,
				  .span = lint_span_of(r->b, r->c),
				  .caller = obs_record_caller(r),
				  .file = r->file };
	const struct lint_slot *before;

	if (!vm || r->result)
		return;
	if (!r->c) {
		lint_slot_delete(vm, id);
		return;
	}
	before = lint_slot_by_id(vm, id);
	if (before && !slot.file)
		slot.file = before->file;
	lint_slot_set(vm, &slot);
	lint_exits_slot(vm, slot.span);
}

static void slot_memory(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, r->vm);
	struct lint_slot *s = vm ? lint_slot_by_id(vm, (uint32_t)r->a) : NULL;

	if (!s)
		return;
	s->hva = r->b;
	s->offset = r->c;
	lint_memory_slot(l, &(struct lint_part){ vm, s, s->span });
}

/* ---- conversions ---------------------------------------------------------------------------------------- */

static void asked_of_part(struct lint *l, const struct lint_part *p, void *arg)
{
	struct lint_asked a = { p->vm, p->span, arg };

	lint_exits_asked(l, &a);
	lint_memory_asked(l, &a);
}

static void asked_of_file(struct lint *l, const struct obs_record *r)
{
	struct lint_file *f = lint_file(l, r->process, r->file);

	if (f && !r->result)
		f->is_private = false;
	lint_each_part(l, r->process, r->file, r->a, r->b, asked_of_part, (void *)r);
}

static void asked_of_vm(struct lint *l, const struct obs_record *r, struct lint_span span)
{
	struct lint_asked a = { lint_vm(l, r->process, r->vm), span, r };

	if (!a.vm)
		return;
	lint_exits_asked(l, &a);
	lint_memory_asked(l, &a);
}

static void asked(struct lint *l, const struct obs_record *r)
{
	struct lint_thread *t = lint_thread(l, r);

	if (t && looks_closer(l, r))
		lint_loop_asked(l, t, r);
	if (r->file)
		asked_of_file(l, r);
	else
		asked_of_vm(l, r, lint_span_of(r->a, r->b));
}

/* Of one that was not looked at closer, what has changed is all there is. */
static void changed(struct lint *l, const struct obs_record *r)
{
	if (!looks_closer(l, r))
		asked(l, r);
}

static bool converts(uint64_t request)
{
	return request == (uint32_t)KVM_SET_MEMORY_ATTRIBUTES ||
	       request == (uint32_t)KVM_SET_MEMORY_ATTRIBUTES2 || request == (uint32_t)GMEM_CONVERT;
}

/* One that changed nothing may have been about any page. */
static void requested(struct lint *l, const struct obs_record *r)
{
	struct lint_thread *t = lint_thread(l, r);

	if (t)
		lint_again(l, t, r);
	if (!converts(r->a) || looks_closer(l, r))
		return;
	for (size_t i = 0; i < l->nr_vms; i++) {
		for (size_t j = 0; j < l->vms[i]->nr_vcpus && l->vms[i]->process == r->process; j++)
			l->vms[i]->vcpus[j].was_tried = true;
	}
}

/* ---- running ---------------------------------------------------------------------------------------------- */

static void entered(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, r->vm);
	struct lint_thread *t = lint_thread(l, r);

	l->saw_little |= !looks_closer(l, r);
	if (t) {
		lint_loop_ends(l, t);
		t->again.nr = 0;
		t->at_once_out = r->a != 0;
		if (!t->at_once_out)
			t->last_enter = l->nr;
	}
	if (!vm)
		return;
	lint_exits_enter(l, vm, r);
	if (!r->a)
		vm->last_enter = l->nr;
}

static void left(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, r->vm);
	struct lint_thread *t = lint_thread(l, r);

	if (t && !t->at_once_out)
		t->last_exit = l->nr;
	if (vm)
		lint_exits_exit(l, vm, r);
}

static void guest_asked(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, r->vm);

	if (vm)
		lint_exits_guest(vm, r);
}

/* ---- L7 ------------------------------------------------------------------------------------------------------ */

static void closed(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, (uint16_t)r->c);
	struct lint_vcpu *v;
	struct lint_file *f;

	if (!vm)
		return;
	if (r->a == CLOSED_VM) {
		vm->closed = true;
	} else if (r->a == CLOSED_VCPU) {
		v = lint_vcpu(vm, (uint32_t)r->b);
		if (v)
			v->closed = true;
	} else if (r->a == CLOSED_GMEM) {
		f = lint_file(l, r->process, (uint16_t)r->b);
		if (f)
			f->closed = true;
		lint_memory_ends(l, vm, (uint16_t)r->b);
	}
}

static void leaked(struct lint *l, const struct lint_vm *vm, uint64_t caller)
{
	lint_found(l, &(struct lint_finding){ .code = 7,
					      .process = vm->process,
					      .caller = caller,
					      .nr = 1,
					      .vm = vm->number });
}

/* What has lost events may have lost the closing, too. */
static void judge_end(struct lint *l, struct lint_vm *vm)
{
	if (!vm->closed || vm->gone || l->nr_lost)
		return;
	vm->gone = true;
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (!vm->vcpus[i].closed && vm->vcpus[i].made_by)
			leaked(l, vm, vm->vcpus[i].made_by);
	}
	for (size_t i = 0; i < l->nr_files; i++) {
		const struct lint_file *f = &l->files[i];

		if (f->process == vm->process && f->vm == vm->number && !f->closed && f->made_by)
			leaked(l, vm, f->made_by);
	}
}

static void vm_gone(struct lint *l, const struct obs_record *r)
{
	struct lint_vm *vm = lint_vm(l, r->process, (uint16_t)r->b);

	if (!vm)
		return;
	vm->gone = true;
	lint_memory_ends(l, vm, 0);
	lint_vm_forget(vm);
}

/* ---- records --------------------------------------------------------------------------------------------------- */

typedef void judge(struct lint *l, const struct obs_record *r);

static void discarded(struct lint *l, const struct obs_record *r)
{
	lint_again_calms(l, r);
	lint_memory_discard(l, r);
}

static void punched(struct lint *l, const struct obs_record *r)
{
	lint_again_calms(l, r);
	lint_memory_punch(l, r);
}

static judge *const judges[OBS_NR_EVENTS] = {
	[OBS_PROCESS_MADE] = process_made,
	[OBS_VCPU_MADE] = vcpu_made,
	[OBS_FILE_MADE] = file_made,
	[OBS_SLOT] = slot_changed,
	[OBS_SLOT_HOST] = slot_memory,
	[OBS_ASKED] = asked,
	[OBS_CONVERT] = changed,
	[OBS_VM_CONVERT] = changed,
	[OBS_REQUEST] = requested,
	[OBS_RUN_ENTER] = entered,
	[OBS_RUN_EXIT] = left,
	[OBS_GUEST_ASKED] = guest_asked,
	[OBS_CLOSED] = closed,
	[OBS_VM_GONE] = vm_gone,
	[OBS_DISCARD] = discarded,
	[OBS_PUNCH] = punched,
	[OBS_ALLOCATE] = lint_memory_allocate,
	[OBS_LEFT] = lint_memory_left,
	[OBS_UNPIN] = lint_again_unpinned,
};

void lint_note_gap(struct lint *l, enum lint_gap gap)
{
	l->gaps |= 1u << gap;
}

uint32_t lint_gaps(const struct lint *l)
{
	return l->gaps;
}

void lint_record(struct lint *l, const struct obs_record *r)
{
	l->nr++;
	if (r->kind == OBS_LEFT && r->c & OBS_LEFT_UNSEEN) {
		lint_note_gap(l, LINT_UNSEEN);
		return;
	}
	/* They have one place together, and VMs of the same numbers. */
	if (r->process >= OBS_MAX_PROCESSES) {
		lint_note_gap(l, LINT_UNPLACED);
		return;
	}
	if (r->kind < OBS_NR_EVENTS && judges[r->kind])
		judges[r->kind](l, r);
}

void lint_lost(struct lint *l, uint64_t nr)
{
	l->nr_lost += nr;
	lint_state_forget(l);
}

void lint_end(struct lint *l)
{
	if (!l->nr)
		lint_note_gap(l, LINT_NO_EVENT);
	if (l->saw_little)
		lint_note_gap(l, LINT_LITTLE);
	for (size_t i = 0; i < l->nr_threads; i++)
		lint_loop_ends(l, &l->threads[i]);
	for (size_t i = 0; i < l->nr_vms; i++) {
		lint_memory_ends(l, l->vms[i], 0);
		judge_end(l, l->vms[i]);
	}
}

const struct lint_finding *lint_findings(const struct lint *l, size_t *nr)
{
	*nr = l->nr_findings;
	return l->findings;
}

uint64_t lint_nr_lost(const struct lint *l)
{
	return l->nr_lost;
}

uint64_t lint_nr_left_out(const struct lint *l)
{
	return l->nr_left_out;
}

bool lint_saw_little(const struct lint *l)
{
	return l->saw_little;
}
