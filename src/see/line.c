/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A line for each record: when it ended (so they are in order), thread, whose, what, result, how long, from where. */
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "gmem/uapi.h"
#include "see/inject.h"
#include "see/names.h"
#include "see/view.h"

typedef unsigned long long u64;

struct line {
	char *text;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *l, const char *fmt, ...)
{
	size_t room = l->size - l->used;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(l->text + l->used, room, fmt, args);
	va_end(args);
	if (n > 0)
		l->used += (size_t)n < room ? (size_t)n : room - 1;
}

/* ---- details ------------------------------------------------------------------------------------- */

static void put_if_any(struct line *l, uint64_t at, uint64_t size)
{
	if (at || size)
		put(l, " 0x%llx + 0x%llx", (u64)at, (u64)size);
}

static void put_request(struct line *l, const struct obs_record *r)
{
	const char *name = see_request(r->a);

	if (name && r->a > OBS_REQUEST_LIBRARY) {
		put(l, "%s", name);
		put_if_any(l, r->b, r->c);
		return;
	}
	if (name)
		put(l, "%s 0x%llx", name, (u64)r->b);
	else
		put(l, "0x%llx 0x%llx", (u64)r->a, (u64)r->b);
	if (r->c)
		put(l, " = %llu", (u64)r->c);
}

static void put_exit(struct line *l, const struct obs_record *r)
{
	const char *name = see_exit(r->a);

	if (name)
		put(l, "%s", name);
	else
		put(l, "reason %llu", (u64)r->a);
	if (r->a == KVM_EXIT_MEMORY_FAULT)
		put(l, " gpa 0x%llx %s", (u64)r->b,
		    r->c & KVM_MEMORY_EXIT_FLAG_PRIVATE ? "private" : "shared");
	else if (r->a == KVM_EXIT_IO)
		put(l, " port 0x%llx", (u64)r->b);
	else if (r->a == KVM_EXIT_MMIO)
		put(l, " gpa 0x%llx", (u64)r->b);
	else if (r->a == KVM_EXIT_HYPERCALL)
		put(l, " %llu 0x%llx", (u64)r->b, (u64)r->c);
}

static void put_slot(struct line *l, const struct obs_record *r)
{
	put(l, "%llu", (u64)(r->a & 0xffff));
	if (r->a >> 16 & 0xffff)
		put(l, " space %llu", (u64)(r->a >> 16 & 0xffff));
	if (r->kind == OBS_SLOT_HOST)
		put(l, " at 0x%llx, file offset 0x%llx", (u64)r->b, (u64)r->c);
	else if (r->c)
		put(l, " gpa 0x%llx + 0x%llx flags 0x%llx", (u64)r->b, (u64)r->c,
		    (u64)(r->a >> 32));
	else
		put(l, " deleted");
}

static void put_fault(struct line *l, const struct obs_record *r)
{
	static const char *const steps[] = { "mapped", "mmio", "memory fault", "error", "again" };

	put(l, "gpa 0x%llx %s%s%s %s", (u64)r->a, r->b & 1 ? "r" : "", r->b & 2 ? "w" : "",
	    r->b & 4 ? "x" : "", r->c < sizeof(steps) / sizeof(steps[0]) ? steps[r->c] : "?");
}

static void put_range(struct line *l, const struct obs_record *r)
{
	put(l, "0x%llx + 0x%llx", (u64)r->a, (u64)r->b);
}

static void put_call(struct line *l, const struct obs_record *r)
{
	const char *name = see_call(r->a);
	char how[128];

	see_call_how(r->a, how, sizeof(how));
	if (name)
		put(l, "%s", name);
	else
		put(l, "%llu", (u64)OBS_CALL_NUMBER(r->a));
	if (OBS_CALL_NUMBER(r->a) == SYS_ftruncate)
		put(l, " to 0x%llx", (u64)r->c);
	else
		put(l, " 0x%llx + 0x%llx%s%s", (u64)r->b, (u64)r->c, *how ? " " : "", how);
}

/* Counts and names are as people count, addresses as they are printed everywhere. */
static bool is_hexadecimal(const char *argument)
{
	static const char *const words[] = { "offset", "size",	"gfn",	      "gpa", "address",
					     "flags",  "state", "attributes", "" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(argument, words[i]))
			return true;
	return false;
}

static void put_plain(struct line *l, const struct obs_record *r)
{
	const struct see_kind *k = see_kind(r->kind);
	const uint64_t values[] = { r->a, r->b, r->c };

	for (int i = 0; i < 3; i++) {
		const char *name = k ? k->argument[i] : "";

		if (!k || *name)
			put(l, is_hexadecimal(name) ? "%s%s 0x%llx" : "%s%s %llu",
			    l->used ? ", " : "", name, (u64)values[i]);
	}
}

