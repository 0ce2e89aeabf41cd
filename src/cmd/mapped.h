/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* mapped: the guest_memfds of another process, read out once through its share (map/share.h). */
#ifndef GMEM_CMD_MAPPED_H
#define GMEM_CMD_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem.h"

struct mapped_total {
	uint64_t bytes, nr_runs;
};

struct mapped_file {
	uint64_t id, size;
	uint32_t flags; /* GMEM_MMAP, GMEM_INIT_SHARED */
	bool converts;
	struct mapped_total private, shared;
	struct gmem_extent *runs;
	size_t nr_runs, room; /* nr_runs is 0 when they were not wanted */
};

struct mapped {
	int pid;
	char comm[64];
	struct mapped_file *files;
	size_t nr_files;
};

/*
 * id 0: all files. A file that the process makes or lets go meanwhile may be missing, and pages that are converted
 * meanwhile may be in their old or new state, but each page of the file is in exactly one run.
 * -ESRCH: no process; -ENOENT: it has no share; -EACCES, -EPERM; -EAGAIN: no answer; -EIO: it ended; -ENOMEM.
 */
int mapped_read(int pid, uint64_t id, bool with_runs, struct mapped *m);
void mapped_free(struct mapped *m);

#endif
