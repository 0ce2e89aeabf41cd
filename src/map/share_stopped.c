/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file stands still for another process, which reads all of it. */
#include <errno.h>

#include "map/share_layout.h"
#include "obs/obs.h"

/* ---- at home ------------------------------------------------------------------------------------- */

/* The run of what is in one of the store's two. */
static uint64_t in_one(struct store *s, uint64_t offset, uint64_t end)
{
	bool huge = store_is_huge(s, offset);

	if (!s->block)
		return end;
	do
		offset = (offset & ~(s->block - 1)) + s->block;
	while (offset < end && store_is_huge(s, offset) == huge);
	return offset < end ? offset : end;
}

static void find_next_run(struct store *s, uint64_t offset, uint64_t end, struct gmem_run *run)
{
	uint64_t from = offset, size = 0, stop = in_one(s, offset, end);
	bool any = store_next_present(s, &from, stop, &size);

	run->offset = offset;
	run->attributes = store_is_huge(s, offset) ? HOST_FILE_HUGE : 0;
	if (any && from == offset) {
		run->size = size;
		run->attributes |= HOST_FILE_PRESENT;
	} else {
		run->size = (any ? from : stop) - offset;
	}
}

uint32_t host_file_stopped_where(struct host_file *f, uint64_t offset, uint64_t size,
				 struct gmem_run *runs, uint32_t max)
{
	uint64_t end = offset + size;
	uint32_t nr = 0;

	for (; offset < end && nr < max; offset += runs[nr++].size) {
		runs[nr] = (struct gmem_run){ 0 };
		find_next_run(gmem_file_store(f->file), offset, end, &runs[nr]);
	}
	return nr;
}

/* ---- elsewhere ----------------------------------------------------------------------------------- */

int share_stop(struct host_file *f)
{
	int err = share_ask_range(f, SHARE_STOP, 0, 0);

	if (err == -EIO || err == -ESTALE)
		return obs_refuse(RULE_GMEM_HOME_GONE);
	return err;
}

int share_go(struct host_file *f)
{
	int err = share_ask_range(f, SHARE_GO, 0, 0);

	if (err == -EIO || err == -ESTALE)
		return obs_refuse(RULE_GMEM_HOME_GONE);
	return err ? obs_refuse(RULE_SNAPSHOT_LATE) : 0;
}

/* The number may have become another's, if the home is so late that the file goes on; who asks is told when he lets it go. */
static int open_huge(struct host_file *f, int number, int *fd)
{
	uint64_t size;
	int own, err = os_peer_open(f->link->share->home_pid, number, &own);

	if (err)
		return err;
	err = os_peer_size(own, &size);
	if (!err && size > f->size)
		err = -ESTALE;
	if (err)
		os_fd_close(own);
	else
		*fd = own;
	return err;
}

/* What another process has written there: as asked, without a gap, or it is nothing. */
static bool is_as_asked(const struct gmem_run *runs, uint32_t nr, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size;

	for (uint32_t i = 0; i < nr; offset += runs[i++].size)
		if (runs[i].offset != offset || !runs[i].size || runs[i].size > end - offset ||
		    runs[i].size & (OS_PAGE_SIZE - 1))
			return false;
	return nr;
}

static bool has_huge(const struct gmem_run *runs, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		if (runs[i].attributes & HOST_FILE_HUGE)
			return true;
	return false;
}

int host_file_where(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		    uint32_t max, uint32_t *nr, int *huge_fd)
{
	struct share_request *r;
	int number, err = share_begin_request(f->link, SHARE_WHERE, f->id, &r);

	*nr = 0;
	if (err)
		return err;
	r->offset = offset;
	r->size = size;
	r->max = max = max < SHARE_NR_RUNS ? max : SHARE_NR_RUNS;
	err = share_ask(f->link, r);
	if (!err)
		*nr = r->nr < max ? r->nr : max;
	__builtin_memcpy(runs, r->runs, *nr * sizeof(*runs));
	number = r->info.store_fd;
	share_end_request(f->link);
	if (!err && !is_as_asked(runs, *nr, offset, size))
		err = -EIO;
	if (!err && *huge_fd < 0 && has_huge(runs, *nr))
		err = open_huge(f, number, huge_fd);
	return err;
}
