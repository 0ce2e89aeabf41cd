/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file of no name for a snapshot, and the two ways. */
#ifndef GMEM_TESTS_LIB_SNAPSHOT_H
#define GMEM_TESTS_LIB_SNAPSHOT_H

#include "t.h"

static inline int temporary(void)
{
	char name[] = "/tmp/gmem-snapshot-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	return fd;
}

static inline int save(struct gmem *g, int fd)
{
	struct gmem_snapshot_args args = { .args_size = sizeof(args), .fd = fd };

	return gmem_snapshot(g, &args);
}

static inline int restore(struct gmem *g, int fd)
{
	struct gmem_restore_args args = { .args_size = sizeof(args), .fd = fd };

	return gmem_restore(g, &args);
}

#endif
