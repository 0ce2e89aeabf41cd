/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/account_rows.h"

#include "os/os.h"

void account_bytes_add(struct account_bytes *sum, const struct account_bytes *b)
{
	for (uint32_t i = 0; i < ACCOUNT_NR_STATES; i++)
		sum->by_state[i] += b->by_state[i];
	sum->pinned += b->pinned;
}

void account_rows_begin(struct account_rows *r, const struct account_snapshot *before,
			struct account_snapshot *to)
{
	*r = (struct account_rows){ .before = before, .to = to };
	to->nr_vms = to->nr_vcpus = to->nr_slots = to->nr_files = to->nr_runs = 0;
	to->left_vms = to->left_vcpus = to->left_slots = to->left_files = 0;
	to->coarse_pages = 0;
	to->left_runs = 0;
	to->flags = 0;
}

static void raise(uint64_t *peak, uint64_t now)
{
	if (*peak < now)
		*peak = now;
}

static void raise_peak(struct account_peak *peak, const struct account_bytes *now,
		       uint64_t in_doubt)
{
	uint64_t both = account_both(now);

	raise(&peak->backed_private, account_backed(now, true));
	raise(&peak->backed_shared, account_backed(now, false));
	raise(&peak->both, both > in_doubt ? both - in_doubt : 0);
}

/* ---- VMs --------------------------------------------------------------------------------------- */

static void note_vm(struct account_rows *r, struct account_vm *row)
{
	for (uint32_t i = 0; r->before && i < r->before->nr_vms; i++)
		if (r->before->vms[i].number == row->number) {
			r->vm_stays[i] = true;
			row->peak = r->before->vms[i].peak;
		}
}

void account_rows_vm(struct account_rows *r, const struct account_vm *vm)
{
	struct account_vm *row = &r->to->vms[r->to->nr_vms];

	if (r->to->nr_vms == ACCOUNT_NR_VMS) {
		r->to->left_vms++;
		return;
	}
	r->to->nr_vms++;
	*row = *vm;
	note_vm(r, row);
	raise_peak(&row->peak, &row->now, r->in_doubt);
}

void account_rows_vcpu(struct account_rows *r, const struct account_vcpu *vcpu)
{
	if (r->to->nr_vcpus == ACCOUNT_NR_VCPUS) {
		r->to->left_vcpus++;
		return;
	}
	r->to->vcpus[r->to->nr_vcpus++] = *vcpu;
	for (uint32_t i = 0; r->before && i < r->before->nr_vcpus; i++)
		if (r->before->vcpus[i].vm == vcpu->vm && r->before->vcpus[i].id == vcpu->id)
			r->vcpu_stays[i] = true;
}

/* ---- slots ------------------------------------------------------------------------------------- */

static bool same_slot(const struct account_slot *a, const struct account_slot *b)
{
	return a->vm == b->vm && a->id == b->id && a->as_id == b->as_id && a->gpa == b->gpa &&
	       a->size == b->size && !(a->flags & ACCOUNT_GONE);
}

static void note_slot(struct account_rows *r, struct account_slot *row, uint32_t hint)
{
	uint32_t nr = r->before ? r->before->nr_slots : 0;

	/* As a rule it is where it was. */
	for (uint32_t n = 0; n < nr; n++) {
		uint32_t i = (hint + n) % nr;

		if (!same_slot(&r->before->slots[i], row))
			continue;
		r->slot_stays[i] = true;
		row->peak = r->before->slots[i].peak;
		return;
	}
}

uint32_t account_rows_slot(struct account_rows *r, const struct account_slot *slot)
{
	uint32_t i = r->to->nr_slots;

	if (i == ACCOUNT_NR_SLOTS) {
		r->to->left_slots++;
		return ACCOUNT_NO_ROW;
	}
	r->to->nr_slots++;
	r->to->slots[i] = *slot;
	note_slot(r, &r->to->slots[i], i);
	return i;
}

void account_rows_slot_done(struct account_rows *r, uint32_t row, const struct account_slot *slot)
{
	struct account_slot *to;

	if (row == ACCOUNT_NO_ROW)
		return;
	to = &r->to->slots[row];
	to->now = slot->now;
	raise_peak(&to->peak, &to->now, r->in_doubt);
}

/* ---- runs -------------------------------------------------------------------------------------- */

