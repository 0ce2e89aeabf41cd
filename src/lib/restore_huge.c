/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Contents for huge pages elsewhere. The home takes what is needed from the pool, which counts it; then the file stands still, since a
 * block could move between the answer where it is and the writing. hugetlbfs is written by mappings alone.
 */
#include <errno.h>
#include <string.h>

#include "lib/lib.h"
#include "lib/where.h"
#include "obs/obs.h"
#include "os/disk.h"

static uint64_t block_of(const struct host_file *f)
{
	return (uint64_t)1 << (f->flags & GMEM_FILE_HUGETLB_1G ? 30 : 21);
}

/* A part of one block. */
static int write_part(int fd, uint64_t block, uint64_t offset, uint64_t size, const char *data)
{
	void *at;
	int err = os_map_file(fd, offset & ~(block - 1), block, block,
			      OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &at);

	if (err)
		return err;
	memcpy((char *)at + offset % block, data, size);
	os_unmap(at, block);
	return 0;
}

static int write_pool(int fd, uint64_t block, uint64_t offset, uint64_t size, const char *data)
{
	int err = 0;

	for (uint64_t done = 0, part; !err && done < size; done += part) {
		part = block - (offset + done) % block;
		if (part > size - done)
			part = size - done;
		err = write_part(fd, block, offset + done, part, data + done);
	}
	return err;
}

/* What somebody has punched since it was taken is not touched: the pool has no page for it. */
static int write_run(const struct where *w, const struct gmem_run *run, const char *data)
{
	int fd = where_fd(w, run);

	if (gmem_flags_mixed(w->file->flags) && !(run->attributes & HOST_FILE_HUGE))
		return os_disk_write(fd, run->offset, data, run->size);
	if (!(run->attributes & HOST_FILE_PRESENT))
		return -EAGAIN;
	return write_pool(fd, block_of(w->file), run->offset, run->size, data);
}

static int write_stopped(struct host_file *f, uint64_t offset, uint64_t size, const char *data)
{
	struct gmem_run run;
	struct where w;
	int err = 0;

	where_begin(&w, f);
	for (uint64_t done = 0; !err && done < size; done += run.size) {
		err = where_find(&w, offset + done, offset + size, &run);
		if (!err)
			err = write_run(&w, &run, data + done);
	}
	where_end(&w);
	return err;
}

int lib_put_huge(struct host_file *f, uint64_t offset, uint64_t size, const void *data)
{
	int late, err = host_file_allocate(f, offset, size);

	if (err)
		return obs_refuse_as(RULE_POPULATE_MEMORY, err);
	err = host_file_stop(f);
	if (err)
		return err;
	err = write_stopped(f, offset, size, data);
	late = host_file_go(f);
	if (late)
		return late;
	return err ? obs_refuse_as(RULE_POPULATE_MEMORY, err) : 0;
}
