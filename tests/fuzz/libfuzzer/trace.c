/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A trace that somebody else wrote: the bytes themselves, or, since checksums would stop most, the chunks that they say,
 * with a header and checksums that are right. It is read to its end, and each record is told in words.
 */
#include <errno.h>

#include "see/trace.h"
#include "see/view.h"
#include "target.h"

#define MAX_FILE 65536
#define BYTES 0 /* the first byte: what follows is the file */

/* Who was there and where it was called from is another matter, and takes the program's own files. */
uint32_t see_view_pid(const struct see_view *v, const struct obs_record *r)
{
	return r->process;
}

const struct see_where *see_view_where(struct see_view *v, const struct obs_record *r)
{
	return NULL;
}

const char *see_place_text(const struct see_where *w, char *text, unsigned int size)
{
	must(size);
	text[0] = 0;
	return text;
}

struct file {
	uint8_t bytes[MAX_FILE];
	size_t used;
};

static void put(struct file *f, const void *data, size_t size)
{
	must(f->used + size <= sizeof(f->bytes));
	memcpy(f->bytes + f->used, data, size);
	f->used += size;
}

static void put_chunk(struct file *f, struct input *in)
{
	uint8_t data[4096] = { 0 };
	struct trace_chunk c = { .kind = take8(in), .size = take16(in) % sizeof(data) };
	uint8_t damage = take8(in);

	take(in, data, c.size < in->left ? c.size : in->left);
	c.checksum = trace_checksum(c.kind, data, c.size) ^ (damage == 0xff);
	put(f, &c, sizeof(c));
	put(f, data, damage == 0xfe ? c.size / 2 : c.size);
}

static void put_file(struct file *f, struct input *in)
{
	struct trace_header h = {
		.magic = TRACE_MAGIC,
		.version = TRACE_VERSION,
		.header_size = sizeof(h),
		.record_size = sizeof(struct obs_record),
		.simulated = 1,
		.tsc_khz = 1000000,
	};

	put(f, &h, sizeof(h));
	while (in->left && f->used + 8192 < sizeof(f->bytes))
		put_chunk(f, in);
}

/* All that it says it has is there. */
static void look_at_snapshot(const struct account_snapshot *s)
{
	uint64_t sum = s->nr_vms + s->nr_vcpus;

	must(trace_snapshot_size(s) <= sizeof(*s));
	for (uint32_t i = 0; i < s->nr_slots; i++)
		sum += *(const uint8_t *)&s->slots[i];
	for (uint32_t i = 0; i < s->nr_files; i++)
		sum += *(const uint8_t *)&s->files[i];
	for (uint32_t i = 0; i < s->nr_runs; i++)
		sum += *(const uint8_t *)&s->runs[i];
	must(sum || !s->nr_vms);
}

static void look_at(struct see_view *v, const struct trace_item *item, FILE *to)
{
	char text[256];

	if (item->kind == TRACE_PROCESS)
		must(memchr(item->process.name, 0, sizeof(item->process.name)));
	if (item->kind == TRACE_MODULE)
		must(memchr(item->module.path, 0, sizeof(item->module.path)) &&
		     item->module.build_id_size <= sizeof(item->module.build_id));
	if (item->kind == TRACE_SNAPSHOT)
		look_at_snapshot(item->snapshot.is);
	if (item->kind != TRACE_RECORDS)
		return;
	see_details(&item->record, text, sizeof(text));
	must(memchr(text, 0, sizeof(text)));
	see_text(v, &item->record, to);
}

static void read_all(const void *data, size_t size, FILE *to)
{
	struct see_view v = { 0 };
	struct trace_item item;
	uint64_t nr = 0;
	int err = trace_reader_of(data, size, &v.reader), ret = 0;

	must(!err || err == -EPROTO);
	if (!err) {
		v.clock = *trace_reader_clock(v.reader);
		while ((ret = trace_reader_next(v.reader, &item)) == 1) {
			must(++nr <= size);
			look_at(&v, &item, to);
		}
		must(ret == 0 || ret == -EPROTO);
	}
	must((err || ret) == (trace_reader_problem(v.reader)[0] != 0));
	trace_reader_close(v.reader);
}

void target(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .left = size };
	static FILE *nowhere;
	struct file *f;
	uint8_t *copy;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	must(nowhere);
	if (!size)
		return;
	if (take8(&in) == BYTES) {
		read_all(in.at, in.left, nowhere);
		return;
	}
	f = calloc(1, sizeof(*f));
	must(f);
	put_file(f, &in);
	copy = malloc(f->used);
	must(copy);
	memcpy(copy, f->bytes, f->used);
	read_all(copy, f->used, nowhere);
	free(copy);
	free(f);
}