static void put_inject(struct line *l, const struct obs_record *r)
{
	const char *point = see_inject_point((unsigned int)r->a);

	put(l, "%s by line %llu at 0x%llx", point ? point : "?", (u64)r->b, (u64)r->c);
}

void see_details(const struct obs_record *r, char *text, size_t size)
{
	struct line l = { .text = text, .size = size };

	text[0] = 0;
	switch (r->kind) {
	case OBS_REQUEST:
		put_request(&l, r);
		break;
	case OBS_RUN_EXIT:
		put_exit(&l, r);
		break;
	case OBS_CONVERT:
	case OBS_VM_CONVERT:
		put_range(&l, r);
		put(&l, " to %s", r->c & KVM_MEMORY_ATTRIBUTE_PRIVATE ? "private" : "shared");
		break;
	case OBS_DISCARD:
		put_range(&l, r);
		put(&l, " by %s", see_discard(r->c) ? see_discard(r->c) : "?");
		break;
	case OBS_CALL:
		put_call(&l, r);
		break;
	case OBS_PUNCH:
	case OBS_ALLOCATE:
	case OBS_PIN:
	case OBS_UNPIN:
	case OBS_UNBIND:
		put_range(&l, r);
		break;
	case OBS_SLOT:
	case OBS_SLOT_HOST:
		put_slot(&l, r);
		break;
	case OBS_GUEST_FAULT:
		put_fault(&l, r);
		break;
	case OBS_GAP:
		put(&l, "of this thread: %llu event%s lost", (u64)r->a, r->a == 1 ? "" : "s");
		break;
	case OBS_INJECT:
		put_inject(&l, r);
		break;
	case OBS_REFUSAL:
		if (see_rule(r->rule))
			put(&l, "%s: %s", see_rule(r->rule), see_rule_text(r->rule));
		break;
	default:
		put_plain(&l, r);
	}
}

/* ---- the line -------------------------------------------------------------------------------------- */

static void put_whose(struct line *l, const struct obs_record *r)
{
	size_t from = l->used;

	if (r->vcpu)
		put(l, " vm%u.%u", r->vm, r->vcpu - 1u);
	else if (r->vm)
		put(l, " vm%u", r->vm);
	if (r->file)
		put(l, " file%u", r->file);
	put(l, "%*s", l->used - from < 12 ? (int)(12 - (l->used - from)) : 1, "");
}

static void put_length(struct line *l, const struct see_view *v, const struct obs_record *r)
{
	uint64_t ns = see_ticks_ns(&v->clock, obs_record_ticks(r));

	if (r->ticks && ns < 10000)
		put(l, " (%llu ns)", (u64)ns);
	else if (r->ticks)
		put(l, " (%.3f ms)", (double)ns / 1e6);
}

void see_text(struct see_view *v, const struct obs_record *r, FILE *to)
{
	const struct see_kind *k = see_kind(r->kind);
	int64_t ns = see_clock_ns(&v->clock, r->time + obs_record_ticks(r));
	char text[800], details[256], where[256];
	struct line l = { .text = text, .size = sizeof(text) };

	see_details(r, details, sizeof(details));
	put(&l, "%12.6f %u/%u", (double)ns / 1e9, see_view_pid(v, r), r->thread);
	put_whose(&l, r);
	if (k)
		put(&l, "%s", k->name);
	else
		put(&l, "kind %u", r->kind);
	put(&l, "%s%s", details[0] ? " " : "", details);
	if (r->result)
		put(&l, " = %s", see_errno(r->result) ? see_errno(r->result) : "error");
	put_length(&l, v, r);
	if (obs_record_caller(r))
		put(&l, " at %s", see_place_text(see_view_where(v, r), where, sizeof(where)));
	fprintf(to, "%s\n", text);
}

void see_text_lost(uint64_t nr, FILE *to)
{
	fprintf(to, "             -- %llu events lost by now --\n", (u64)nr);
}

void see_text_end(const struct see_view *v, const struct trace_end *end, FILE *to)
{
	uint64_t told = v->nr_in_gaps < end->nr_lost ? v->nr_in_gaps : end->nr_lost;

	if (!end->nr_lost)
		return;
	fprintf(to, "             -- %llu events lost in all: %llu in the gaps of threads",
		(u64)end->nr_lost, (u64)told);
	if (told < end->nr_lost)
		fprintf(to, ", %llu at the end of threads or damaged", (u64)(end->nr_lost - told));
	fputs(" --\n", to);
}
