/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/leftover.h"

#include "kvm/vm.h"
#include "os/resident.h"
#include "os/spare.h"

#define OLD_NS 1000000000ull

static struct {
	struct os_mutex lock;
	struct os_resident *resident; /* NULL: not to be had */
} leftover;

/* ---- notes ------------------------------------------------------------------------------------- */

static void widen(struct leftover_note *n, uint64_t start, uint64_t end)
{
	n->start = start < n->start ? start : n->start;
	n->end = end > n->end ? end : n->end;
}

static bool follows(const struct leftover_note *n, uint32_t thread, uint64_t start, uint64_t end)
{
	return n->thread == thread && start <= n->end && end >= n->start;
}

/* Pages that one thread converted one after the other are one note. */
static void note(struct leftover *l, uint64_t start, uint64_t end)
{
	uint32_t nr = os_racy_load(&l->nr), thread = os_context()->thread;

	if (nr && (nr == LEFTOVER_NR_NOTES || follows(&l->notes[nr - 1], thread, start, end))) {
		widen(&l->notes[nr - 1], start, end);
		return;
	}
	l->notes[nr] = (struct leftover_note){ start, end, os_clock_ns(), thread };
	atomic_store(&l->nr, nr + 1);
}

void leftover_note(struct vm *vm, uint64_t gpa, uint64_t size)
{
	if (!obs_looks_closer())
		return;
	os_mutex_lock(&vm->leftover.lock);
	note(&vm->leftover, gpa, gpa + size);
	os_mutex_unlock(&vm->leftover.lock);
}

/* What the vCPU's last exit was about. */
static bool is_asked_by(const struct vcpu *vcpu, const struct leftover_note *n)
{
	const struct kvm_run *run = vcpu->run;
	uint64_t start, size;

	if (vcpu->pending == PENDING_HYPERCALL) {
		start = run->hypercall.args[0];
		size = run->hypercall.args[1] << OS_PAGE_SHIFT;
	} else if (run->exit_reason == kvm_memory_exit()->reason) {
		start = run->memory_fault.gpa;
		size = run->memory_fault.size;
	} else {
		return false;
	}
	return start < n->end && n->start < start + size;
}

static bool is_due(const struct vcpu *vcpu, const struct leftover_note *n, uint64_t now)
{
	return n->thread == os_context()->thread || now - n->time_ns > OLD_NS ||
	       is_asked_by(vcpu, n);
}

static uint32_t take_notes(struct vcpu *vcpu, struct leftover_note *notes)
{
	struct leftover *l = &vcpu->vm->leftover;
	uint64_t now = os_clock_ns();
	uint32_t nr = 0, stay = 0;

	os_mutex_lock(&l->lock);
	for (uint32_t i = 0; i < os_racy_load(&l->nr); i++) {
		if (is_due(vcpu, &l->notes[i], now))
			notes[nr++] = l->notes[i];
		else
			l->notes[stay++] = l->notes[i];
	}
	atomic_store(&l->nr, stay);
	os_mutex_unlock(&l->lock);
	return nr;
}

/* ---- the look ---------------------------------------------------------------------------------- */

struct look {
	struct vm *vm;
	const struct gmem_file *file; /* NULL: all */
	const struct leftover_note *notes;
	uint32_t nr_notes; /* 0: everywhere */
	uint32_t nr_runs, when;
};

static void tell(struct look *l, const struct memslot *slot, uint64_t pos, uint64_t size,
		 bool is_private)
{
	if (l->nr_runs++ < LEFTOVER_MAX_RUNS)
		obs_count_file(OBS_LEFT, gmem_file_number(slot->file),
			       (slot->gfn << OS_PAGE_SHIFT) + pos, size,
			       (is_private ? OBS_LEFT_PRIVATE : 0) | l->when);
}

static void look_in_program(struct look *l, const struct memslot *slot, uint64_t pos, uint64_t end)
{
	uint64_t addr = slot->hva + pos, size;

	while (leftover.resident && addr < slot->hva + end &&
	       os_resident_next(leftover.resident, &addr, slot->hva + end, &size)) {
		tell(l, slot, addr - slot->hva, size, true);
		addr += size;
	}
}

