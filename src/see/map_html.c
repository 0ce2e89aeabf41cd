/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One page that needs nothing else: what it shows is JSON in it, what shows it are the scripts of page/. All text that
 * comes from a trace or a process is escaped so that it cannot end the element it stands in.
 */
#include "see/map_draw.h"
#include "see/map_page.h"
#include "see/names.h"
#include "see/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "@DATA@"

static void put_text(FILE *to, const char *bytes)
{
	char *whole = utf8_repair(bytes);

	fputc('"', to);
	for (const char *text = whole; text && *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || strchr("\"\\<>&", c))
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
	free(whole);
}

static void put_time(FILE *to, int64_t ns)
{
	if (ns == MAP_ALWAYS || ns == MAP_NEVER)
		fputs("null", to);
	else
		fprintf(to, "%" PRId64, ns);
}

static void put_classes(FILE *to)
{
	fputs("\"classes\":[", to);
	for (int i = 0; i < MAP_NR_CLASSES; i++) {
		const struct map_pattern *p = &map_patterns[i];

		fprintf(to, "%s{\"name\":\"%s\",\"paper\":\"#%06x\",\"ink\":\"#%06x\",\"rows\":[",
			i ? "," : "", map_classes[i].name, p->paper, p->ink);
		for (int y = 0; y < 8; y++)
			fprintf(to, "%s%u", y ? "," : "", p->rows[y]);
		fputs("]}", to);
	}
	fputs("],\n", to);
}

/* ---- slots --------------------------------------------------------------------------------------- */

static void put_runs(FILE *to, const struct map *m, uint32_t slot, bool has_times)
{
	const struct map_run start = { .end = m->slots[slot].size / 4096, .states = 1 };
	const struct map_runs *runs = !has_times	  ? &m->slots[slot].runs
				      : slot < m->nr_base ? &m->base[slot]
							  : NULL;

	fputs("\"runs\":[", to);
	for (uint64_t i = 0; i < (runs ? runs->nr : 1); i++) {
		const struct map_run *r = runs ? &runs->list[i] : &start;

		fprintf(to, "%s[%" PRIu64 ",%" PRIu64 ",%u,%" PRIu32 "]", i ? "," : "", r->first,
			r->end, r->states, r->who);
	}
	fputs("]}", to);
}

static void put_slots(FILE *to, const struct map *m, bool has_times)
{
	fputs("\"slots\":[", to);
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_slot *s = &m->slots[i];

		fprintf(to,
			"%s\n{\"process\":%u,\"vm\":%u,\"as\":%u,\"id\":%u,\"gpa\":%" PRIu64
			",\"size\":%" PRIu64 ",\"file\":%" PRIu64 ",\"fo\":%" PRIu64
			",\"allInFile\":%s,\"endsWithVm\":%s,\"made\":",
			i ? "," : "", s->process, s->vm, s->as_id, s->id, s->gpa, s->size, s->file,
			s->file_offset, s->flags & ACCOUNT_ALL_IN_FILE ? "true" : "false",
			s->ends_with_vm ? "true" : "false");
		put_time(to, has_times ? s->made : MAP_ALWAYS);
		fputs(",\"gone\":", to);
		put_time(to, s->gone);
		fputs(",", to);
		put_runs(to, m, i, has_times);
	}
	fputs("],\n", to);
}

/* ---- who and when --------------------------------------------------------------------------------- */

static void put_processes(FILE *to, const struct see_view *v)
{
	const char *comma = "";

	fputs("\"processes\":{", to);
	for (size_t i = 0; v && i < v->nr_processes; i++) {
		const char *path = v->processes[i].name, *end = strrchr(path, '/');
		char name[80];

		if (!v->processes[i].pid)
			continue;
		snprintf(name, sizeof(name), "%.40s (%u)", end ? end + 1 : path,
			 v->processes[i].pid);
		fprintf(to, "%s\"%zu\":", comma, i);
		put_text(to, name);
		comma = ",";
	}
	fputs("},\n", to);
}

static void put_who(FILE *to, const struct map *m, struct see_view *v)
{
	fputs("\"who\":[null", to);
	for (uint32_t i = 1; v && i < m->nr_who; i++) {
		const struct map_who *w = &m->who[i];
		const struct see_kind *kind = see_kind(w->kind);
		const struct trace_process *process = see_view_process(v, w->process);
		char where[200];

		see_place_text(see_place(v->places, w->process, w->caller, true), where,
			       sizeof(where));
		fputs(",\n{\"kind\":", to);
		put_text(to, kind ? kind->name : "?");
		fputs(",\"where\":", to);
		put_text(to, where[0] == '?' ? "" : where);
		fprintf(to, ",\"pid\":%u,\"thread\":%u,\"vcpu\":%u}", process ? process->pid : 0,
			w->thread, w->vcpu);
	}
	fputs("],\n", to);
}

static void put_changes(FILE *to, const struct map *m)
{
	fputs("\"changes\":[", to);
	for (uint64_t i = 0; i < m->nr_logged; i++) {
		const struct map_change *c = &m->changes[i];

		fprintf(to, "%s[%" PRId64 ",%u,%" PRIu64 ",%" PRIu64 ",%u,%u]", i ? ",\n" : "\n",
			c->ns, c->slot, c->first, c->end, c->states, c->who);
	}
	fputs("]", to);
}

static void put_notes(FILE *to, const struct map *m)
{
	fputs("\"notes\":[\"simulated: no kernel's KVM has been here\"", to);
	if (m->nr_lost)
		fprintf(to, ",\"%" PRIu64 " events were lost: pages may have changed unseen\"",
			m->nr_lost);
	if (m->log_from && m->log_from != UINT64_MAX)
		fprintf(to,
			",\"the last %" PRIu64 " changes of %" PRIu64 ": it begins when the others "
			"had been\"",
			m->nr_changes - m->log_from, m->nr_changes);
	if (m->is_blind)
		fputs(",\"the program's own memory could not be looked at\"", to);
	if (m->is_coarse)
		fputs(",\"the list of pages had no room for all: some were put together\"", to);
	fputs("],\n", to);
}

static int64_t begin_of(const struct map *m)
{
	int64_t begin = m->nr_logged ? m->changes[0].ns : m->now;

	for (uint32_t i = 0; !m->nr_base && i < m->nr_slots; i++)
		if (m->slots[i].made != MAP_ALWAYS && m->slots[i].made < begin)
			begin = m->slots[i].made;
	return m->nr_logged ? begin - 1 : begin;
}

bool map_html(const struct map *m, struct see_view *v, FILE *to)
{
	const char *place = strstr(map_page, PLACE);
	bool has_times = v;

	fwrite(map_page, 1, (size_t)(place - map_page), to);
	fputs("{\"simulated\":true,\"title\":", to);
	put_text(to, m->title);
	fprintf(to, ",\n\"begin\":%" PRId64 ",\"end\":%" PRId64 ",\"now\":%" PRId64 ",\n",
		begin_of(m), m->now, m->now);
	put_notes(to, m);
	put_classes(to);
	put_processes(to, v);
	put_slots(to, m, has_times);
	put_who(to, m, v);
	put_changes(to, m);
	fputs("}", to);
	fputs(place + strlen(PLACE), to);
	return !ferror(to);
}
