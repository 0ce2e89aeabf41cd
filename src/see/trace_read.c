/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A trace that somebody gives us may be anything: nothing of it is believed before it was compared with what is
 * there.
 */
#include "see/listed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct trace_reader {
	const unsigned char *data;
	uint64_t size, at;
	bool is_mapped;
	struct see_clock clock;
	/* Records of the chunk that we are in. */
	uint64_t next_record, end_records;
	bool has_ended;
	uint64_t nr_records, nr_lost;
	struct account_snapshot *snapshot; /* made when there is one */
	char problem[160];
};

__attribute__((format(printf, 2, 3))) static int bad(struct trace_reader *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(t->problem, sizeof(t->problem), fmt, args);
	va_end(args);
	t->has_ended = true;
	return -EPROTO;
}

uint64_t trace_reader_done(const struct trace_reader *t, uint64_t *of)
{
	*of = t->size;
	return t->next_record < t->end_records ? t->next_record : t->at;
}

const char *trace_reader_problem(const struct trace_reader *t)
{
	return t->problem;
}

const struct see_clock *trace_reader_clock(const struct trace_reader *t)
{
	return &t->clock;
}

static int read_header(struct trace_reader *t)
{
	const uint64_t magic = TRACE_MAGIC;
	struct trace_header h;

	if (t->size < sizeof(magic) || memcmp(t->data, &magic, sizeof(magic)))
		return bad(t, "it is no trace of gmem's");
	if (t->size < sizeof(h))
		return bad(t, "the file ends in the header");
	memcpy(&h, t->data, sizeof(h));
	if (h.version != TRACE_VERSION || h.header_size != sizeof(h) ||
	    h.record_size != sizeof(struct obs_record))
		return bad(t, "it is of version %u; this gmem reads version %u", h.version,
			   TRACE_VERSION);
	if (!h.tsc_khz)
		return bad(t, "its clock does not move");
	t->clock = (struct see_clock){ h.tsc_khz, h.tsc, h.clock_ns, h.wallclock_ns };
	t->at = sizeof(h);
	return 0;
}

int trace_reader_of(const void *data, uint64_t size, struct trace_reader **out)
{
	struct trace_reader *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*out = t;
	t->data = data;
	t->size = size;
	return read_header(t);
}

static int map_file(int fd, void **data, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	*size = (uint64_t)st.st_size;
	*data = NULL;
	if (!*size)
		return 0;
	*data = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	return *data == MAP_FAILED ? -errno : 0;
}

int trace_reader_open(const char *path, struct trace_reader **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	uint64_t size = 0;
	void *data = NULL;

	*out = NULL;
	if (fd < 0)
		return -errno;
	err = map_file(fd, &data, &size);
	close(fd);
	if (err)
		return err;
	err = trace_reader_of(data, size, out);
	if (*out)
		(*out)->is_mapped = true;
	else if (size)
		munmap(data, size);
	return err;
}

void trace_reader_close(struct trace_reader *t)
{
	if (!t)
		return;
	if (t->is_mapped && t->size)
		munmap((void *)(uintptr_t)t->data, t->size);
	free(t->snapshot);
	free(t);
}

/* ---- chunks ------------------------------------------------------------------------------------- */

static int next_record(struct trace_reader *t, struct trace_item *item)
{
	item->kind = TRACE_RECORDS;
	memcpy(&item->record, t->data + t->next_record, sizeof(item->record));
	t->next_record += sizeof(item->record);
	t->nr_records++;
	return 1;
}

/* Texts of the file end with 0, and have nothing that moves the cursor, only if its writer was honest. */
static void end_texts(struct trace_item *item)
{
	if (item->kind == TRACE_PROCESS)
		see_process_clean(&item->process);
	if (item->kind == TRACE_MODULE)
		see_module_clean(&item->module);
}

static size_t size_of(uint32_t kind)
{
	switch (kind) {
	case TRACE_LOST:
		return sizeof(struct trace_lost);
	case TRACE_PROCESS:
		return sizeof(struct trace_process);
	case TRACE_MODULE:
		return sizeof(struct trace_module);
	case TRACE_END:
		return sizeof(struct trace_end);
	default:
		return 0;
	}
}

static int judge_end(struct trace_reader *t, const struct trace_end *end)
{
	t->has_ended = true;
	if (t->at != t->size)
		return bad(t, "%llu bytes follow its end", (unsigned long long)(t->size - t->at));
	if (end->nr_records != t->nr_records)
		return bad(t, "it says that it has %llu records and has %llu",
			   (unsigned long long)end->nr_records, (unsigned long long)t->nr_records);
	return 1;
}

