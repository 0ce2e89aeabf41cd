/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One object; docs/report.schema.json says what is in it. Keys are never renamed. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "obs/account.h"
#include "see/inject.h"
#include "see/lint.h"
#include "see/listed.h"
#include "see/names.h"
#include "see/policy.h"
#include "see/report.h"
#include "see/utf8.h"

static void add_text(struct json_object *o, const char *key, const char *text)
{
	char *whole = text ? utf8_repair(text) : NULL;

	if (whole)
		json_object_object_add(o, key, json_object_new_string(whole));
	free(whole);
}

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_truth(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

static struct json_object *add_list(struct json_object *o, const char *key)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(o, key, list);
	return list;
}

static struct json_object *add_object(struct json_object *o, const char *key)
{
	struct json_object *inner = json_object_new_object();

	json_object_object_add(o, key, inner);
	return inner;
}

static struct json_object *next_of(struct json_object *list)
{
	struct json_object *o = json_object_new_object();

	json_object_array_add(list, o);
	return o;
}

/* ---- memory --------------------------------------------------------------------------------------- */

static void add_bytes(struct json_object *o, const struct account_bytes *b)
{
	struct json_object *now = add_object(o, "bytes");

	add_number(now, "private", account_private(b));
	add_number(now, "shared", account_shared(b));
	add_number(now, "private_backed", account_backed(b, true));
	add_number(now, "shared_backed", account_backed(b, false));
	add_number(now, "in_guest_memfd", account_in_file(b));
	add_number(now, "in_program", account_in_program(b));
	add_number(now, "both", account_both(b));
	add_number(now, "neither", account_neither(b));
	add_number(now, "pinned", b->pinned);
}

static void add_peak(struct json_object *o, const struct account_peak *p)
{
	struct json_object *peak = add_object(o, "peak");

	add_number(peak, "private_backed", p->backed_private);
	add_number(peak, "shared_backed", p->backed_shared);
	add_number(peak, "both", p->both);
}

static void add_vms(struct json_object *memory, const struct account_snapshot *s)
{
	struct json_object *list = add_list(memory, "vms");

	for (uint32_t i = 0; i < s->nr_vms; i++) {
		struct json_object *o = next_of(list);

		add_number(o, "vm", s->vms[i].number);
		add_truth(o, "gone", s->vms[i].flags & ACCOUNT_GONE);
		add_number(o, "slots", s->vms[i].nr_slots);
		add_bytes(o, &s->vms[i].now);
		add_peak(o, &s->vms[i].peak);
	}
}

static void add_slots(struct json_object *memory, const struct account_snapshot *s)
{
	struct json_object *list = add_list(memory, "slots");

	for (uint32_t i = 0; i < s->nr_slots; i++) {
		const struct account_slot *slot = &s->slots[i];
		struct json_object *o = next_of(list);

		add_number(o, "vm", slot->vm);
		add_number(o, "slot", slot->id);
		add_number(o, "address_space", slot->as_id);
		add_truth(o, "gone", slot->flags & ACCOUNT_GONE);
		add_number(o, "gpa", slot->gpa);
		add_number(o, "size", slot->size);
		add_number(o, "address", slot->hva);
		if (slot->file) {
			add_number(o, "guest_memfd", slot->file);
			add_number(o, "offset", slot->file_offset);
		}
		add_bytes(o, &slot->now);
		add_peak(o, &slot->peak);
	}
}

static void add_files(struct json_object *memory, const struct account_snapshot *s)
{
	struct json_object *list = add_list(memory, "guest_memfds");

	for (uint32_t i = 0; i < s->nr_files; i++) {
		const struct account_file *f = &s->files[i];
		struct json_object *o = next_of(list);

		add_number(o, "guest_memfd", f->number);
		add_truth(o, "gone", f->flags & ACCOUNT_GONE);
		add_truth(o, "in_place", f->flags & ACCOUNT_CONVERTS);
		add_truth(o, "mappable", f->flags & ACCOUNT_MAPPABLE);
		add_number(o, "size", f->size);
		add_number(o, "backed", f->backed);
		add_number(o, "allocated", f->allocated);
		add_number(o, "peak_allocated", f->peak_allocated);
		add_number(o, "bound", f->bound);
		add_number(o, "private", f->private_bytes);
		add_number(o, "shared", f->shared_bytes);
		add_number(o, "pinned", f->pinned);
	}
}

static void add_exits(struct json_object *o, const struct account_vcpu *v)
{
	struct json_object *exits = add_object(o, "exits");
	char number[24];

	for (uint32_t reason = 0; reason < ACCOUNT_NR_EXITS; reason++) {
		const char *name = see_exit(reason);

		if (!v->exits[reason])
			continue;
		snprintf(number, sizeof(number), "%u", reason);
		if (reason == ACCOUNT_EXIT_OTHER)
			name = "other";
		if (reason == ACCOUNT_EXIT_ERROR)
			name = "error";
		add_number(exits, name ? name : number, v->exits[reason]);
	}
}

