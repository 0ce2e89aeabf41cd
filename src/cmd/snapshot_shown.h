/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* snapshot_shown: what is in a snapshot, for people and for programs. Contents are not read. */
#ifndef GMEM_CMD_SNAPSHOT_SHOWN_H
#define GMEM_CMD_SNAPSHOT_SHOWN_H

/* On stdout; -errno as gmem_snapshot_check(), and nothing is printed. */
int snapshot_show_text(const char *path, int fd);
int snapshot_show_json(int fd);

#endif
