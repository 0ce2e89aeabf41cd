/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem_snapshot(): a file stands still while its pages are copied, one piece after the other: first into memory of
 * ours, since a process may write through a window between the checksum and the writing. Pages that have failed
 * end it, or have no contents when the caller takes what is left.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "lib/snapshot.h"
#include "lib/where.h"
#include "map/share.h"
#include "obs/obs.h"
#include "os/disk.h"

/* What is looked at at a time: each ask for its runs tells the home that we are still at it. */
#define SEGMENT ((uint64_t)64 << 20)
#define NR_RUNS 64u

struct saver {
	struct gmem *g;
	struct gmem_snapshot_args *args;
	struct snapshot_writer writer;
	struct where where; /* elsewhere */
	int fd;		    /* elsewhere: what has the run that was found last */
	char piece[SNAPSHOT_PIECE];
};

/* ---- where contents are ------------------------------------------------------------------------- */

/* The run of pages with contents at *offset or behind it, before end; *size 0: none. */
static int next_present(struct saver *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	struct gmem_file *f = lib_home_file(s->g);

	*size = 0;
	if (!f)
		return where_next_present(&s->where, offset, end, size, &s->fd);
	if (!store_next_present(gmem_file_store(f), offset, end, size))
		*size = 0;
	return 0;
}

/* ---- copying ------------------------------------------------------------------------------------- */

static bool is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, OS_PAGE_SIZE - 1);
}

/* Runs of pages that are zero, or are not. */
static int add_piece(struct saver *s, uint64_t offset, uint64_t size, uint32_t attributes)
{
	int err = 0;

	for (uint64_t at = 0, next; !err && at < size; at = next) {
		bool zero = is_zero(s->piece + at);
		struct snapshot_run run = { .offset = offset + at, .attributes = attributes };

		for (next = at + OS_PAGE_SIZE; next < size; next += OS_PAGE_SIZE)
			if (is_zero(s->piece + next) != zero)
				break;
		run.size = next - at;
		err = snapshot_add(&s->writer, &run, zero ? NULL : s->piece + at);
	}
	return err;
}

/* Page by page: not every store has them side by side. */
static int copy_at_home(struct saver *s, uint64_t offset, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += OS_PAGE_SIZE) {
		void *from;
		int err = store_address(gmem_file_store(lib_home_file(s->g)), offset + at, &from);

		if (err)
			return err;
		memcpy(s->piece + at, from, OS_PAGE_SIZE);
	}
	return 0;
}

/* By reading, which takes no page for what is not there. */
static int copy_contents(struct saver *s, uint64_t offset, uint64_t size)
{
	int err;

	if (lib_home_file(s->g))
		return copy_at_home(s, offset, size);
	err = os_disk_read(s->fd, offset, s->piece, size);
	return err ? obs_refuse_as(RULE_SNAPSHOT_MEMORY, err) : 0;
}

static int add_present(struct saver *s, uint64_t offset, uint64_t size, uint32_t attributes)
{
	int err = 0;

	for (uint64_t done = 0, part; !err && done < size; done += part) {
		part = size - done < SNAPSHOT_PIECE ? size - done : SNAPSHOT_PIECE;
		err = copy_contents(s, offset + done, part);
		if (!err)
			err = add_piece(s, offset + done, part, attributes);
	}
	return err;
}

static int save_lost(struct saver *s, const struct gmem_run *run)
{
	struct snapshot_run lost = { .offset = run->offset,
				     .size = run->size,
				     .attributes = run->attributes,
				     .flags = SNAPSHOT_RUN_LOST };

	if (!(s->args->flags & GMEM_SNAPSHOT_LOST)) {
		s->args->error_offset = run->offset;
		return obs_refuse(RULE_SNAPSHOT_POISONED);
	}
	s->args->lost_bytes += run->size;
	return snapshot_add(&s->writer, &lost, NULL);
}

static int save_zeros(struct saver *s, uint64_t offset, uint64_t size, uint32_t attributes)
{
	struct snapshot_run run = { .offset = offset, .size = size, .attributes = attributes };

	return size ? snapshot_add(&s->writer, &run, NULL) : 0;
}

