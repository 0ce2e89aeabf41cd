/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "lib/where.h"

#include <errno.h>

#include "os/os.h"

void where_begin(struct where *w, struct host_file *f)
{
	w->file = f;
	w->huge_fd = -1;
	w->nr = w->at = 0;
}

void where_end(struct where *w)
{
	if (w->huge_fd >= 0)
		os_fd_close(w->huge_fd);
	w->huge_fd = -1;
}

static const struct gmem_run *find_told(struct where *w, uint64_t offset)
{
	for (; w->at < w->nr; w->at++) {
		const struct gmem_run *run = &w->runs[w->at];

		if (offset >= run->offset && offset - run->offset < run->size)
			return run;
	}
	return NULL;
}

int where_find(struct where *w, uint64_t offset, uint64_t end, struct gmem_run *run)
{
	const struct gmem_run *told = find_told(w, offset);
	int err;

	if (!told) {
		err = host_file_where(w->file, offset, end - offset, w->runs, WHERE_RUNS, &w->nr,
				      &w->huge_fd);
		if (err)
			return err;
		w->at = 0;
		told = &w->runs[0];
	}
	*run = *told;
	run->size -= offset - run->offset;
	run->offset = offset;
	if (run->size > end - offset)
		run->size = end - offset;
	return 0;
}

int where_fd(const struct where *w, const struct gmem_run *run)
{
	return run->attributes & HOST_FILE_HUGE ? w->huge_fd : w->file->store_fd;
}

static int next_huge(struct where *w, uint64_t *offset, uint64_t end, uint64_t *size, int *fd)
{
	struct gmem_run run;
	int err;

	for (uint64_t at = *offset; at < end; at += run.size) {
		err = where_find(w, at, end, &run);
		if (err)
			return err;
		if (!(run.attributes & HOST_FILE_PRESENT))
			continue;
		*offset = at;
		*size = run.size;
		*fd = where_fd(w, &run);
		return 0;
	}
	return 0;
}

int where_next_present(struct where *w, uint64_t *offset, uint64_t end, uint64_t *size, int *fd)
{
	uint64_t from, to;

	*size = 0;
	if (w->file->flags & GMEM_FILE_HUGETLB)
		return next_huge(w, offset, end, size, fd);
	if (os_file_data(w->file->store_fd, *offset, &from, &to) || from >= end)
		return 0;
	*offset = from;
	*size = (to < end ? to : end) - from;
	*fd = w->file->store_fd;
	return 0;
}
