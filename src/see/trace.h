/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * trace: what a run was, in a file: gmem-trace(5) is the description of the format for others.
 *
 *	header	64 bytes: magic, version, the clock
 *	chunk	kind, size, checksum, and size bytes; again and again
 *	...
 *	END	the last chunk: without it the file was cut, or its writer killed
 *
 * Records come in the order in which they took their places in the ring. Little endian.
 */
#ifndef GMEM_SEE_TRACE_H
#define GMEM_SEE_TRACE_H

#include <stdint.h>

#include "obs/account.h"
#include "see/see.h"

#define TRACE_MAGIC 0x0a65636172746d67ull /* "gmtrace\n" */
#define TRACE_VERSION 1u

struct trace_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_size, record_size;
	uint32_t simulated;
	uint64_t tsc_khz, tsc, clock_ns, wallclock_ns;
	uint64_t reserved;
};
_Static_assert(sizeof(struct trace_header) == 64, "the header of a trace");

enum trace_chunk_kind {
	TRACE_RECORDS = 1, /* struct obs_record, whole ones */
	TRACE_LOST,	   /* struct trace_lost */
	TRACE_PROCESS,	   /* struct trace_process */
	TRACE_MODULE,	   /* struct trace_module */
	TRACE_END,	   /* struct trace_end */
	TRACE_INFO,	   /* text: KEY=VALUE lines */
	TRACE_SNAPSHOT, /* struct trace_snapshot_head, an account_snapshot up to its tables, its rows */
};

#define TRACE_MAX_CHUNK (1u << 24)

struct trace_chunk {
	uint32_t kind; /* those that a reader does not know it leaves out */
	uint32_t size;
	uint64_t checksum; /* of what follows: trace_checksum() */
};

struct trace_lost {
	uint64_t nr;
};

struct trace_process {
	uint32_t place, pid, parent, pad;
	uint64_t start;
	char name[40];
};

struct trace_module {
	uint32_t process, build_id_size;
	uint64_t start, end, base;
	uint8_t build_id[32];
	char path[256];
};

struct trace_end {
	int32_t status;
	uint32_t pad;
	uint64_t nr_records, nr_lost;
};

/* What the guests' memory was, in one process: obs/account.h. It stands behind the records that were drained before it
 * was read, which may be of a later time. */
struct trace_snapshot_head {
	uint32_t place, version; /* of the process in the table; ACCOUNT_VERSION */
};

/* What comes before the tables, and the whole of it with as many rows as it has. */
#define TRACE_SNAPSHOT_FIXED offsetof(struct account_snapshot, vms)
static inline size_t trace_snapshot_size(const struct account_snapshot *s)
{
	return TRACE_SNAPSHOT_FIXED + s->nr_vms * sizeof(s->vms[0]) +
	       s->nr_vcpus * sizeof(s->vcpus[0]) + s->nr_slots * sizeof(s->slots[0]) +
	       s->nr_files * sizeof(s->files[0]) + s->nr_runs * sizeof(s->runs[0]);
}

struct trace_snapshot {
	uint32_t place;
	const struct account_snapshot *is; /* good until the next item */
};

/* FNV-1a of 64 bit words: kind and size (in the upper half), then the data, the last word filled up with zeros. */
uint64_t trace_checksum(uint32_t kind, const void *data, uint32_t size);

/* ---- writing ----------------------------------------------------------------------------------- */

struct trace_writer;

/* -errno. The sink is to be drained into; its end() closes the file and says when it could not be written. */
int trace_writer_open(const char *path, const struct obs_region *r, struct trace_writer **out);
struct see_sink *trace_writer_sink(struct trace_writer *w);
struct trace_totals {
	uint64_t nr_records, nr_lost;
	int err;
};
struct trace_totals trace_writer_close(struct trace_writer *w);

/* ---- reading ----------------------------------------------------------------------------------- */

struct trace_reader;

struct trace_item {
	enum trace_chunk_kind kind;
	union {
		struct obs_record record;
		struct trace_lost lost;
		struct trace_process process;
		struct trace_module module;
		struct trace_end end;
		struct trace_snapshot snapshot;
	};
};

/* -errno; -EPROTO: no trace, or one of another version: trace_reader_problem() says which. */
int trace_reader_open(const char *path, struct trace_reader **out);
/* The same of a file in memory, which stays there. */
int trace_reader_of(const void *data, uint64_t size, struct trace_reader **out);
const struct see_clock *trace_reader_clock(const struct trace_reader *t);
/* 1: there is one; 0: that was all; -EPROTO: damaged or cut here, and what came before was good. */
int trace_reader_next(struct trace_reader *t, struct trace_item *item);
/* How many of its bytes are read; of: how many there are. */
uint64_t trace_reader_done(const struct trace_reader *t, uint64_t *of);
/* Why it returned -EPROTO: one sentence. */
const char *trace_reader_problem(const struct trace_reader *t);
void trace_reader_close(struct trace_reader *t);

#endif