static int save_run(struct saver *s, const struct gmem_run *run)
{
	uint64_t at = run->offset, end = at + run->size;
	int err = 0;

	if (run->failed)
		return save_lost(s, run);
	while (!err && at < end) {
		uint64_t from = at, size = 0;

		err = next_present(s, &from, end, &size);
		if (!size)
			from = end;
		if (!err)
			err = save_zeros(s, at, from - at, run->attributes);
		if (!err && size)
			err = add_present(s, from, size, run->attributes);
		at = from + size;
	}
	return err;
}

/* At home the file's lock is ours already. */
static int next_runs(struct saver *s, uint64_t offset, uint64_t size, struct gmem_run *runs,
		     uint32_t *nr)
{
	struct host_file *f = s->g->file;

	if (!lib_home_file(s->g))
		return host_file_query(f, offset, size, runs, NR_RUNS, nr);
	*nr = host_file_stopped_runs(f, offset, size, runs, NR_RUNS);
	return 0;
}

static int save_segment(struct saver *s, uint64_t offset, uint64_t end)
{
	struct gmem_run runs[NR_RUNS];
	uint32_t nr;
	int err = 0;

	while (!err && offset < end) {
		err = next_runs(s, offset, end - offset, runs, &nr);
		if (!err && !nr)
			return -EIO;
		for (uint32_t i = 0; !err && i < nr; i++) {
			err = save_run(s, &runs[i]);
			offset = runs[i].offset + runs[i].size;
		}
	}
	return err;
}

static int save_all(struct saver *s)
{
	uint64_t size = s->g->file->size, end;
	int err = 0;

	for (uint64_t at = 0; !err && at < size; at = end) {
		end = size - at < SEGMENT ? size : at + SEGMENT;
		err = os_signal_pending() ? -EINTR : save_segment(s, at, end);
	}
	return err;
}

/* ---- the call ------------------------------------------------------------------------------------ */

static int save_frozen(struct saver *s, uint64_t *frozen_ns)
{
	uint64_t start = os_clock_ns();
	int err = host_file_stop(s->g->file), late;

	if (err)
		return err;
	where_begin(&s->where, s->g->file);
	err = save_all(s);
	where_end(&s->where);
	late = host_file_go(s->g->file);
	*frozen_ns = os_clock_ns() - start;
	return late ? late : err;
}

static int save(struct gmem *g, struct gmem_snapshot_args *a)
{
	struct gmem_info info = { .args_size = sizeof(info) };
	struct saver *s = os_alloc(sizeof(*s));
	int err;

	if (!s)
		return obs_refuse(RULE_NO_MEMORY);
	s->g = g;
	s->args = a;
	err = lib_get_info(g, &info);
	if (!err && !host_file_converts(g->file))
		info.flags |= GMEM_SNAPSHOT_OF_VM;
	if (!err)
		err = snapshot_begin(&s->writer, a->fd, info.size, info.flags);
	if (!err)
		err = save_frozen(s, &a->frozen_ns);
	if (!err)
		err = snapshot_end(&s->writer);
	a->file_bytes = s->writer.at;
	os_free(s, sizeof(*s));
	return err;
}

int lib_check_snapshot(const struct gmem *g, uint32_t flags, uint32_t reserved)
{
	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	if (flags & ~GMEM_SNAPSHOT_LOST || reserved)
		return obs_refuse(RULE_SNAPSHOT_FLAGS);
	if (!lib_home_file(g) && g->file->store_fd < 0)
		return obs_refuse(RULE_SNAPSHOT_HOME);
	return 0;
}

int lib_snapshot(struct gmem *g, struct gmem_snapshot_args *args)
{
	struct gmem_snapshot_args a;
	uint64_t size;
	uint32_t least = LIB_MIN_OF(struct gmem_snapshot_args, frozen_ns);
	int late, err = lib_args_in(&a, sizeof(a), least, args);

	if (!err)
		err = lib_check_snapshot(g, a.flags, a.reserved);
	if (err)
		return err;
	if (os_disk_size(a.fd, true, &size))
		return obs_refuse(RULE_SNAPSHOT_FD);
	if (size)
		return obs_refuse(RULE_SNAPSHOT_NOT_EMPTY);
	lib_enter();
	a.error_offset = a.lost_bytes = 0;
	err = save(g, &a);
	lib_leave();
	late = lib_args_out(args, &a, sizeof(a), least);
	return err ? err : late;
}