static void add_vcpus(struct json_object *memory, const struct account_snapshot *s)
{
	struct json_object *list = add_list(memory, "vcpus");

	for (uint32_t i = 0; i < s->nr_vcpus; i++) {
		struct json_object *o = next_of(list);

		add_number(o, "vm", s->vcpus[i].vm);
		add_number(o, "vcpu", s->vcpus[i].id);
		add_truth(o, "gone", s->vcpus[i].flags & ACCOUNT_GONE);
		add_exits(o, &s->vcpus[i]);
	}
}

static void add_memory(struct json_object *process, const struct account_snapshot *s)
{
	struct json_object *memory = add_object(process, "memory");

	/* A process that was killed has not looked once more. */
	add_truth(memory, "final", s->flags & ACCOUNT_LAST);
	add_truth(memory, "complete",
		  !(s->flags & (ACCOUNT_BLIND | ACCOUNT_NO_PROGRAM)) && !s->left_vms &&
			  !s->left_slots && !s->left_files && !s->left_vcpus);
	add_vms(memory, s);
	add_slots(memory, s);
	add_files(memory, s);
	add_vcpus(memory, s);
}

static void add_process(struct json_object *process, const struct report *rep,
			const struct trace_process *p)
{
	struct account_snapshot *s = report_account(rep, p->place);

	add_number(process, "pid", p->pid);
	add_number(process, "parent", p->parent);
	add_text(process, "program", p->name);
	if (s)
		add_memory(process, s);
	free(s);
}

static void add_processes(struct json_object *o, const struct report *rep)
{
	struct json_object *list = add_list(o, "processes");
	uint32_t nr = see_nr_processes(rep->region);
	struct trace_process p;

	for (uint32_t i = 0; i < nr; i++)
		if (see_process_read(rep->region, i, &p))
			add_process(next_of(list), rep, &p);
}

/* ---- counters ------------------------------------------------------------------------------------- */

static void add_buckets(struct json_object *o, const struct report *rep, const struct see_count *c)
{
	struct json_object *list = add_list(o, "histogram");

	for (unsigned int i = 0; i < OBS_NR_BUCKETS; i++) {
		struct json_object *bucket;

		if (!c->buckets[i])
			continue;
		bucket = next_of(list);
		add_number(bucket, "from_ns", i ? see_ticks_ns(&rep->clock, 1ull << i) : 0);
		add_number(bucket, "below_ns", see_ticks_ns(&rep->clock, 2ull << i));
		add_number(bucket, "count", c->buckets[i]);
	}
}

static void add_times(struct json_object *o, const struct report *rep, const struct see_count *c)
{
	static const struct {
		const char *key;
		unsigned int percent;
	} points[] = { { "p50_ns", 50 }, { "p90_ns", 90 }, { "p99_ns", 99 }, { "max_ns", 100 } };

	add_number(o, "total_ns", see_ticks_ns(&rep->clock, c->ticks));
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		add_number(o, points[i].key,
			   see_ticks_ns(&rep->clock, see_count_percentile(c, points[i].percent)));
	add_buckets(o, rep, c);
}

static struct json_object *add_count(struct json_object *o, const char *name,
				     const struct report *rep, const struct see_count *c)
{
	struct json_object *event = add_object(o, name);

	add_number(event, "count", c->nr);
	add_number(event, "failed", c->failed);
	if (see_count_timed(c))
		add_times(event, rep, c);
	return event;
}

static void add_details(struct json_object *event, const struct report *rep, unsigned int kind)
{
	struct json_object *details = NULL;

	for (unsigned int d = 0; d < OBS_NR_DETAILS; d++) {
		const struct see_count *c = &rep->counts->details[d];

		if (see_details_of_kinds[d].kind != kind || !c->nr)
			continue;
		if (!details)
			details = add_object(event, "of_which");
		add_count(details, see_details_of_kinds[d].name, rep, c);
	}
}

static void add_counts(struct json_object *o, const struct report *rep)
{
	struct json_object *events = add_object(o, "events");

	for (unsigned int kind = 1; kind < OBS_NR_EVENTS; kind++) {
		const struct see_count *c = &rep->counts->kinds[kind];

		if (c->nr)
			add_details(add_count(events, see_kind(kind)->name, rep, c), rep, kind);
	}
}

/* ---- what was not right ----------------------------------------------------------------------------- */

