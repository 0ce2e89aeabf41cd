/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "obs/account.h"
#include "obs/rules.h"
#include "see/listed.h"

/* ---- while it runs ------------------------------------------------------------------------------- */

static bool is_same(const struct report_refusal *e, const struct obs_record *r)
{
	return e->caller == obs_record_caller(r) && e->process == r->process &&
	       e->rule == r->rule && e->result == r->result;
}

/* A quarter stays free, so that every search ends. */
static struct report_refusal *entry_of(struct report *rep, const struct obs_record *r)
{
	uint64_t key = obs_record_caller(r) ^ (uint64_t)r->rule << 48 ^ (uint64_t)r->process << 32;
	uint64_t h = (key * 0x9e3779b97f4a7c15ull) >> 32;

	for (;; h++) {
		struct report_refusal *e = &rep->refusals[h & (REPORT_MAX_REFUSALS - 1)];

		if (!e->nr && rep->nr_refusals >= REPORT_MAX_REFUSALS - REPORT_MAX_REFUSALS / 4)
			return NULL;
		if (!e->nr || is_same(e, r))
			return e;
	}
}

static struct report_last *last_of(struct report *rep, uint32_t thread)
{
	return &rep->last[thread & (REPORT_NR_LAST - 1)];
}

static void take_refusal(struct report *rep, const struct obs_record *r)
{
	struct report_refusal *e = entry_of(rep, r);

	*last_of(rep, r->thread) = (struct report_last){ .thread = r->thread, .entry = e };
	if (!e) {
		rep->refusals_left++;
		return;
	}
	if (!e->nr++) {
		rep->nr_refusals++;
		e->caller = obs_record_caller(r);
		e->process = r->process;
		e->rule = r->rule;
		e->result = r->result;
	}
}

/* The record of a request comes after that of its refusal, and says which request it was. */
static void take_request(struct report *rep, const struct obs_record *r)
{
	struct report_last *last = last_of(rep, r->thread);

	if (!last->entry || last->thread != r->thread)
		return;
	if (last->entry->result == r->result && last->entry->process == r->process &&
	    last->entry->caller == obs_record_caller(r))
		last->entry->request = r->a;
	last->entry = NULL;
}

static void take_injection(struct report *rep, const struct obs_record *r)
{
	size_t i = 0;

	while (i < rep->nr_injections &&
	       (rep->injections[i].point != r->a || rep->injections[i].rule != r->b))
		i++;
	if (i == REPORT_MAX_INJECTIONS)
		return;
	if (i == rep->nr_injections) {
		rep->nr_injections++;
		rep->injections[i] = (struct report_injection){ .point = r->a, .rule = r->b };
	}
	rep->injections[i].nr++;
}

static int on_records(void *own, const struct obs_region *r, const struct obs_record *records,
		      size_t nr)
{
	struct report *rep = own;

	for (size_t i = 0; i < nr; i++) {
		if (records[i].kind == OBS_REFUSAL)
			take_refusal(rep, &records[i]);
		else if (records[i].kind == OBS_REQUEST)
			take_request(rep, &records[i]);
		else if (records[i].kind == OBS_INJECT)
			take_injection(rep, &records[i]);
	}
	rep->nr_records += nr;
	return 0;
}

static int on_lost(void *own, const struct obs_region *r, uint64_t nr)
{
	struct report *rep = own;

	rep->nr_lost += nr;
	return 0;
}

static int on_end(void *own, const struct obs_region *r, int status)
{
	struct report *rep = own;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	rep->end_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	rep->status = status;
	rep->has_ended = true;
	return 0;
}

int report_begin(const struct obs_region *r, const struct report_run *run, struct report *out)
{
	*out = (struct report){ .run = *run, .region = r, .clock = see_region_clock(r) };
	out->places = see_places_new();
	out->counts = calloc(1, sizeof(*out->counts));
	out->refusals = calloc(REPORT_MAX_REFUSALS, sizeof(*out->refusals));
	if (!out->places || !out->counts || !out->refusals) {
		report_end(out);
		return -ENOMEM;
	}
	out->sink = (struct see_sink){ .name = "report",
				       .own = out,
				       .wants_records = true,
				       .records = on_records,
				       .lost = on_lost,
				       .end = on_end };
	return 0;
}

void report_add_finding(struct report *rep, const struct report_finding *f)
{
	if (rep->nr_findings == rep->max_findings) {
		size_t max = rep->max_findings ? rep->max_findings * 2 : 64;
		struct report_finding *more = realloc(rep->findings, max * sizeof(*more));

		if (!more)
			abort();
		rep->findings = more;
		rep->max_findings = max;
	}
	rep->findings[rep->nr_findings++] = *f;
}

