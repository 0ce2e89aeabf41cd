/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* JSON lines: each has a "kind", the first is of the trace itself. Keys are never renamed. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "gmem/uapi.h"
#include "see/names.h"
#include "see/utf8.h"
#include "see/view.h"

#define SCHEMA 1

static void put_line(struct json_object *o, FILE *to)
{
	fprintf(to, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

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

void see_json_begin(struct see_view *v, FILE *to)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "kind", "trace");
	add_text(o, "of", "gmem");
	add_number(o, "schema", SCHEMA);
	json_object_object_add(o, "simulated", json_object_new_boolean(true));
	add_number(o, "start_ns", v->clock.wallclock_ns);
	put_line(o, to);
}

/* "file offset" is a poor key. */
static void add_argument(struct json_object *o, const char *name, uint64_t value)
{
	char key[32];
	size_t i = 0;

	for (; i < sizeof(key) - 1 && name[i]; i++)
		key[i] = (char)(name[i] == ' ' ? '_' : name[i]);
	key[i] = 0;
	add_number(o, key, value);
}

static void add_call(struct json_object *o, uint64_t call)
{
	char how[128];

	see_call_how(call, how, sizeof(how));
	add_text(o, "call_name", see_call(call));
	if (*how)
		add_text(o, "how", how);
}

static void add_meaning(struct json_object *o, const struct obs_record *r)
{
	if (r->kind == OBS_REQUEST)
		add_text(o, "request_name", see_request(r->a));
	else if (r->kind == OBS_RUN_EXIT)
		add_text(o, "reason_name", see_exit(r->a));
	else if (r->kind == OBS_DISCARD)
		add_text(o, "call_name", see_discard(r->c));
	else if (r->kind == OBS_CALL)
		add_call(o, r->a);
	else if (r->kind == OBS_CONVERT || r->kind == OBS_VM_CONVERT)
		add_text(o, "to", r->c & KVM_MEMORY_ATTRIBUTE_PRIVATE ? "private" : "shared");
}

static void add_where(struct see_view *v, struct json_object *o, const struct obs_record *r)
{
	const struct see_where *w = see_view_where(v, r);
	struct json_object *at;

	if (!obs_record_caller(r))
		return;
	at = json_object_new_object();
	add_number(at, "address", obs_record_caller(r));
	add_text(at, "module", w->module);
	add_text(at, "function", w->function);
	add_text(at, "file", w->file);
	if (w->file)
		add_number(at, "line", w->line);
	if (w->module)
		add_number(at, "offset", w->offset);
	json_object_object_add(o, "caller", at);
}

static void put_record(struct see_view *v, const struct obs_record *r, FILE *to)
{
	const struct see_kind *k = see_kind(r->kind);
	const uint64_t values[] = { r->a, r->b, r->c };
	struct json_object *o = json_object_new_object();

	add_text(o, "kind", k ? k->name : "?");
	json_object_object_add(o, "time_ns",
			       json_object_new_int64(see_clock_ns(&v->clock, r->time)));
	if (r->ticks)
		add_number(o, "duration_ns", see_ticks_ns(&v->clock, obs_record_ticks(r)));
	add_number(o, "pid", see_view_pid(v, r));
	add_number(o, "thread", r->thread);
	if (r->vm)
		add_number(o, "vm", r->vm);
	if (r->vcpu)
		add_number(o, "vcpu", r->vcpu - 1u);
	if (r->file)
		add_number(o, "guest_memfd", r->file);
	for (int i = 0; k && i < 3; i++) {
		if (k->argument[i][0])
			add_argument(o, k->argument[i], values[i]);
	}
	add_meaning(o, r);
	json_object_object_add(o, "result", json_object_new_int(r->result));
	add_text(o, "error", see_errno(r->result));
	add_text(o, "rule", see_rule(r->rule));
	add_where(v, o, r);
	put_line(o, to);
}

static void put_process(const struct trace_process *p, FILE *to)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "kind", "process");
	add_number(o, "pid", p->pid);
	add_number(o, "parent", p->parent);
	add_text(o, "program", p->name);
	put_line(o, to);
}

static void put_number(const char *kind, const char *key, uint64_t value, FILE *to)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "kind", kind);
	add_number(o, key, value);
	put_line(o, to);
}

static void put_end(const struct see_view *v, const struct trace_end *end, FILE *to)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "kind", "end");
	add_number(o, "status", (uint64_t)(uint32_t)end->status);
	add_number(o, "lost", end->nr_lost);
	add_number(o, "lost_in_gaps", v->nr_in_gaps);
	put_line(o, to);
}

void see_json(struct see_view *v, const struct trace_item *item, FILE *to)
{
	switch (item->kind) {
	case TRACE_RECORDS:
		put_record(v, &item->record, to);
		break;
	case TRACE_LOST:
		put_number("lost", "events", item->lost.nr, to);
		break;
	case TRACE_PROCESS:
		put_process(&item->process, to);
		break;
	case TRACE_END:
		put_end(v, &item->end, to);
		break;
	default:
		break;
	}
}
