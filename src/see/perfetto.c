/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Perfetto's trace format (https://perfetto.dev): a message Trace of packets, each a track's description or an event
 * on a track. What a vCPU does is on its own track, the rest on its thread's: what took a time is a slice, anything
 * else an instant. Bytes that are private are counters. Of the messages only what is needed here is named below.
 */
#include "see/view.h"

#include <stdlib.h>
#include <string.h>

#include "core/gmem_file.h"
#include "gmem/uapi.h"
#include "see/names.h"
#include "see/proto.h"
#include "see/ranges.h"

enum { TRACE_PACKET = 1 };
enum { PACKET_TIMESTAMP = 8, PACKET_SEQUENCE = 10, PACKET_EVENT = 11, PACKET_TRACK = 60 };
enum {
	TRACK_UUID = 1,
	TRACK_NAME = 2,
	TRACK_PROCESS = 3,
	TRACK_THREAD = 4,
	TRACK_PARENT = 5,
	TRACK_COUNTER = 8
};
enum { PROCESS_PID = 1, PROCESS_NAME = 6 };
enum { THREAD_PID = 1, THREAD_TID = 2 };
enum { COUNTER_UNIT = 3, UNIT_BYTES = 3 };
enum {
	EVENT_NOTE = 4,
	EVENT_TYPE = 9,
	EVENT_TRACK = 11,
	EVENT_CATEGORY = 22,
	EVENT_NAME = 23,
	EVENT_VALUE = 30,
	EVENT_SOURCE = 33
};
enum { TYPE_BEGIN = 1, TYPE_END = 2, TYPE_INSTANT = 3, TYPE_COUNTER = 4 };
enum { NOTE_NUMBER = 3, NOTE_TEXT = 6, NOTE_NAME = 10 };
enum { SOURCE_FILE = 2, SOURCE_FUNCTION = 3, SOURCE_LINE = 4 };

#define SEQUENCE 1

/* What a track is of, in the upper bits of its number. */
enum of { OF_PROCESS = 1, OF_THREAD, OF_VCPU, OF_VM_PRIVATE, OF_FILE_PRIVATE, OF_FILE_SHARED };

struct account {
	uint64_t uuid;
	uint64_t size;
	struct ranges private;
};

struct see_perfetto {
	struct see_view *v;
	FILE *to;
	uint64_t *known; /* tracks that are described */
	size_t nr_known;
	struct account *accounts;
	size_t nr_accounts;
	uint64_t last_ns;
	uint64_t first_ns; /* timestamps are of the wall clock, so that they are above 0 */
};

/* Numbers of processes' places, VMs, vCPUs and files have 16 bits, of threads 32. */
static uint64_t uuid_of(enum of of, unsigned int process, unsigned int vm, uint32_t what)
{
	return (uint64_t)of << 60 | (uint64_t)(process & 0xfff) << 48 | (uint64_t)vm << 32 | what;
}

static void put(struct see_perfetto *p, const struct proto *packet)
{
	struct proto head = { .size = 0 };

	proto_message(&head, TRACE_PACKET, packet);
	fwrite(head.bytes, 1, head.size, p->to);
}

/* ---- tracks --------------------------------------------------------------------------------------- */

static bool is_new(struct see_perfetto *p, uint64_t uuid)
{
	uint64_t *more;

	for (size_t i = p->nr_known; i--;) {
		if (p->known[i] == uuid)
			return false;
	}
	more = realloc(p->known, (p->nr_known + 1) * sizeof(*more));
	if (!more)
		return false;
	p->known = more;
	more[p->nr_known++] = uuid;
	return true;
}

static void put_track(struct see_perfetto *p, uint64_t uuid, uint64_t parent, const char *name,
		      unsigned int field, const struct proto *what)
{
	struct proto track = { .size = 0 }, packet = { .size = 0 };

	proto_number(&track, TRACK_UUID, uuid);
	if (parent)
		proto_number(&track, TRACK_PARENT, parent);
	if (name)
		proto_text(&track, TRACK_NAME, name);
	if (field)
		proto_message(&track, field, what);
	proto_message(&packet, PACKET_TRACK, &track);
	proto_number(&packet, PACKET_SEQUENCE, SEQUENCE);
	put(p, &packet);
}

static uint64_t process_track(struct see_perfetto *p, unsigned int place)
{
	const struct trace_process *is = see_view_process(p->v, place);
	uint64_t uuid = uuid_of(OF_PROCESS, place, 0, 0);
	struct proto what = { .size = 0 };

	if (!is_new(p, uuid))
		return uuid;
	proto_number(&what, PROCESS_PID, is ? is->pid : place);
	proto_text(&what, PROCESS_NAME, is ? is->name : "?");
	put_track(p, uuid, 0, NULL, TRACK_PROCESS, &what);
	return uuid;
}