void report_end(struct report *rep)
{
	see_places_free(rep->places);
	free(rep->counts);
	free(rep->refusals);
	free(rep->findings);
	*rep = (struct report){ 0 };
}

/* ---- when it has ended ----------------------------------------------------------------------------- */

static void learn_modules(struct report *rep)
{
	uint32_t nr = see_nr_modules(rep->region);
	struct trace_module m;

	for (uint32_t i = 0; i < nr; i++)
		if (see_module_read(rep->region, i, &m))
			see_places_add(rep->places, &m);
}

static int compare_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : !!a - !!b;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* 0: the same for people: children of one program have the same places. */
static int compare_kinds(const void *one, const void *other)
{
	const struct report_refusal *a = one, *b = other;
	int diff = compare_numbers(a->rule, b->rule);

	diff = diff ? diff : compare_numbers((uint16_t)a->result, (uint16_t)b->result);
	diff = diff ? diff : compare_numbers(a->request, b->request);
	diff = diff ? diff : compare_text(a->where.module, b->where.module);
	diff = diff ? diff : compare_text(a->where.file, b->where.file);
	diff = diff ? diff : compare_numbers(a->where.line, b->where.line);
	if (!diff && !a->where.file)
		diff = compare_numbers(a->where.offset, b->where.offset);
	return diff;
}

static int compare_counts(const void *one, const void *other)
{
	const struct report_refusal *a = one, *b = other;
	int diff = compare_numbers(b->nr, a->nr);

	return diff ? diff : compare_kinds(one, other);
}

static void put_together(struct report *rep)
{
	struct report_refusal *all = rep->refusals;
	size_t nr = 0;

	for (size_t i = 0; i < rep->nr_refusals; i++) {
		if (nr && !compare_kinds(&all[nr - 1], &all[i]))
			all[nr - 1].nr += all[i].nr;
		else
			all[nr++] = all[i];
	}
	rep->nr_refusals = nr;
}

void report_finish(struct report *rep)
{
	struct report_refusal *all = rep->refusals;
	size_t nr = 0;

	see_counts_read(rep->region, rep->counts);
	learn_modules(rep);
	for (size_t i = 0; i < REPORT_MAX_REFUSALS; i++) {
		if (all[i].nr) {
			all[nr] = all[i];
			all[nr].where =
				*see_place(rep->places, all[nr].process, all[nr].caller, true);
			nr++;
		}
	}
	qsort(all, nr, sizeof(*all), compare_kinds);
	put_together(rep);
	qsort(all, rep->nr_refusals, sizeof(*all), compare_counts);
}

/* ---- questions ------------------------------------------------------------------------------------- */

struct account_snapshot *report_account(const struct report *rep, uint32_t process)
{
	const struct account_area *a = obs_account_find(rep->region, process);
	struct account_snapshot *s = a ? malloc(sizeof(*s)) : NULL;

	if (s && !obs_account_read(a, s)) {
		free(s);
		s = NULL;
	}
	return s;
}

uint64_t report_peak_twice(const struct report *rep)
{
	uint32_t nr = see_nr_processes(rep->region);
	uint64_t most = atomic_load(&rep->region->most_twice);

	for (uint32_t i = 0; i < nr; i++) {
		struct account_snapshot *s = report_account(rep, i);

		for (uint32_t v = 0; s && v < s->nr_vms; v++)
			most = s->vms[v].peak.both > most ? s->vms[v].peak.both : most;
		free(s);
	}
	return most;
}

uint64_t report_nr_refused(const struct report *rep, unsigned int rule)
{
	uint64_t nr = rule ? 0 : rep->refusals_left;

	for (size_t i = 0; i < rep->nr_refusals; i++)
		if (rule ? rep->refusals[i].rule == rule : rep->refusals[i].rule != RULE_INJECTED)
			nr += rep->refusals[i].nr;
	return nr;
}

uint64_t report_nr_found(const struct report *rep, const char *code, uint64_t *times)
{
	uint64_t nr = 0, all = 0;

	for (size_t i = 0; i < rep->nr_findings; i++) {
		const struct report_finding *f = &rep->findings[i];

		if (f->suppressed || (code && strcmp(code, f->code)))
			continue;
		nr++;
		all += f->nr;
	}
	if (times)
		*times = all;
	return nr;
}