static void add_refusals(struct json_object *o, const struct report *rep, const struct policy *p)
{
	struct json_object *list = add_list(o, "refusals");

	for (size_t i = 0; i < rep->nr_refusals; i++) {
		const struct report_refusal *r = &rep->refusals[i];
		struct json_object *refusal = next_of(list), *at;
		char text[256];

		add_text(refusal, "rule", see_rule(r->rule));
		add_text(refusal, "sentence", see_rule_text(r->rule));
		add_text(refusal, "error", see_errno(r->result));
		add_text(refusal, "request", r->request ? see_request(r->request) : NULL);
		add_number(refusal, "count", r->nr);
		add_truth(refusal, "forbidden", policy_forbids_rule(p, r->rule));
		at = add_object(refusal, "place");
		add_text(at, "text", see_place_text(&r->where, text, sizeof(text)));
		add_text(at, "file", r->where.file);
		if (r->where.file)
			add_number(at, "line", r->where.line);
		add_text(at, "function", r->where.function);
		add_text(at, "module", r->where.module);
	}
}

static void add_findings(struct json_object *o, const struct report *rep, const struct policy *p)
{
	struct json_object *list = add_list(o, "findings");

	for (size_t i = 0; i < rep->nr_findings; i++) {
		const struct report_finding *f = &rep->findings[i];
		struct json_object *finding = next_of(list), *at;

		add_text(finding, "code", f->code);
		add_text(finding, "sentence", f->sentence);
		add_text(finding, "suppressed", f->suppressed);
		add_number(finding, "count", f->nr);
		add_number(finding, "bytes", f->bytes);
		add_truth(finding, "forbidden", !f->suppressed && policy_forbids_code(p, f->code));
		at = add_object(finding, "place");
		add_text(at, "text", f->place);
		add_text(at, "file", f->file);
		if (f->file)
			add_number(at, "line", f->line);
	}
}

static void add_injections(struct json_object *o, const struct report *rep)
{
	struct json_object *list = add_list(o, "injections");

	for (size_t i = 0; i < rep->nr_injections; i++) {
		const struct report_injection *e = &rep->injections[i];
		struct json_object *injection = next_of(list);

		add_text(injection, "point", see_inject_point((unsigned int)e->point));
		add_number(injection, "line", e->rule);
		add_number(injection, "count", e->nr);
	}
}

static void add_policies(struct json_object *o, const struct report *rep, const struct policy *p)
{
	struct json_object *list = add_list(o, "policies");
	char message[256];

	for (size_t i = 0; i < p->nr; i++) {
		struct json_object *item = next_of(list);
		bool broken = policy_is_broken(&p->items[i], rep, message, sizeof(message));

		add_text(item, "policy", p->items[i].name);
		if (p->items[i].kind == POLICY_TWICE || p->items[i].limit)
			add_number(item, "limit", p->items[i].limit);
		add_truth(item, "broken", broken);
		add_text(item, "message", message);
	}
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static void add_words(struct json_object *list, char *const *words)
{
	for (; words && *words; words++) {
		char *whole = utf8_repair(*words);

		json_object_array_add(list, json_object_new_string(whole ? whole : "?"));
		free(whole);
	}
}

static void add_head(struct json_object *o, const struct report *rep)
{
	add_number(o, "schema", REPORT_SCHEMA);
	add_text(o, "kind", "gmem report");
	add_truth(o, "simulated", true);
	add_text(o, "gmem", rep->run.gmem);
	add_text(o, "profile", rep->run.profile);
	add_words(add_list(o, "program"), rep->run.argv);
	json_object_object_add(o, "status", json_object_new_int(rep->status));
	add_number(o, "start_ns", rep->clock.wallclock_ns);
	add_number(o, "duration_ns",
		   rep->end_ns > rep->clock.clock_ns ? rep->end_ns - rep->clock.clock_ns : 0);
}

static void add_not_judged(struct json_object *o, const struct report *rep)
{
	struct json_object *list = add_list(o, "lint_not_judged");

	for (unsigned int code = 1; code <= LINT_NR_CODES; code++)
		if (report_why_not(rep, lint_code_name(code)))
			json_object_array_add(list, json_object_new_string(lint_code_name(code)));
}

static void add_left_out(struct json_object *o, const struct obs_region *r)
{
	struct json_object *left = add_object(o, "left_out");

	add_number(left, "processes", atomic_load(&r->processes_lost));
	add_number(left, "memory_not_seen", atomic_load(&r->accounts_lost));
	add_number(left, "memory_of_ended", atomic_load(&r->accounts_left_out));
	add_number(left, "modules", atomic_load(&r->modules_lost));
}

void report_json(const struct report *rep, const struct policy *p, FILE *to)
{
	struct json_object *o = json_object_new_object();

	add_head(o, rep);
	add_truth(o, "passed", !rep->status && !policy_any_broken(p, rep));
	add_policies(o, rep, p);
	add_number(o, "recorded", rep->nr_records);
	add_number(o, "lost", rep->nr_lost);
	add_left_out(o, rep->region);
	add_truth(o, "lint", rep->run.has_lint);
	add_not_judged(o, rep);
	add_findings(o, rep, p);
	add_refusals(o, rep, p);
	add_number(o, "refusals_left_out", rep->refusals_left);
	add_injections(o, rep);
	add_counts(o, rep);
	add_processes(o, rep);
	fprintf(to, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_SPACED |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}