static uint64_t thread_track(struct see_perfetto *p, const struct obs_record *r)
{
	uint64_t parent = process_track(p, r->process);
	uint64_t uuid = uuid_of(OF_THREAD, r->process, 0, r->thread);
	struct proto what = { .size = 0 };

	if (!is_new(p, uuid))
		return uuid;
	proto_number(&what, THREAD_PID, see_view_pid(p->v, r));
	proto_number(&what, THREAD_TID, r->thread & 0x7fffffff);
	put_track(p, uuid, parent, NULL, TRACK_THREAD, &what);
	return uuid;
}

static uint64_t track_of(struct see_perfetto *p, const struct obs_record *r)
{
	uint64_t uuid = uuid_of(OF_VCPU, r->process, r->vm, r->vcpu);
	char name[48];

	if (!r->vcpu)
		return thread_track(p, r);
	if (!is_new(p, uuid))
		return uuid;
	snprintf(name, sizeof(name), "VM %u vCPU %u", r->vm, r->vcpu - 1u);
	put_track(p, uuid, process_track(p, r->process), name, 0, NULL);
	return uuid;
}

/* ---- events ---------------------------------------------------------------------------------------- */

static void put_event(struct see_perfetto *p, uint64_t ns, const struct proto *event)
{
	struct proto packet = { .size = 0 };

	proto_number(&packet, PACKET_TIMESTAMP, ns);
	proto_number(&packet, PACKET_SEQUENCE, SEQUENCE);
	proto_message(&packet, PACKET_EVENT, event);
	put(p, &packet);
}

static void note(struct proto *event, const char *name, const char *text, uint64_t number)
{
	struct proto n = { .size = 0 };

	proto_text(&n, NOTE_NAME, name);
	if (text)
		proto_text(&n, NOTE_TEXT, text);
	else
		proto_number(&n, NOTE_NUMBER, number);
	proto_message(event, EVENT_NOTE, &n);
}

static void notes(struct see_perfetto *p, struct proto *event, const struct obs_record *r)
{
	const struct see_kind *k = see_kind(r->kind);
	const uint64_t values[] = { r->a, r->b, r->c };
	char details[256];

	see_details(r, details, sizeof(details));
	if (details[0])
		note(event, "what", details, 0);
	for (int i = 0; k && i < 3; i++) {
		if (k->argument[i][0])
			note(event, k->argument[i], NULL, values[i]);
	}
	if (r->file)
		note(event, "guest_memfd", NULL, r->file);
	if (r->result)
		note(event, "result", see_errno(r->result) ? see_errno(r->result) : "error", 0);
}

static void source(struct see_perfetto *p, struct proto *event, const struct obs_record *r)
{
	const struct see_where *w = see_view_where(p->v, r);
	struct proto s = { .size = 0 };

	if (!w->module)
		return;
	proto_text(&s, SOURCE_FILE, w->file ? w->file : w->module);
	if (w->function)
		proto_text(&s, SOURCE_FUNCTION, w->function);
	if (w->file)
		proto_number(&s, SOURCE_LINE, w->line);
	proto_message(event, EVENT_SOURCE, &s);
}

static const char *name_of(const struct obs_record *r)
{
	const struct see_kind *k = see_kind(r->kind);
	const char *name = NULL;

	if (r->kind == OBS_REQUEST)
		name = see_request(r->a);
	if (r->kind == OBS_RUN_EXIT)
		name = "KVM_RUN";
	if (r->kind == OBS_CALL)
		name = see_call(r->a);
	if (r->kind == OBS_GAP)
		name = "events lost";
	return name ? name : k ? k->name : "?";
}

static uint64_t time_of(const struct see_perfetto *p, uint64_t tsc)
{
	int64_t ns = see_clock_ns(&p->v->clock, tsc);

	return ns < 0 && (uint64_t)-ns > p->first_ns ? 0 : p->first_ns + (uint64_t)ns;
}

static void put_record(struct see_perfetto *p, const struct obs_record *r)
{
	uint64_t track = track_of(p, r), start = time_of(p, r->time);
	struct proto event = { .size = 0 }, end = { .size = 0 };

	proto_number(&event, EVENT_TYPE, r->ticks ? TYPE_BEGIN : TYPE_INSTANT);
	proto_number(&event, EVENT_TRACK, track);
	proto_text(&event, EVENT_NAME, name_of(r));
	proto_text(&event, EVENT_CATEGORY, see_kind(r->kind) ? see_kind(r->kind)->name : "?");
	notes(p, &event, r);
	source(p, &event, r);
	put_event(p, start, &event);
	if (!r->ticks)
		return;
	proto_number(&end, EVENT_TYPE, TYPE_END);
	proto_number(&end, EVENT_TRACK, track);
	put_event(p, start + see_ticks_ns(&p->v->clock, obs_record_ticks(r)), &end);
}

