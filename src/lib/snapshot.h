/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * snapshot: the file that gmem_snapshot() writes and gmem_restore() reads; gmem-snapshot(5) has each field.
 *
 *	0		header		a page: magic, version, size of the guest memory, a random id
 *	4096		data		pages of runs that are not zero
 *	...		index		a page of at most 100 runs, and where the one before it is, with its checksum
 *	...		data, index	as often as there is more
 *	last page	footer		where the last index is, with its checksum; totals; the id; its own checksum
 *
 * Each index vouches for the one before it, and each run for its data: so the footer's checksum of the last index is
 * one of the whole. A writer needs one page of index in memory, a reader one, too, going backwards. Everything is
 * little-endian, and what a page has left over is zero; checksums are XXH3 of 64 bits. The footer is written when all before it is on the disk.
 *
 * A reader trusts nothing: each position is inside the file and below the one that led to it, so it ends.
 */
#ifndef GMEM_LIB_SNAPSHOT_H
#define GMEM_LIB_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "gmem.h"
#include "os/os.h"

/* Of a file that does not convert in place (GMEM_SNAPSHOT_OF_VM) 2, so that who knows only 1 does not take its state for the pages'. */
#define SNAPSHOT_VERSION 1u
#define SNAPSHOT_VERSION_OF_VM 2u
#define SNAPSHOT_PAGE ((uint64_t)4096)
/* A run with data is no larger, so it is verified as a whole before it is used. */
#define SNAPSHOT_PIECE ((uint64_t)1 << 20)
#define SNAPSHOT_RUNS 100u

struct snapshot_header {
	char magic[8]; /* "gmemsnap" */
	uint32_t version, page_size;
	uint32_t flags, reserved; /* GMEM_MMAP and so on, GMEM_SNAPSHOT_OF_VM */
	uint64_t size;
	uint64_t id[2];
	uint64_t checksum; /* of what is before it */
};

struct snapshot_run {
	uint64_t offset, size;
	uint64_t data;	   /* where in the snapshot; 0: zero pages */
	uint64_t checksum; /* of the data; 0 without */
	uint32_t attributes, flags;
};
#define SNAPSHOT_RUN_LOST 1u /* the pages had failed: no data */

struct snapshot_index {
	char magic[8];	 /* "gmemindx" */
	uint64_t before; /* the index before this; 0: this is the first */
	uint64_t before_checksum;
	uint32_t nr, reserved;
	struct snapshot_run runs[SNAPSHOT_RUNS];
	uint64_t unused[8];
};

struct snapshot_footer {
	char magic[8];		      /* "gmemdone" */
	uint64_t id[2];		      /* the header's */
	uint64_t last, last_checksum; /* index */
	uint64_t nr_runs, data_bytes, private_bytes, file_bytes;
	uint64_t checksum; /* of what is before it */
};

static inline uint32_t snapshot_version_of(uint32_t flags)
{
	return flags & GMEM_SNAPSHOT_OF_VM ? SNAPSHOT_VERSION_OF_VM : SNAPSHOT_VERSION;
}

uint64_t snapshot_checksum(const void *data, uint64_t size);

/* ---- writing: snapshot_write.c --------------------------------------------------------------- */

struct snapshot_writer {
	int fd;
	uint64_t at; /* where the next page goes */
	struct snapshot_header header;
	struct snapshot_footer footer;
	struct snapshot_index index; /* that is being filled */
	struct snapshot_run zeros;   /* a run that may go on; size 0: none */
};

/* fd: an empty file. Errors are those of writing, refused by SNAPSHOT_WRITE. */
int snapshot_begin(struct snapshot_writer *w, int fd, uint64_t size, uint32_t flags);
/* The next run (offset, size, attributes, flags), whole pages, in order and without a gap; data: NULL, or size bytes that
 * nobody changes, at most SNAPSHOT_PIECE. */
int snapshot_add(struct snapshot_writer *w, const struct snapshot_run *run, const void *data);
/* All is on the disk when it returns 0. */
int snapshot_end(struct snapshot_writer *w);

/* ---- reading: snapshot_read.c ---------------------------------------------------------------- */

/* What of the snapshot is not as it should be: a range of the file, and what is there. */
struct snapshot_fault {
	const char *part;  /* "header", "footer", "index", "contents"; NULL: nothing */
	uint64_t at, size; /* size 0: where the file ends */
	uint64_t offset;   /* of contents: in the guest memory */
	bool is_contents;
};

struct snapshot_reader {
	int fd;
	struct snapshot_header header;
	struct snapshot_footer footer;
	struct snapshot_fault
		fault; /* of what was refused last by one of SNAPSHOT_OTHER and those behind it */
	uint64_t lost_bytes; /* of all runs, after a walk */
};

/* Header and footer. Errors: SNAPSHOT_FD, _OTHER, _VERSION, _UNFINISHED, _DAMAGED, _READ. */
int snapshot_open(struct snapshot_reader *r, int fd);

/* A run, from the last to the first; data: its contents, verified; NULL: zero, or they were not asked for. Not 0
 * ends the walk, with that result. */
typedef int snapshot_fn(void *arg, const struct snapshot_run *run, const void *data);
/* All runs, after it is known that each index is whole; fn NULL: only verify. */
int snapshot_walk(struct snapshot_reader *r, bool with_data, snapshot_fn *fn, void *arg);

#endif
