/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem_restore(): everything becomes private first, so that no window sees contents before their state is right; what
 * is shared becomes so when it is there. Last, what had failed fails again.
 */
#include <errno.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "lib/snapshot.h"
#include "obs/obs.h"
#include "os/disk.h"

struct restorer {
	struct gmem *g;
	bool as_zero;		     /* what had failed */
	uint64_t shared, shared_end; /* filled in, and not made shared yet */
};

static int convert(struct gmem *g, uint64_t offset, uint64_t size, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = offset, .size = size, .attributes = attributes };

	return host_file_convert(g->file, &c);
}

/* The file's home counts, backs and tells its VM type; elsewhere the store is all there is, or what the home has taken from the pool. */
static int put_contents(struct gmem *g, const struct snapshot_run *run, const void *data)
{
	uint64_t done;
	int err;

	if (lib_home_file(g))
		return gmem_file_populate(lib_home_file(g), run->offset, run->size, data, &done);
	if (g->file->flags & GMEM_FILE_HUGETLB)
		return lib_put_huge(g->file, run->offset, run->size, data);
	err = os_disk_write(g->file->store_fd, run->offset, data, run->size);
	return err ? obs_refuse_as(RULE_POPULATE_MEMORY, err) : 0;
}

static int share_pending(struct restorer *r)
{
	uint64_t size = r->shared_end - r->shared;

	r->shared_end = r->shared;
	return size ? convert(r->g, r->shared, size, 0) : 0;
}

/* They come from the last to the first. */
static int restore_run(void *arg, const struct snapshot_run *run, const void *data)
{
	struct restorer *r = arg;
	int err = 0;

	if (data)
		err = put_contents(r->g, run, data);
	if (!host_file_converts(r->g->file))
		return err;
	if (!err && run->attributes)
		return share_pending(r);
	if (r->shared == r->shared_end)
		r->shared_end = run->offset + run->size;
	r->shared = run->offset;
	return err;
}

/* Before anything changes: whether what had failed can do so here. */
static int check_lost(void *arg, const struct snapshot_run *run, const void *data)
{
	const struct restorer *r = arg;

	if (r->as_zero || !(run->flags & SNAPSHOT_RUN_LOST))
		return 0;
	if (!lib_home_file(r->g))
		return obs_refuse(RULE_SNAPSHOT_LOST_HOME);
	if (!run->attributes && r->g->file->flags & GMEM_FILE_MMAP)
		return obs_refuse(RULE_SNAPSHOT_LOST_SHARED);
	return 0;
}

static int lose_run(void *arg, const struct snapshot_run *run, const void *data)
{
	const struct restorer *r = arg;

	if (!(run->flags & SNAPSHOT_RUN_LOST))
		return 0;
	return gmem_file_poison(lib_home_file(r->g), run->offset, run->size);
}

static int put_all(struct restorer *r, struct snapshot_reader *snapshot)
{
	int err = 0;

	if (host_file_converts(r->g->file))
		err = convert(r->g, 0, r->g->file->size, ATTR_PRIVATE);
	if (!err)
		err = host_file_punch(r->g->file, 0, r->g->file->size);
	if (!err)
		err = snapshot_walk(snapshot, true, restore_run, r);
	return err ? err : share_pending(r);
}

/* What no conversion can make must be so from the start. */
static bool is_same_kind(const struct host_file *f, const struct snapshot_header *h)
{
	bool of_vm = h->flags & GMEM_SNAPSHOT_OF_VM;

	if (of_vm == host_file_converts(f))
		return false;
	return !of_vm || !(h->flags & GMEM_INIT_SHARED) == !(f->flags & GMEM_FILE_INIT_SHARED);
}

static int restore(struct restorer *r, struct snapshot_reader *snapshot)
{
	int err = snapshot_walk(snapshot, true, check_lost, r);

	if (!err)
		err = put_all(r, snapshot);
	if (!err && snapshot->lost_bytes && !r->as_zero)
		err = snapshot_walk(snapshot, false, lose_run, r);
	return err;
}

int lib_restore(struct gmem *g, const struct gmem_restore_args *args)
{
	struct gmem_restore_args a;
	struct snapshot_reader snapshot;
	struct restorer r = { .g = g };
	int err = lib_args_in(&a, sizeof(a), LIB_MIN_OF(struct gmem_restore_args, reserved), args);

	if (!err)
		err = lib_check_snapshot(g, a.flags, a.reserved);
	if (!err)
		err = snapshot_open(&snapshot, a.fd);
	if (err)
		return err;
	if (snapshot.header.size != g->file->size)
		return obs_refuse(RULE_SNAPSHOT_SIZE);
	if (!is_same_kind(g->file, &snapshot.header))
		return obs_refuse(RULE_SNAPSHOT_KIND);
	r.as_zero = a.flags & GMEM_SNAPSHOT_LOST;
	lib_enter();
	err = restore(&r, &snapshot);
	lib_leave();
	return err;
}