/* ---- counters --------------------------------------------------------------------------------------- */

static struct account *account_of(struct see_perfetto *p, uint64_t uuid)
{
	struct account *more;

	for (size_t i = 0; i < p->nr_accounts; i++) {
		if (p->accounts[i].uuid == uuid)
			return &p->accounts[i];
	}
	more = realloc(p->accounts, (p->nr_accounts + 1) * sizeof(*more));
	if (!more)
		return NULL;
	p->accounts = more;
	more[p->nr_accounts] = (struct account){ .uuid = uuid };
	return &more[p->nr_accounts++];
}

static void put_counter(struct see_perfetto *p, const struct obs_record *r, uint64_t uuid,
			const char *name, uint64_t value)
{
	struct proto event = { .size = 0 }, unit = { .size = 0 };

	if (is_new(p, uuid)) {
		proto_number(&unit, COUNTER_UNIT, UNIT_BYTES);
		put_track(p, uuid, process_track(p, r->process), name, TRACK_COUNTER, &unit);
	}
	proto_number(&event, EVENT_TYPE, TYPE_COUNTER);
	proto_number(&event, EVENT_TRACK, uuid);
	proto_number(&event, EVENT_VALUE, value);
	put_event(p, time_of(p, r->time + obs_record_ticks(r)), &event);
}

static void count_vm(struct see_perfetto *p, const struct obs_record *r)
{
	uint64_t uuid = uuid_of(OF_VM_PRIVATE, r->process, r->vm, 0);
	struct account *a = account_of(p, uuid);
	char name[48];

	if (!a || r->a + r->b < r->a)
		return;
	ranges_set(&a->private, r->a, r->a + r->b, r->c & KVM_MEMORY_ATTRIBUTE_PRIVATE);
	snprintf(name, sizeof(name), "VM %u private", r->vm);
	put_counter(p, r, uuid, name, a->private.total);
}

static void count_file(struct see_perfetto *p, const struct obs_record *r)
{
	uint64_t uuid = uuid_of(OF_FILE_PRIVATE, r->process, r->file, 0);
	struct account *a = account_of(p, uuid);
	char name[48];

	if (!a)
		return;
	if (r->kind == OBS_FILE_MADE) {
		a->size = r->a;
		if (!(r->b & GMEM_FILE_INIT_SHARED))
			ranges_set(&a->private, 0, a->size, true);
	} else if (r->a + r->b >= r->a) {
		ranges_set(&a->private, r->a, r->a + r->b, r->c & KVM_MEMORY_ATTRIBUTE_PRIVATE);
	}
	snprintf(name, sizeof(name), "guest_memfd %u private", r->file);
	put_counter(p, r, uuid, name, a->private.total);
	snprintf(name, sizeof(name), "guest_memfd %u shared", r->file);
	put_counter(p, r, uuid_of(OF_FILE_SHARED, r->process, r->file, 0), name,
		    a->size > a->private.total ? a->size - a->private.total : 0);
}

/* ---- all ---------------------------------------------------------------------------------------------- */

struct see_perfetto *see_perfetto_begin(struct see_view *v, FILE *to)
{
	struct see_perfetto *p = calloc(1, sizeof(*p));

	if (p) {
		p->v = v;
		p->to = to;
		p->first_ns = v->clock.wallclock_ns;
	}
	return p;
}

/* How much is missing of the whole: at the end, beside the first process. */
static void put_lost(struct see_perfetto *p, uint64_t nr)
{
	struct proto event = { .size = 0 };

	proto_number(&event, EVENT_TYPE, TYPE_INSTANT);
	proto_number(&event, EVENT_TRACK, process_track(p, 0));
	proto_text(&event, EVENT_NAME, "events lost in all");
	proto_text(&event, EVENT_CATEGORY, "gap");
	note(&event, "events", NULL, nr);
	put_event(p, p->last_ns, &event);
}

void see_perfetto(struct see_perfetto *p, const struct trace_item *item)
{
	const struct obs_record *r = &item->record;

	if (item->kind == TRACE_END && item->end.nr_lost)
		put_lost(p, item->end.nr_lost);
	if (item->kind != TRACE_RECORDS || r->kind == OBS_RUN_ENTER)
		return;
	if (time_of(p, r->time) > p->last_ns)
		p->last_ns = time_of(p, r->time);
	put_record(p, r);
	if (r->kind == OBS_VM_CONVERT)
		count_vm(p, r);
	else if (r->kind == OBS_CONVERT || (r->kind == OBS_FILE_MADE && r->b & GMEM_FILE_IN_PLACE))
		count_file(p, r);
}

void see_perfetto_end(struct see_perfetto *p)
{
	for (size_t i = 0; i < p->nr_accounts; i++)
		ranges_free(&p->accounts[i].private);
	free(p->accounts);
	free(p->known);
	free(p);
}