static void look_in_file(struct look *l, const struct memslot *slot, uint64_t pos, uint64_t end)
{
	uint64_t offset = slot->file_offset + pos, size;

	while (offset < slot->file_offset + end &&
	       store_next_present(gmem_file_store(slot->file), &offset, slot->file_offset + end,
				  &size)) {
		tell(l, slot, offset - slot->file_offset, size, false);
		offset += size;
	}
}

/* Part [pos, end) of a slot, in bytes. */
static void look_at_part(struct look *l, const struct memslot *slot, uint64_t pos, uint64_t end)
{
	while (pos < end && l->nr_runs < LEFTOVER_MAX_RUNS) {
		uint32_t value = 0;
		uint64_t nr =
			attr_map_run(mmu_attributes(l->vm->mmu), slot->gfn + (pos >> OS_PAGE_SHIFT),
				     (end - pos) >> OS_PAGE_SHIFT, &value);
		uint64_t next = pos + (nr << OS_PAGE_SHIFT);

		if (value & ATTR_PRIVATE)
			look_in_program(l, slot, pos, next);
		else
			look_in_file(l, slot, pos, next);
		pos = next;
	}
}

static void look_at_slot(void *arg, struct memslot *slot)
{
	uint64_t gpa = slot->gfn << OS_PAGE_SHIFT, size = slot->nr_pages << OS_PAGE_SHIFT;
	struct look *l = arg;

	if (!slot->file || slot->gmem_only || gmem_file_flags(slot->file) & GMEM_FILE_IN_PLACE ||
	    (l->file && slot->file != l->file))
		return;
	if (!l->nr_notes)
		look_at_part(l, slot, 0, size);
	for (uint32_t i = 0; i < l->nr_notes; i++) {
		uint64_t start = l->notes[i].start, end = l->notes[i].end;

		start = start > gpa ? start - gpa : 0;
		end = end <= gpa ? 0 : end - gpa < size ? end - gpa : size;
		if (start < end)
			look_at_part(l, slot, start, end);
	}
}

static void tell_unseen(void)
{
	static _Atomic bool is_told;

	if (!atomic_exchange(&is_told, true))
		obs_count(OBS_LEFT, 0, 0, OBS_LEFT_UNSEEN);
}

/* Not under a filter of system calls: it is the program's own threads that look, and each may have one that kills. */
static void look(struct look *l)
{
	struct os_context *me = os_context();
	uint16_t vm = me->vm;

	me->vm = (uint16_t)l->vm->account.number;
	os_mutex_lock(&leftover.lock);
	if (!os_jailed()) {
		if (leftover.resident)
			os_resident_refresh(leftover.resident);
		os_mutex_lock(&l->vm->slots_lock);
		memslot_for_each(l->vm->mmu, look_at_slot, l);
		os_mutex_unlock(&l->vm->slots_lock);
	} else {
		tell_unseen();
	}
	os_mutex_unlock(&leftover.lock);
	me->vm = vm;
}

void leftover_look(struct vcpu *vcpu)
{
	struct leftover_note notes[LEFTOVER_NR_NOTES];
	struct look l = { .vm = vcpu->vm, .notes = notes };

	if (!atomic_load(&l.vm->leftover.nr))
		return;
	l.nr_notes = take_notes(vcpu, notes);
	if (l.nr_notes)
		look(&l);
}

void leftover_end(struct vm *vm, const struct gmem_file *file)
{
	struct look l = { .vm = vm, .file = file, .when = OBS_LEFT_AT_END };

	if (obs_looks_closer() && vm->has_private && !vm_in_place(vm))
		look(&l);
}

/* ---- the process -------------------------------------------------------------------------------- */

void leftover_get_ready(void)
{
	os_mutex_lock(&leftover.lock);
	if (!leftover.resident && obs_looks_closer() && os_resident_open(&leftover.resident))
		leftover.resident = NULL;
	os_mutex_unlock(&leftover.lock);
}

void leftover_before_fork(void)
{
	os_mutex_lock(&leftover.lock);
}

/* What is open is about the parent's memory. */
void leftover_after_fork(bool in_child)
{
	if (in_child && leftover.resident) {
		os_resident_close(leftover.resident);
		leftover.resident = NULL;
	}
	os_mutex_unlock(&leftover.lock);
}
