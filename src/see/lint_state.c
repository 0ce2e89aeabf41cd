/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/lint_state.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FINDINGS 4096u
#define MAX_THREADS 4096u

struct lint_span lint_both(struct lint_span a, struct lint_span b)
{
	struct lint_span both = { a.start > b.start ? a.start : b.start,
				  a.end < b.end ? a.end : b.end };

	if (both.start > both.end)
		both.end = both.start;
	return both;
}

struct lint_span lint_span_of(uint64_t start, uint64_t size)
{
	return (struct lint_span){ start, start + size < start ? UINT64_MAX : start + size };
}

void lint_calls_add(struct lint_calls *c, const struct lint_call *call)
{
	if (!c->calls)
		c->calls = calloc(LINT_NR_CALLS, sizeof(*c->calls));
	if (c->calls)
		c->calls[c->nr++ % LINT_NR_CALLS] = *call;
}

const struct lint_call *lint_calls_at(const struct lint_calls *c, uint64_t i)
{
	return i < c->nr && i < LINT_NR_CALLS ? &c->calls[(c->nr - 1 - i) % LINT_NR_CALLS] : NULL;
}

/* Room for one more at the end; it is zero. */
static void *more(void **list, size_t *nr, size_t *max, size_t size)
{
	if (*nr == *max) {
		size_t room = *max ? *max * 2 : 8;
		void *bigger = realloc(*list, room * size);

		if (!bigger)
			return NULL;
		*list = bigger;
		*max = room;
	}
	return memset((char *)*list + size * (*nr)++, 0, size);
}

#define MORE(list, nr, max) more((void **)&(list), &(nr), &(max), sizeof(*(list)))

/* ---- tables ---------------------------------------------------------------------------------------- */

struct lint_vm *lint_vm(struct lint *l, unsigned int process, uint16_t number)
{
	struct lint_vm **place, *vm;

	for (size_t i = l->nr_vms; i-- > 0;) {
		if (l->vms[i]->number == number && l->vms[i]->process == process)
			return l->vms[i];
	}
	vm = calloc(1, sizeof(*vm));
	place = vm ? MORE(l->vms, l->nr_vms, l->max_vms) : NULL;
	if (!place) {
		free(vm);
		return NULL;
	}
	vm->process = process;
	vm->number = number;
	*place = vm;
	return vm;
}

struct lint_vcpu *lint_vcpu(struct lint_vm *vm, uint32_t id)
{
	struct lint_vcpu *v;

	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].id == id)
			return &vm->vcpus[i];
	}
	v = MORE(vm->vcpus, vm->nr_vcpus, vm->max_vcpus);
	if (v)
		v->id = id;
	return v;
}

struct lint_file *lint_file(struct lint *l, unsigned int process, uint16_t number)
{
	struct lint_file *f;

	for (size_t i = l->nr_files; i-- > 0;) {
		if (l->files[i].number == number && l->files[i].process == process)
			return &l->files[i];
	}
	f = MORE(l->files, l->nr_files, l->max_files);
	if (f) {
		f->process = process;
		f->number = number;
	}
	return f;
}

static bool is_of(const struct lint_thread *t, const struct obs_record *r)
{
	return t->number == r->thread && t->process == r->process;
}

/* Most records are of the thread that the one before was of. Of very many threads some share a place. */
struct lint_thread *lint_thread(struct lint *l, const struct obs_record *r)
{
	struct lint_thread *t;

	if (l->nr_threads && is_of(&l->threads[l->last_thread], r))
		return &l->threads[l->last_thread];
	for (size_t i = 0; i < l->nr_threads; i++) {
		if (!is_of(&l->threads[i], r))
			continue;
		l->last_thread = i;
		return &l->threads[i];
	}
	if (l->nr_threads >= MAX_THREADS)
		return &l->threads[r->thread % MAX_THREADS];
	t = MORE(l->threads, l->nr_threads, l->max_threads);
	if (t) {
		t->process = r->process;
		t->number = r->thread;
	}
	return t;
}

