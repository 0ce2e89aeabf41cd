/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/accounts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "see/names.h"

#define SIZE(bytes) text_size((bytes), style->unit, (char[TEXT_NUMBER_MAX]){ 0 })

const char *account_sort_name(enum account_sort sort)
{
	static const char *const names[] = { "slot", "gpa", "size", "backed", "both" };

	return names[sort];
}

static uint64_t held(const struct account_bytes *b)
{
	return account_in_file(b) + account_in_program(b);
}

static bool wanted(const struct account_style *style, uint32_t vm, uint32_t flags)
{
	return (!style->vm || style->vm == vm) && (style->with_gone || !(flags & ACCOUNT_GONE));
}

/* ---- slots ------------------------------------------------------------------------------------- */

static enum account_sort sort_by;

/* The largest first, but for numbers and addresses. */
static uint64_t sort_key(const struct account_slot *s)
{
	switch (sort_by) {
	case SORT_GPA:
		return s->gpa;
	case SORT_SIZE:
		return ~s->size;
	case SORT_BACKED:
		return ~held(&s->now);
	case SORT_BOTH:
		return ~account_both(&s->now);
	default:
		return (uint64_t)s->as_id << 32 | s->id;
	}
}

static int compare(const void *a, const void *b)
{
	const struct account_slot *x = *(const struct account_slot *const *)a;
	const struct account_slot *y = *(const struct account_slot *const *)b;
	uint64_t left = sort_key(x), right = sort_key(y);

	if (left == right) {
		left = x->gpa;
		right = y->gpa;
	}
	return left < right ? -1 : left > right;
}

/* What was not asked for is no 0. */
static const char *known(const struct account_style *style, bool blind, uint64_t bytes,
			 char out[TEXT_NUMBER_MAX])
{
	return blind ? strcpy(out, "?") : text_size(bytes, style->unit, out);
}

#define KNOWN(bytes) known(style, blind, (bytes), (char[TEXT_NUMBER_MAX]){ 0 })

static void slot_line(struct text *t, const struct account_slot *s, bool blind,
		      const struct account_style *style)
{
	const struct account_bytes *b = &s->now;
	char id[16], peaks[64] = "";

	if (s->as_id)
		snprintf(id, sizeof(id), "%u.%u", s->as_id, s->id);
	else
		snprintf(id, sizeof(id), "%u", s->id);
	if (style->wide)
		snprintf(peaks, sizeof(peaks), "  %8s %7s %7s", SIZE(s->peak.backed_private),
			 SIZE(s->peak.backed_shared), SIZE(s->peak.both));
	text_add(t,
		 account_both(b)	   ? TEXT_ALARM
		 : s->flags & ACCOUNT_GONE ? TEXT_DIM
					   : TEXT_PLAIN,
		 "%5s %12" PRIx64 " %7s %7s %7s %7s %7s %7s %7s%s%s", id, s->gpa, SIZE(s->size),
		 SIZE(account_private(b)), SIZE(account_shared(b)), KNOWN(account_both(b)),
		 KNOWN(account_neither(b)), KNOWN(held(b)), KNOWN(b->pinned), peaks,
		 s->flags & ACCOUNT_GONE ? " gone" : "");
}

static void slot_lines(struct text *t, const struct account_snapshot *s, uint32_t vm,
		       const struct account_style *style)
{
	const struct account_slot *rows[ACCOUNT_NR_SLOTS];
	size_t nr = 0;

	for (uint32_t i = 0; i < s->nr_slots; i++)
		if (s->slots[i].vm == vm && wanted(style, vm, s->slots[i].flags))
			rows[nr++] = &s->slots[i];
	if (!nr)
		return;
	sort_by = style->sort;
	qsort(rows, nr, sizeof(rows[0]), compare);
	text_add(t, TEXT_HEAD, "%5s %12s %7s %7s %7s %7s %7s %7s %7s%s", "SLOT", "GPA", "SIZE",
		 "PRIVATE", "SHARED", "BOTH", "NEITHER", "BACKED", "PINNED",
		 style->wide ? "  PEAK:PRIV  SHARED    BOTH" : "");
	for (size_t i = 0; i < nr; i++)
		slot_line(t, rows[i], s->flags & ACCOUNT_BLIND, style);
}

/* ---- vCPUs ------------------------------------------------------------------------------------- */

static const struct account_vcpu *same_vcpu(const struct account_snapshot *s,
					    const struct account_vcpu *v)
{
	for (uint32_t i = 0; s && i < s->nr_vcpus; i++)
		if (s->vcpus[i].vm == v->vm && s->vcpus[i].id == v->id)
			return &s->vcpus[i];
	return NULL;
}

