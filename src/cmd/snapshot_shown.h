/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* snapshot_shown: what is in a snapshot, for people and for programs, and what is wrong in one. */
#ifndef GMEM_CMD_SNAPSHOT_SHOWN_H
#define GMEM_CMD_SNAPSHOT_SHOWN_H

#include <stdint.h>

/* On stdout; -errno as gmem_snapshot_check(), and nothing is printed. */
int snapshot_show_text(const char *path, int fd);
int snapshot_show_json(int fd);
/* That it is whole, contents too. */
int snapshot_verify(const char *path, int fd);
/* Where in the file is what the last of them failed by, as the end of a line; "": not known. */
const char *snapshot_where(void);
/* A line, where there are such. */
void snapshot_tell_lost(const char *path, uint64_t lost_bytes);

#endif
