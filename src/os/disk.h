/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * disk: regular files of the program, by descriptors that stay the program's. All of a request is done, or it
 * fails; positions are given, and the descriptor's own is left alone. Any thread.
 */
#ifndef GMEM_OS_DISK_H
#define GMEM_OS_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* -EBADF: no regular file, or not open to be read (and written, if to_write). */
int os_disk_size(int fd, bool to_write, uint64_t *size);
/* -ENODATA: the file ends before. */
int os_disk_read(int fd, uint64_t offset, void *data, uint64_t size);
int os_disk_write(int fd, uint64_t offset, const void *data, uint64_t size);
/* What was written is on the disk when it returns 0. */
int os_disk_sync(int fd);

#endif