static const char *exit_name(uint32_t reason, char text[16])
{
	const char *name = see_exit(reason);

	if (reason == ACCOUNT_EXIT_ERROR)
		return "error";
	if (reason == ACCOUNT_EXIT_OTHER)
		return "other";
	if (!name)
		snprintf(text, 16, "exit %u", reason);
	return name ? name : text;
}

static void vcpu_line(struct text *t, const struct account_vcpu *v, const struct account_pair *p)
{
	const struct account_vcpu *before = p->seconds > 0 ? same_vcpu(p->before, v) : NULL;
	char kinds[TEXT_LINE_MAX] = "", number[TEXT_NUMBER_MAX];
	double sum = 0;
	size_t at = 0;

	for (uint32_t r = 0; r < ACCOUNT_NR_EXITS; r++) {
		double nr = (double)(v->exits[r] - (before ? before->exits[r] : 0));

		nr = before ? nr / p->seconds : nr;
		sum += nr;
		if (nr > 0 && at < sizeof(kinds))
			at += (size_t)snprintf(kinds + at, sizeof(kinds) - at, "  %s %s",
					       exit_name(r, (char[16]){ 0 }),
					       text_count(nr, number));
	}
	text_add(t, v->flags & ACCOUNT_GONE ? TEXT_DIM : TEXT_PLAIN, "%5u %12s%s%s", v->id,
		 text_count(sum, number), kinds, v->flags & ACCOUNT_GONE ? "  gone" : "");
}

static void vcpu_lines(struct text *t, const struct account_pair *p, uint32_t vm,
		       const struct account_style *style)
{
	bool any = false;

	for (uint32_t i = p->now->nr_vcpus; i-- > 0;) {
		const struct account_vcpu *v = &p->now->vcpus[i];

		if (v->vm != vm || !wanted(style, vm, v->flags))
			continue;
		if (!any)
			text_add(t, TEXT_HEAD, "%5s %12s  BY REASON%s", "VCPU",
				 p->seconds > 0 ? "EXITS/S" : "EXITS",
				 p->seconds > 0 || !style->late ? "" : ", SINCE OBSERVED");
		any = true;
		vcpu_line(t, v, p);
	}
}

/* ---- all of it --------------------------------------------------------------------------------- */

static void vm_lines(struct text *t, const struct account_pair *p, const struct account_vm *vm,
		     const struct account_style *style)
{
	bool blind = p->now->flags & ACCOUNT_BLIND;

	text_add(t, TEXT_TITLE,
		 "VM %u%s: %" PRIu64 " slot%s, private %s, shared %s, backed %s, held twice %s",
		 vm->number, vm->flags & ACCOUNT_GONE ? " (gone)" : "", vm->nr_slots,
		 vm->nr_slots == 1 ? "" : "s", SIZE(account_private(&vm->now)),
		 SIZE(account_shared(&vm->now)), KNOWN(held(&vm->now)),
		 KNOWN(account_both(&vm->now)));
	text_add(t, TEXT_PLAIN,
		 "  peak of what is backed (sampled%s): private %s, shared %s, held twice %s",
		 style->late ? ", since observed" : "", SIZE(vm->peak.backed_private),
		 SIZE(vm->peak.backed_shared), SIZE(vm->peak.both));
	slot_lines(t, p->now, vm->number, style);
	vcpu_lines(t, p, vm->number, style);
}

static void file_line(struct text *t, const struct account_file *f,
		      const struct account_style *style)
{
	text_add(t, f->flags & ACCOUNT_GONE ? TEXT_DIM : TEXT_PLAIN,
		 "%5" PRIu64 " %12s %7s %7s %7s %7s %7s %7s %7s%s", f->number, SIZE(f->size),
		 SIZE(f->backed), SIZE(f->allocated), SIZE(f->peak_allocated), SIZE(f->bound),
		 SIZE(f->private_bytes), SIZE(f->shared_bytes), SIZE(f->pinned),
		 f->flags & ACCOUNT_GONE ? " gone" : "");
}

static void file_lines(struct text *t, const struct account_snapshot *s,
		       const struct account_style *style)
{
	bool any = false;

	for (uint32_t i = 0; i < s->nr_files; i++) {
		if (!style->with_gone && s->files[i].flags & ACCOUNT_GONE)
			continue;
		if (!any)
			text_add(t, TEXT_HEAD, "%5s %12s %7s %7s %7s %7s %7s %7s %7s", "FILE",
				 "SIZE", "BACKED", "ALLOC", "PEAK", "BOUND", "PRIVATE", "SHARED",
				 "PINNED");
		any = true;
		file_line(t, &s->files[i], style);
	}
}

