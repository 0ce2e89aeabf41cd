/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/snapshot_shown.h"

#include <errno.h>
#include <inttypes.h>
#include <json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/snapshot.h"

/* Of the last snapshot that was found to be none. */
static char where[160];

const char *snapshot_where(void)
{
	return where;
}

static void note_where(const struct snapshot_reader *r)
{
	const struct snapshot_fault *f = &r->fault;
	size_t used;

	if (!f->part)
		return;
	if (!f->size) {
		snprintf(where, sizeof(where), ": it ends at byte %" PRIu64, f->at);
		return;
	}
	used = (size_t)snprintf(where, sizeof(where), ": bytes %" PRIu64 " to %" PRIu64 ", %s",
				f->at, f->at + f->size - 1, f->part);
	if (f->is_contents)
		snprintf(where + used, sizeof(where) - used,
			 " of guest memory 0x%" PRIx64 " to 0x%" PRIx64, f->offset,
			 f->offset + f->size);
}

void snapshot_tell_lost(const char *path, uint64_t lost_bytes)
{
	if (lost_bytes)
		printf("%s: %" PRIu64 " bytes of guest memory had failed, and are lost\n", path,
		       lost_bytes);
}

int snapshot_verify(const char *path, int fd)
{
	struct snapshot_reader r;
	int err = snapshot_open(&r, fd);

	if (!err)
		err = snapshot_walk(&r, true, NULL, NULL);
	note_where(&r);
	if (err)
		return err;
	printf("%s: whole\n", path);
	snapshot_tell_lost(path, r.lost_bytes);
	return 0;
}

/* Runs as they are told: joined where state and kind are equal. */
struct shown {
	struct snapshot_reader reader;
	struct snapshot_run *runs; /* from the last to the first */
	size_t nr, room;
};

static bool is_same(const struct snapshot_run *a, const struct snapshot_run *b)
{
	return a->attributes == b->attributes && a->flags == b->flags && !a->data == !b->data;
}

static int take(void *arg, const struct snapshot_run *run, const void *data)
{
	struct shown *s = arg;
	struct snapshot_run *last = s->runs && s->nr ? &s->runs[s->nr - 1] : NULL;

	if (last && is_same(last, run)) {
		last->offset = run->offset;
		last->size += run->size;
		return 0;
	}
	if (!s->runs || s->nr == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct snapshot_run *more = realloc(s->runs, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->runs = more;
		s->room = room;
	}
	s->runs[s->nr++] = *run;
	return 0;
}

static int read_all(struct shown *s, int fd)
{
	int err = snapshot_open(&s->reader, fd);

	if (!err)
		err = snapshot_walk(&s->reader, false, take, s);
	note_where(&s->reader);
	return err;
}

static const char *state(const struct snapshot_run *run)
{
	return run->attributes & GMEM_ATTRIBUTE_PRIVATE ? "private" : "shared";
}

static bool is_lost(const struct snapshot_run *run)
{
	return run->flags & SNAPSHOT_RUN_LOST;
}

static const char *contents(const struct snapshot_run *run)
{
	if (is_lost(run))
		return "  lost";
	return run->data ? "" : "  zero";
}

int snapshot_show_text(const char *path, int fd)
{
	struct shown s = { 0 };
	int err = read_all(&s, fd);
	const struct snapshot_footer *f = &s.reader.footer;

	if (!err) {
		printf("%s: version %" PRIu32 ", %" PRIu64 " bytes of guest memory, %" PRIu64
		       " of them private, %" PRIu64 " with contents\n",
		       path, s.reader.header.version, s.reader.header.size, f->private_bytes,
		       f->data_bytes);
		if (s.reader.header.flags & GMEM_SNAPSHOT_OF_VM)
			printf("  of a file that does not convert in place: which pages are private the attributes of its VM say\n");
		printf("  %18s  %18s  %7s\n", "offset", "end", "state");
	}
	for (size_t i = s.nr; !err && i; i--) {
		const struct snapshot_run *run = &s.runs[i - 1];

		printf("  0x%016" PRIx64 "  0x%016" PRIx64 "  %7s%s\n", run->offset,
		       run->offset + run->size, state(run), contents(run));
	}
	free(s.runs);
	return err;
}

static void add(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static struct json_object *json_of_run(const struct snapshot_run *r)
{
	struct json_object *run = json_object_new_object();

	add(run, "offset", r->offset);
	add(run, "size", r->size);
	json_object_object_add(run, "state", json_object_new_string(state(r)));
	json_object_object_add(run, "zero", json_object_new_boolean(!r->data));
	json_object_object_add(run, "lost", json_object_new_boolean(is_lost(r)));
	return run;
}

static struct json_object *json_of(const struct shown *s)
{
	const struct snapshot_footer *f = &s->reader.footer;
	struct json_object *all = json_object_new_object(), *runs = json_object_new_array();

	add(all, "version", s->reader.header.version);
	add(all, "size", s->reader.header.size);
	add(all, "flags", s->reader.header.flags);
	json_object_object_add(
		all, "of_vm",
		json_object_new_boolean(!!(s->reader.header.flags & GMEM_SNAPSHOT_OF_VM)));
	add(all, "private_bytes", f->private_bytes);
	add(all, "data_bytes", f->data_bytes);
	add(all, "lost_bytes", s->reader.lost_bytes);
	add(all, "file_bytes", f->file_bytes);
	for (size_t i = s->nr; i; i--)
		json_object_array_add(runs, json_of_run(&s->runs[i - 1]));
	json_object_object_add(all, "runs", runs);
	return all;
}

int snapshot_show_json(int fd)
{
	struct shown s = { 0 };
	int err = read_all(&s, fd);
	struct json_object *all;

	if (!err) {
		all = json_of(&s);
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(all);
	}
	free(s.runs);
	return err;
}
