/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/listed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct trace_writer {
	struct see_sink sink;
	int fd;
	int err; /* the first write that failed; nothing is written after it */
	/* What is in the file; those below the numbers all are. */
	bool has_process[OBS_MAX_PROCESSES], has_module[OBS_MAX_MODULES];
	uint32_t nr_processes, nr_modules;
	struct trace_totals totals;
	struct last_snapshot {
		uint64_t number, checksum, time_ns;
	} last[ACCOUNT_NR_AREAS];
	uint64_t snapshot_bytes;
	bool is_last; /* what comes now is wanted in any case */
	/* What was read of an area, and the chunk that is made of it; made when they are needed. */
	struct account_snapshot *read;
	unsigned char *chunk;
};

/* Snapshots may have that much of the file, and as much as the records have. */
#define SNAPSHOT_BYTES (64ull << 20)
#define SNAPSHOT_NS 10000000ull

uint64_t trace_checksum(uint32_t kind, const void *data, uint32_t size)
{
	const unsigned char *p = data;
	uint64_t sum = 0xcbf29ce484222325ull, word = kind | (uint64_t)size << 32;

	sum = (sum ^ word) * 0x100000001b3ull;
	for (; size;
	     p += sizeof(word), size -= size < sizeof(word) ? size : (uint32_t)sizeof(word)) {
		word = 0;
		memcpy(&word, p, size < sizeof(word) ? size : sizeof(word));
		sum = (sum ^ word) * 0x100000001b3ull;
	}
	return sum;
}

static int write_all(struct trace_writer *w, struct iovec *v, int nr)
{
	while (!w->err && nr) {
		ssize_t n = writev(w->fd, v, nr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			w->err = -errno;
		for (; n > 0 && nr && (size_t)n >= v->iov_len; v++, nr--)
			n -= (ssize_t)v->iov_len;
		if (n > 0 && nr) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= (size_t)n;
		}
	}
	return w->err;
}

static int put(struct trace_writer *w, enum trace_chunk_kind kind, const void *data, size_t size)
{
	struct trace_chunk chunk = {
		.kind = kind,
		.size = (uint32_t)size,
		.checksum = trace_checksum(kind, data, (uint32_t)size),
	};
	struct iovec v[] = { { &chunk, sizeof(chunk) }, { (void *)(uintptr_t)data, size } };

	return write_all(w, v, 2);
}

/* ---- tables ------------------------------------------------------------------------------------ */

static bool put_process(struct trace_writer *w, const struct obs_region *r, uint32_t i)
{
	struct trace_process out;

	return see_process_read(r, i, &out) && put(w, TRACE_PROCESS, &out, sizeof(out)) == 0;
}

static bool put_module(struct trace_writer *w, const struct obs_region *r, uint32_t i)
{
	struct trace_module out;

	return see_module_read(r, i, &out) && put(w, TRACE_MODULE, &out, sizeof(out)) == 0;
}

/* What is new in the tables comes before the records that refer to it. A row stays empty when who took it was killed. */
static void put_tables(struct trace_writer *w, const struct obs_region *r)
{
	uint32_t nr = see_nr_processes(r);

	for (uint32_t i = w->nr_processes; i < nr; i++) {
		if (!w->has_process[i])
			w->has_process[i] = put_process(w, r, i);
		w->nr_processes += w->has_process[i] && i == w->nr_processes;
	}
	nr = see_nr_modules(r);
	for (uint32_t i = w->nr_modules; i < nr; i++) {
		if (!w->has_module[i])
			w->has_module[i] = put_module(w, r, i);
		w->nr_modules += w->has_module[i] && i == w->nr_modules;
	}
}

/* ---- snapshots ---------------------------------------------------------------------------------- */

static unsigned char *add(unsigned char *to, const void *rows, size_t size)
{
	memcpy(to, rows, size);
	return to + size;
}

static size_t pack(uint32_t place, const struct account_snapshot *s, unsigned char *chunk)
{
	struct trace_snapshot_head head = { .place = place, .version = ACCOUNT_VERSION };
	unsigned char *to = add(chunk, &head, sizeof(head));

	to = add(to, s, TRACE_SNAPSHOT_FIXED);
	to = add(to, s->vms, s->nr_vms * sizeof(s->vms[0]));
	to = add(to, s->vcpus, s->nr_vcpus * sizeof(s->vcpus[0]));
	to = add(to, s->slots, s->nr_slots * sizeof(s->slots[0]));
	to = add(to, s->files, s->nr_files * sizeof(s->files[0]));
	return (size_t)(add(to, s->runs, s->nr_runs * sizeof(s->runs[0])) - chunk);
}

/* The more there are the fewer are taken. */
static bool is_due(const struct trace_writer *w, const struct last_snapshot *last)
{
	uint64_t pause = SNAPSHOT_NS + SNAPSHOT_NS * 100 * w->snapshot_bytes / SNAPSHOT_BYTES;

	return w->read->number + 1 > last->number &&
	       (w->is_last || !last->number || w->read->time_ns >= last->time_ns + pause);
}