/* ---- snapshots ----------------------------------------------------------------------------------- */

static bool has_room(const struct account_snapshot *s)
{
	return s->nr_vms <= ACCOUNT_NR_VMS && s->nr_vcpus <= ACCOUNT_NR_VCPUS &&
	       s->nr_slots <= ACCOUNT_NR_SLOTS && s->nr_files <= ACCOUNT_NR_FILES &&
	       s->nr_runs <= ACCOUNT_NR_RUNS;
}

static const unsigned char *take_rows(void *rows, size_t size, const unsigned char *from)
{
	memcpy(rows, from, size);
	return from + size;
}

static int use_snapshot(struct trace_reader *t, const struct trace_chunk *c, uint64_t data,
			struct trace_item *item)
{
	const unsigned char *from = t->data + data;
	struct trace_snapshot_head head;
	struct account_snapshot *s;

	if (c->size < sizeof(head) + TRACE_SNAPSHOT_FIXED)
		return bad(t, "the snapshot at byte %llu is not whole", (unsigned long long)data);
	from = take_rows(&head, sizeof(head), from);
	if (head.version != ACCOUNT_VERSION)
		return 0;
	if (!t->snapshot)
		t->snapshot = malloc(sizeof(*t->snapshot));
	s = t->snapshot;
	if (!s)
		return bad(t, "there is no memory for a snapshot");
	from = take_rows(s, TRACE_SNAPSHOT_FIXED, from);
	if (!has_room(s) || c->size != sizeof(head) + trace_snapshot_size(s))
		return bad(t, "the snapshot at byte %llu has the wrong size",
			   (unsigned long long)data);
	from = take_rows(s->vms, s->nr_vms * sizeof(s->vms[0]), from);
	from = take_rows(s->vcpus, s->nr_vcpus * sizeof(s->vcpus[0]), from);
	from = take_rows(s->slots, s->nr_slots * sizeof(s->slots[0]), from);
	from = take_rows(s->files, s->nr_files * sizeof(s->files[0]), from);
	take_rows(s->runs, s->nr_runs * sizeof(s->runs[0]), from);
	item->snapshot = (struct trace_snapshot){ .place = head.place, .is = s };
	return 1;
}

static int use_chunk(struct trace_reader *t, const struct trace_chunk *c, uint64_t data,
		     struct trace_item *item)
{
	size_t size = size_of(c->kind);

	item->kind = (enum trace_chunk_kind)c->kind;
	if (c->kind == TRACE_RECORDS) {
		if (!c->size || c->size % sizeof(struct obs_record))
			return bad(t, "at byte %llu are records that are not whole",
				   (unsigned long long)data);
		t->next_record = data;
		t->end_records = data + c->size;
		return next_record(t, item);
	}
	if (c->kind == TRACE_SNAPSHOT)
		return use_snapshot(t, c, data, item);
	if (!size)
		return 0; /* of a later gmem: whoever does not know it leaves it out */
	if (c->size != size)
		return bad(t, "the chunk at byte %llu has the wrong size",
			   (unsigned long long)data);
	memcpy((char *)item + offsetof(struct trace_item, lost), t->data + data, size);
	end_texts(item);
	return c->kind == TRACE_END ? judge_end(t, &item->end) : 1;
}

static int next_chunk(struct trace_reader *t, struct trace_item *item)
{
	struct trace_chunk c;
	uint64_t data = t->at + sizeof(c);

	if (t->at == t->size)
		return bad(t, "it has no end: the writer was killed, or the file cut");
	if (t->size - t->at < sizeof(c))
		return bad(t, "the file is cut at byte %llu", (unsigned long long)t->size);
	memcpy(&c, t->data + t->at, sizeof(c));
	if (c.size > TRACE_MAX_CHUNK)
		return bad(t, "the chunk at byte %llu is damaged", (unsigned long long)t->at);
	if (c.size > t->size - data)
		return bad(t, "the file is cut at byte %llu", (unsigned long long)t->size);
	if (trace_checksum(c.kind, t->data + data, c.size) != c.checksum)
		return bad(t, "the chunk at byte %llu is damaged", (unsigned long long)t->at);
	t->at = data + c.size;
	return use_chunk(t, &c, data, item);
}

int trace_reader_next(struct trace_reader *t, struct trace_item *item)
{
	int ret = 0;

	if (t->next_record < t->end_records)
		return next_record(t, item);
	if (t->has_ended)
		return t->problem[0] ? -EPROTO : 0;
	while (ret == 0 && !t->has_ended)
		ret = next_chunk(t, item);
	return ret;
}
