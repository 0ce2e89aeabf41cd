/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* map_files: gmem map, as a list: the guest_memfds of a running process, and what their pages are. */
#ifndef GMEM_CMD_MAP_FILES_H
#define GMEM_CMD_MAP_FILES_H

#include <stdbool.h>
#include <stdint.h>

struct cmd;

struct map_files_style {
	bool json, totals;
};

/* MAP_ALL_FILES or one of them. An exit status, having complained. */
#define MAP_ALL_FILES UINT64_MAX
int map_files(const struct cmd *cmd, int pid, uint64_t id, const struct map_files_style *style);

#endif