struct lint_slot *lint_slot_by_id(struct lint_vm *vm, uint32_t id)
{
	for (size_t i = 0; i < vm->nr_slots; i++) {
		if (vm->slots[i].id == id)
			return &vm->slots[i];
	}
	return NULL;
}

void lint_slot_set(struct lint_vm *vm, const struct lint_slot *slot)
{
	struct lint_slot *s = lint_slot_by_id(vm, slot->id);

	if (!s)
		s = MORE(vm->slots, vm->nr_slots, vm->max_slots);
	if (s)
		*s = *slot;
}

void lint_slot_delete(struct lint_vm *vm, uint32_t id)
{
	struct lint_slot *s = lint_slot_by_id(vm, id);

	if (s)
		*s = vm->slots[--vm->nr_slots];
}

/* What was going on may have ended unseen. */
void lint_state_forget(struct lint *l)
{
	for (size_t i = 0; i < l->nr_vms; i++) {
		struct lint_vm *vm = l->vms[i];

		vm->conversions.nr = vm->discards.nr = 0;
		for (size_t j = 0; j < vm->nr_vcpus; j++) {
			vm->vcpus[j].is_out = false;
			vm->vcpus[j].was_ignored = false;
		}
	}
	for (size_t i = 0; i < l->nr_threads; i++) {
		memset(&l->threads[i].loop, 0, sizeof(l->threads[i].loop));
		memset(&l->threads[i].again, 0, sizeof(l->threads[i].again));
	}
}

static void free_calls(struct lint_calls *c)
{
	free(c->calls);
	*c = (struct lint_calls){ 0 };
}

void lint_vm_forget(struct lint_vm *vm)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		ranges_free(&vm->vcpus[i].done);
		ranges_free(&vm->vcpus[i].failed);
	}
	free_calls(&vm->conversions);
	free_calls(&vm->discards);
	free_calls(&vm->allocations);
	page_set_free(&vm->is_private);
	page_set_free(&vm->held);
	page_set_free(&vm->told[0]);
	page_set_free(&vm->told[1]);
	free(vm->slots);
	free(vm->vcpus);
	vm->slots = NULL;
	vm->vcpus = NULL;
	vm->nr_slots = vm->max_slots = vm->nr_vcpus = vm->max_vcpus = 0;
}

void lint_state_free(struct lint *l)
{
	for (size_t i = 0; i < l->nr_vms; i++) {
		lint_vm_forget(l->vms[i]);
		free(l->vms[i]);
	}
	free(l->vms);
	free(l->files);
	free(l->threads);
	free(l->findings);
}

void lint_each_part(struct lint *l, unsigned int process, uint16_t file, uint64_t start,
		    uint64_t size, void (*fn)(struct lint *l, const struct lint_part *p, void *arg),
		    void *arg)
{
	struct lint_span all = lint_span_of(start, size);

	for (size_t i = 0; i < l->nr_vms; i++) {
		struct lint_vm *vm = l->vms[i];

		for (size_t j = 0; j < vm->nr_slots && vm->process == process; j++) {
			struct lint_slot *s = &vm->slots[j];
			uint64_t base = file ? s->offset : s->hva;
			struct lint_span there = lint_span_of(base, s->span.end - s->span.start);
			struct lint_part p = { vm, s, lint_both(all, there) };

			if ((file && s->file != file) || p.span.start >= p.span.end)
				continue;
			p.span.start += s->span.start - base;
			p.span.end += s->span.start - base;
			fn(l, &p, arg);
		}
	}
}

/* ---- findings ---------------------------------------------------------------------------------------- */

void lint_found(struct lint *l, const struct lint_finding *f)
{
	struct lint_finding *to;

	for (size_t i = 0; i < l->nr_findings; i++) {
		to = &l->findings[i];
		if (to->code != f->code || to->process != f->process || to->caller != f->caller)
			continue;
		to->nr += f->nr;
		to->bytes += f->bytes;
		return;
	}
	to = l->nr_findings < MAX_FINDINGS ? MORE(l->findings, l->nr_findings, l->max_findings)
					   : NULL;
	if (to)
		*to = *f;
	else
		l->nr_left_out++;
}