void account_text(struct text *t, const struct account_pair *p, const struct account_style *style)
{
	for (uint32_t i = p->now->nr_vms; i-- > 0;)
		if (wanted(style, p->now->vms[i].number, p->now->vms[i].flags))
			vm_lines(t, p, &p->now->vms[i], style);
	file_lines(t, p->now, style);
}

void account_text_twice(struct text *t, const struct account_snapshot *s)
{
	char now[TEXT_NUMBER_MAX], peak[TEXT_NUMBER_MAX];

	for (uint32_t i = 0; i < s->nr_slots; i++) {
		const struct account_slot *slot = &s->slots[i];

		if (!slot->peak.both)
			continue;
		text_add(t, TEXT_ALARM, "held twice: %s in slot %u of VM %u (at most %s, sampled)",
			 text_size(account_both(&slot->now), TEXT_AUTO, now), slot->id, slot->vm,
			 text_size(slot->peak.both, TEXT_AUTO, peak));
	}
}

/* ---- events ------------------------------------------------------------------------------------ */

static void count_line(struct text *t, const struct see_clock *clock, const char *name,
		       const struct see_count *c, double rate)
{
	char nr[TEXT_NUMBER_MAX], failed[TEXT_NUMBER_MAX], rates[TEXT_NUMBER_MAX] = "";
	char times[3][TEXT_NUMBER_MAX] = { "", "", "" };
	static const unsigned int percent[3] = { 50, 99, 100 };

	for (int i = 0; see_count_timed(c) && i < 3; i++)
		text_time(see_ticks_ns(clock, see_count_percentile(c, percent[i])), times[i]);
	if (rate >= 0)
		text_count(rate, rates);
	text_add(t, TEXT_PLAIN, "%-16s %10s %8s %8s %10s %10s %10s", name,
		 text_count((double)c->nr, nr),
		 c->failed ? text_count((double)c->failed, failed) : "-", rates, times[0], times[1],
		 times[2]);
}

/* Why vCPUs left, and what guests faulted on: for who has room for more lines. */
static void detail_lines(struct text *t, const struct see_clock *clock,
			 const struct see_counts *now, unsigned int kind)
{
	char name[32];

	for (unsigned int d = 0; d < OBS_NR_DETAILS; d++) {
		if (see_details_of_kinds[d].kind != kind || !now->details[d].nr)
			continue;
		snprintf(name, sizeof(name), "  %s", see_details_of_kinds[d].name);
		count_line(t, clock, name, &now->details[d], -1);
	}
}

/* A second; -1: not known. */
static double rate_of(const struct see_count *c, unsigned int kind, const struct see_counts *before,
		      double seconds)
{
	return before && seconds > 0 ? (double)(c->nr - before->kinds[kind].nr) / seconds : -1;
}

void account_text_counts(struct text *t, const struct see_clock *clock,
			 const struct see_counts *now, const struct see_counts *before,
			 double seconds)
{
	bool any = false, rates = before && seconds > 0;

	for (unsigned int k = 0; k < OBS_NR_EVENTS; k++) {
		const struct see_count *c = &now->kinds[k];

		if (!c->nr)
			continue;
		if (!any)
			text_add(t, TEXT_HEAD, "%-16s %10s %8s %8s %10s %10s %10s", "EVENT",
				 "COUNT", "FAILED", rates ? "PER SEC" : "", "P50", "P99", "MAX");
		any = true;
		count_line(t, clock, see_kind(k)->name, c, rate_of(c, k, before, seconds));
		if (!before)
			detail_lines(t, clock, now, k);
	}
}

void account_text_notes(struct text *t, const struct account_snapshot *s,
			const struct account_style *style)
{
	char took[TEXT_NUMBER_MAX];

	if (style->with_cost)
		text_add(t, TEXT_DIM, "looked at in %s", text_time(s->cost_ns, took));
	if (s->flags & ACCOUNT_BLIND)
		text_add(
			t, TEXT_ALARM,
			"The program filters the system calls of all its threads: what is backed is "
			"not known.");
	else if (s->flags & ACCOUNT_NO_PROGRAM)
		text_add(t, TEXT_ALARM, "The program's own memory could not be looked at.");
	if (s->flags & ACCOUNT_SHARED_CUT)
		text_add(
			t, TEXT_ALARM,
			"More than 4 GiB of shared memory: of the rest only what is mapped counts as backed.");
	if (s->left_vms || s->left_slots || s->left_files || s->left_vcpus)
		text_add(t, TEXT_ALARM,
			 "Not shown, for want of room: %u VMs, %u slots, %u files, %u vCPUs.",
			 s->left_vms, s->left_slots, s->left_files, s->left_vcpus);
}