/* Can b, which follows a, be told with it? */
static bool joins(const struct account_run *a, const struct account_run *b, uint32_t coarse)
{
	if (a->slot != b->slot)
		return false;
	return a->states == b->states || (a->nr_pages < coarse && b->nr_pages < coarse);
}

static void append(struct account_snapshot *to, const struct account_run *run)
{
	struct account_run *last = &to->runs[to->nr_runs - 1];

	if (to->nr_runs && joins(last, run, to->coarse_pages)) {
		last->nr_pages += run->nr_pages;
		last->states |= run->states;
	} else {
		to->runs[to->nr_runs++] = *run;
	}
}

/* Of two neighbours of a slot one is then of that length: there are few of them in the end. */
static void coarsen(struct account_snapshot *to)
{
	while (to->nr_runs > ACCOUNT_NR_RUNS / 2) {
		uint32_t nr = to->nr_runs;

		to->coarse_pages = to->coarse_pages ? to->coarse_pages * 2 : 2;
		to->nr_runs = 0;
		for (uint32_t i = 0; i < nr; i++) {
			struct account_run run = to->runs[i];

			append(to, &run);
		}
	}
}

void account_rows_run(struct account_rows *r, uint32_t row, uint64_t gpa, uint64_t nr_pages,
		      uint32_t states)
{
	struct account_run run = { .gpa = gpa,
				   .nr_pages = (uint32_t)nr_pages,
				   .slot = (uint16_t)row,
				   .states = (uint16_t)states };

	if (row == ACCOUNT_NO_ROW) {
		r->to->left_runs++;
		return;
	}
	if (r->to->nr_runs == ACCOUNT_NR_RUNS)
		coarsen(r->to);
	append(r->to, &run);
}

/* ---- files ------------------------------------------------------------------------------------- */

void account_rows_file(struct account_rows *r, const struct account_file *file)
{
	struct account_file *row = &r->to->files[r->to->nr_files];

	if (r->to->nr_files == ACCOUNT_NR_FILES) {
		r->to->left_files++;
		return;
	}
	r->to->nr_files++;
	*row = *file;
	for (uint32_t i = 0; r->before && i < r->before->nr_files; i++)
		if (r->before->files[i].number == row->number) {
			r->file_stays[i] = true;
			row->peak_allocated = r->before->files[i].peak_allocated;
		}
	raise(&row->peak_allocated, row->allocated);
}

/* ---- what is gone ------------------------------------------------------------------------------ */

static void keep_vms(struct account_rows *r)
{
	for (uint32_t i = 0; i < r->before->nr_vms && r->to->nr_vms < ACCOUNT_NR_VMS; i++)
		if (!r->vm_stays[i]) {
			r->to->vms[r->to->nr_vms] = r->before->vms[i];
			r->to->vms[r->to->nr_vms++].flags |= ACCOUNT_GONE;
		}
}

static void keep_vcpus(struct account_rows *r)
{
	for (uint32_t i = 0; i < r->before->nr_vcpus && r->to->nr_vcpus < ACCOUNT_NR_VCPUS; i++)
		if (!r->vcpu_stays[i]) {
			r->to->vcpus[r->to->nr_vcpus] = r->before->vcpus[i];
			r->to->vcpus[r->to->nr_vcpus++].flags |= ACCOUNT_GONE;
		}
}

static void keep_slots(struct account_rows *r)
{
	uint32_t gone = 0;

	for (uint32_t i = 0; i < r->before->nr_slots && r->to->nr_slots < ACCOUNT_NR_SLOTS; i++)
		if (!r->slot_stays[i] && gone++ < ACCOUNT_NR_GONE) {
			r->to->slots[r->to->nr_slots] = r->before->slots[i];
			r->to->slots[r->to->nr_slots++].flags |= ACCOUNT_GONE;
		}
}

static void keep_files(struct account_rows *r)
{
	uint32_t gone = 0;

	for (uint32_t i = 0; i < r->before->nr_files && r->to->nr_files < ACCOUNT_NR_FILES; i++)
		if (!r->file_stays[i] && gone++ < ACCOUNT_NR_GONE / 2) {
			r->to->files[r->to->nr_files] = r->before->files[i];
			r->to->files[r->to->nr_files++].flags |= ACCOUNT_GONE;
		}
}

void account_rows_end(struct account_rows *r)
{
	if (!r->before)
		return;
	keep_vms(r);
	keep_vcpus(r);
	keep_slots(r);
	keep_files(r);
}
