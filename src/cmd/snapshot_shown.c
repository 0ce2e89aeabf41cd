/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/snapshot_shown.h"

#include <errno.h>
#include <inttypes.h>
#include <json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/snapshot.h"

/* Runs as they are told: joined where state and kind are equal. */
struct shown {
	struct snapshot_reader reader;
	struct snapshot_run *runs; /* from the last to the first */
	size_t nr, room;
};

static bool is_same(const struct snapshot_run *a, const struct snapshot_run *b)
{
	return a->attributes == b->attributes && !a->data == !b->data;
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

	return err ? err : snapshot_walk(&s->reader, false, take, s);
}

static const char *state(const struct snapshot_run *run)
{
	return run->attributes & GMEM_ATTRIBUTE_PRIVATE ? "private" : "shared";
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
		printf("  %18s  %18s  %7s\n", "offset", "end", "state");
	}
	for (size_t i = s.nr; !err && i; i--) {
		const struct snapshot_run *run = &s.runs[i - 1];

		printf("  0x%016" PRIx64 "  0x%016" PRIx64 "  %7s%s\n", run->offset,
		       run->offset + run->size, state(run), run->data ? "" : "  zero");
	}
	free(s.runs);
	return err;
}

static void add(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static struct json_object *json_of(const struct shown *s)
{
	const struct snapshot_footer *f = &s->reader.footer;
	struct json_object *all = json_object_new_object(), *runs = json_object_new_array();

	add(all, "version", s->reader.header.version);
	add(all, "size", s->reader.header.size);
	add(all, "flags", s->reader.header.flags);
	add(all, "private_bytes", f->private_bytes);
	add(all, "data_bytes", f->data_bytes);
	add(all, "file_bytes", f->file_bytes);
	for (size_t i = s->nr; i; i--) {
		struct json_object *run = json_object_new_object();

		add(run, "offset", s->runs[i - 1].offset);
		add(run, "size", s->runs[i - 1].size);
		json_object_object_add(run, "state",
				       json_object_new_string(state(&s->runs[i - 1])));
		json_object_object_add(run, "zero", json_object_new_boolean(!s->runs[i - 1].data));
		json_object_array_add(runs, run);
	}
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
