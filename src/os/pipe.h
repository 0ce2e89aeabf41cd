/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * pipe: pipes of the program, known by their inode and held without being one of their ends: who reads
 * still meets the end when the program has closed the other side.
 */
#ifndef GMEM_OS_PIPE_H
#define GMEM_OS_PIPE_H

#include <stdbool.h>
#include <stdint.h>

struct os_pipe_id {
	uint64_t dev, ino;
};

/* -EBADF; -EINVAL: not a pipe. */
int os_pipe_id(int fd, struct os_pipe_id *id);
/* *own is a descriptor of ours which is neither a reader nor a writer. -EMFILE; -ENOENT without /proc. */
int os_pipe_hold(int fd, int *own);
/* Bytes in a pipe that is held; 0 once both ends are closed. For the time of the call there is one
 * more reader. */
int os_pipe_left(int own, uint64_t *bytes);
/* Would data that is spliced into fd be copied before the call returns? */
bool os_splice_copies(int fd);

#endif
