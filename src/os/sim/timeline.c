/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What one schedule did, as lines. Written down while it is replayed; loads and stores are only told where a fibre
 * stops or goes on, unless the whole is wanted.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/sim/sim_private.h"

enum what { OP, SWITCH, TEXT };

struct event {
	uint64_t now;
	enum what what;
	unsigned int fibre;
	struct sim_op op;
	char *text;
};

bool sim_timeline_whole;

static struct event *events;
static size_t nr_events, room;

static struct event *event_new(enum what what)
{
	struct event *e;

	if (nr_events == room) {
		room = room ? 2 * room : 1024;
		events = realloc(events, room * sizeof(*events));
		if (!events)
			abort();
	}
	e = &events[nr_events++];
	memset(e, 0, sizeof(*e));
	e->what = what;
	e->now = sim.now;
	e->fibre = sim.self ? sim.self->index : SIM_NOBODY;
	return e;
}

void sim_record(const struct sim_op *op)
{
	event_new(OP)->op = *op;
}

void sim_record_switch(const struct sim_fibre *to)
{
	event_new(SWITCH)->fibre = to->index;
}

void sim_record_text(const char *text)
{
	event_new(TEXT)->text = strdup(text);
}

void sim_note(const char *fmt, ...)
{
	char text[300];
	va_list args;

	if (!sim.recording)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sim_record_text(text);
}

void sim_name(const volatile void *addr, size_t size, const char *name)
{
	if (sim.nr_names < SIM_MAX_NAMES)
		sim.names[sim.nr_names++] =
			(struct sim_label){ (const volatile char *)addr, size, name };
}

void sim_addr_text(const volatile void *addr, char *text, size_t size)
{
	const volatile char *at = addr;
	unsigned int i;

	for (i = 0; i < sim.nr_names; i++) {
		const struct sim_label *l = &sim.names[i];

		if (at == l->addr) {
			snprintf(text, size, "%s", l->name);
			return;
		}
		if (at > l->addr && at < l->addr + l->size) {
			snprintf(text, size, "%s+0x%zx", l->name, (size_t)(at - l->addr));
			return;
		}
	}
	snprintf(text, size, "%p", (const void *)(uintptr_t)addr);
}

const char *sim_kind_name(enum sim_kind kind)
{
	static const char *const names[SIM_NR_KINDS] = {
		[SIM_LOAD] = "load",
		[SIM_STORE] = "store",
		[SIM_RMW] = "read-modify-write",
		[SIM_FENCE] = "fence",
		[SIM_GUEST_LOAD] = "load of guest memory",
		[SIM_GUEST_STORE] = "store to guest memory",
		[SIM_LOCK] = "lock",
		[SIM_READ_LOCK] = "read lock",
		[SIM_WRITE_LOCK] = "write lock",
		[SIM_UNLOCK] = "unlocked",
		[SIM_WAIT] = "wait",
		[SIM_WAKE] = "wake",
		[SIM_YIELD] = "yield",
		[SIM_SPAWN] = "new thread",
		[SIM_OWN] = "point",
		[SIM_CHOOSE] = "choice",
		[SIM_BEGIN] = "begin",
	};

	return names[kind];
}

/* ---- who waits for what ---------------------------------------------------------------------- */

static int waits_text(const struct sim_fibre *f, char *text, size_t size)
{
	char on[80];

	sim_addr_text(f->on, on, sizeof(on));
	switch (f->why) {
	case SIM_ON_LOCK:
		return snprintf(text, size, "waits for the lock %s {%p}", on, f->pc);
	case SIM_ON_WORD:
		return snprintf(text, size, "sleeps while %s is %u (it is %u) {%p}", on,
				f->expected, *(const volatile uint32_t *)f->on, f->pc);
	case SIM_ON_JOIN:
		return snprintf(text, size, "waits for the end of %s",
				((const volatile struct sim_fibre *)f->on)->name);
	case SIM_ON_COND:
		return snprintf(text, size, "waits until %s", f->what);
	case SIM_ON_ACTORS:
		return snprintf(text, size, "waits for the actors");
	default:
		return snprintf(text, size, "waits for setup");
	}
}

void sim_describe_fibres(char *text, size_t size)
{
	size_t len = 0;
	unsigned int i, k;
	char name[80];

	text[0] = 0;
	for (i = 0; i < sim.nr_fibres && len + 300 < size; i++) {
		const struct sim_fibre *f = &sim.fibres[i];

		if (f->done)
			continue;
		len += (size_t)snprintf(text + len, size - len, "  %-12s ", f->name);
		if (f->blocked)
			len += (size_t)waits_text(f, text + len, size - len);
		else
			len += (size_t)snprintf(text + len, size - len, "can go on");
		for (k = 0; k < f->nr_held && len + 100 < size; k++) {
			sim_addr_text(f->held[k].lock, name, sizeof(name));
			len += (size_t)snprintf(text + len, size - len, "; holds %s%s", name,
						f->held[k].shared ? " (reads)" : "");
		}
		len += (size_t)snprintf(text + len, size - len, "\n");
	}
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_op(FILE *out, const struct event *e, const char *before)
{
	char name[80] = "";

	if (e->op.addr)
		sim_addr_text(e->op.addr, name, sizeof(name));
	fprintf(out, "%6llu  %-12s %s%s %s {%p}\n", (unsigned long long)e->now,
		sim.fibres[e->fibre].name, before, sim_kind_name(e->op.kind), name, e->op.pc);
}

static bool is_quiet(const struct event *e)
{
	return e->what == OP && (e->op.kind <= SIM_GUEST_STORE || e->op.kind == SIM_YIELD);
}

/* The last operation before another fibre goes on has not been done yet. */
static bool stops_here(size_t i)
{
	for (i++; i < nr_events && events[i].what == TEXT; i++)
		;
	return i < nr_events && events[i].what == SWITCH;
}

static void print_event(FILE *out, size_t i)
{
	const struct event *e = &events[i];

	if (e->what == TEXT)
		fprintf(out, "%6llu  %-12s   %s\n", (unsigned long long)e->now,
			e->fibre == SIM_NOBODY ? "" : sim.fibres[e->fibre].name, e->text);
	else if (e->what == SWITCH)
		fprintf(out, "        ---- %s goes on\n", sim.fibres[e->fibre].name);
	else
		print_op(out, e, stops_here(i) ? "is before: " : "");
}

static void print_failure(FILE *out)
{
	fprintf(out, "%6llu  %-12s ** %s\n", (unsigned long long)sim.now,
		sim.self ? sim.self->name : "", sim_slot->text);
	if (sim.self && sim.self->op.pc)
		fprintf(out, "        its last point was a %s {%p}\n",
			sim_kind_name(sim.self->op.kind), sim.self->op.pc);
}

void sim_timeline_print(bool whole)
{
	size_t size, i, left_out = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	for (i = 0; i < nr_events; i++) {
		if (!whole && is_quiet(&events[i]) && !stops_here(i)) {
			left_out++;
			continue;
		}
		if (left_out)
			fprintf(out, "        ... %zu accesses\n", left_out);
		left_out = 0;
		print_event(out, i);
	}
	if (left_out)
		fprintf(out, "        ... %zu accesses\n", left_out);
	if (sim_slot->failed)
		print_failure(out);
	fclose(out);
	sim_print_where(text);
	free(text);
}
