/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * where: the memory of a file whose home is another process, by descriptors of ours. A store of huge pages of the pool is
 * asked for: to look at what was never touched would take a page, and blocks of a store of two move. The file
 * stands still (host_file_stop()) from where_begin() to where_end(), by the same thread.
 */
#ifndef GMEM_LIB_WHERE_H
#define GMEM_LIB_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "map/host_file.h"

#define WHERE_RUNS 64u

struct where {
	struct host_file *file;
	int huge_fd; /* -1: none is needed yet */
	uint32_t nr, at;
	struct gmem_run runs[WHERE_RUNS]; /* told last */
};

void where_begin(struct where *w, struct host_file *f);
void where_end(struct where *w);
/* Of a store of huge pages: the pages from offset on that are in one place, before end. As host_file_where(). */
int where_find(struct where *w, uint64_t offset, uint64_t end, struct gmem_run *run);
/* Which descriptor has what lies there. */
int where_fd(const struct where *w, const struct gmem_run *run);
/* The run with contents at *offset or behind it, before end, and the descriptor that has it at the same offset; *size 0: none. */
int where_next_present(struct where *w, uint64_t *offset, uint64_t end, uint64_t *size, int *fd);

#endif