static void put_snapshot(struct trace_writer *w, uint32_t place, struct last_snapshot *last)
{
	const size_t fixed = sizeof(struct trace_snapshot_head) + TRACE_SNAPSHOT_FIXED;
	uint64_t checksum;
	size_t size;

	if (!is_due(w, last))
		return;
	size = pack(place, w->read, w->chunk);
	checksum = trace_checksum(w->read->flags, w->chunk + fixed, (uint32_t)(size - fixed));
	last->number = w->read->number + 1;
	last->time_ns = w->read->time_ns;
	if (checksum == last->checksum)
		return;
	last->checksum = checksum;
	w->snapshot_bytes += size;
	put(w, TRACE_SNAPSHOT, w->chunk, size);
}

/* The older one may be all that is left of a VM that has just gone. */
static void put_area(struct trace_writer *w, const struct account_area *a,
		     struct last_snapshot *last)
{
	uint32_t owner = atomic_load(&a->owner);

	if (!owner)
		return;
	if (obs_account_read_older(a, w->read))
		put_snapshot(w, owner - 1, last);
	if (obs_account_read(a, w->read))
		put_snapshot(w, owner - 1, last);
}

/* Has it published since? Looked at without care: it is seen next time. */
static bool has_news(const struct account_area *a, const struct last_snapshot *last)
{
	uint32_t latest = atomic_load(&a->latest);

	return (latest == 1 || latest == 2) && a->snapshots[latest - 1].number + 1 > last->number;
}

static bool has_room(struct trace_writer *w)
{
	if (!w->read)
		w->read = malloc(sizeof(*w->read));
	if (!w->chunk)
		w->chunk = malloc(sizeof(struct trace_snapshot_head) + sizeof(*w->read));
	return w->read && w->chunk;
}

/* What did not change since the last time is not written again. */
static int on_snapshot(void *own, const struct obs_region *r)
{
	struct trace_writer *w = own;

	uint64_t most = SNAPSHOT_BYTES + w->totals.nr_records * sizeof(struct obs_record);

	put_tables(w, r);
	for (uint32_t i = 0; i < ACCOUNT_NR_AREAS && has_room(w); i++) {
		const struct account_area *a = account_area_at(r, i);

		if (has_news(a, &w->last[i]) && (w->is_last || w->snapshot_bytes < most))
			put_area(w, a, &w->last[i]);
	}
	return w->err;
}

/* ---- the sink ----------------------------------------------------------------------------------- */

static int on_records(void *own, const struct obs_region *r, const struct obs_record *records,
		      size_t nr)
{
	struct trace_writer *w = own;

	put_tables(w, r);
	w->totals.nr_records += nr;
	if (put(w, TRACE_RECORDS, records, nr * sizeof(*records)))
		return w->err;
	return on_snapshot(w, r);
}

static int on_lost(void *own, const struct obs_region *r, uint64_t nr)
{
	struct trace_writer *w = own;
	struct trace_lost lost = { .nr = nr };

	w->totals.nr_lost += nr;
	return put(w, TRACE_LOST, &lost, sizeof(lost));
}

static int on_end(void *own, const struct obs_region *r, int status)
{
	struct trace_writer *w = own;
	struct trace_end end = {
		.status = status,
		.nr_records = w->totals.nr_records,
		.nr_lost = w->totals.nr_lost,
	};

	w->is_last = true;
	on_snapshot(w, r);
	return put(w, TRACE_END, &end, sizeof(end));
}

static int put_header(struct trace_writer *w, const struct obs_region *r)
{
	struct trace_header h = {
		.magic = TRACE_MAGIC,
		.version = TRACE_VERSION,
		.header_size = sizeof(h),
		.record_size = sizeof(struct obs_record),
		.simulated = r->simulated,
		.tsc_khz = r->tsc_khz,
		.tsc = r->tsc,
		.clock_ns = r->clock_ns,
		.wallclock_ns = r->wallclock_ns,
	};
	struct iovec v = { &h, sizeof(h) };

	return write_all(w, &v, 1);
}

int trace_writer_open(const char *path, const struct obs_region *r, struct trace_writer **out)
{
	struct trace_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	w->err = w->fd < 0 ? -errno : 0;
	w->sink = (struct see_sink){
		.name = "trace",
		.own = w,
		.wants_records = true,
		.records = on_records,
		.lost = on_lost,
		.snapshot = on_snapshot,
		.end = on_end,
	};
	if (!w->err && !put_header(w, r)) {
		*out = w;
		return 0;
	}
	return trace_writer_close(w).err;
}

struct see_sink *trace_writer_sink(struct trace_writer *w)
{
	return &w->sink;
}

struct trace_totals trace_writer_close(struct trace_writer *w)
{
	struct trace_totals totals = w->totals;

	totals.err = w->err;
	if (w->fd >= 0 && close(w->fd) && !totals.err)
		totals.err = -errno;
	free(w->read);
	free(w->chunk);
	free(w);
	return totals;
}
