/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * launch: start a program under gmem. `gmem run` becomes the program; features and demo start
 * programs beside themselves.
 *
 * The environment tells the preloaded library what to be: LD_PRELOAD names it, GMEM_PROFILE the
 * kernel to answer like, GMEM_LOG how much to say, GMEM_PAGES what guest_memfds are made of.
 */
#ifndef GMEM_CMD_LAUNCH_H
#define GMEM_CMD_LAUNCH_H

#include <limits.h>
#include <stdbool.h>

struct cmd;

struct launch {
	const char *profile; /* NULL: as GMEM_PROFILE says already, or the default */
	const char *log;     /* NULL: likewise */
	const char *limit;   /* NULL: likewise, of GMEM_LIMIT */
	const char *pages;   /* NULL: likewise, of GMEM_PAGES */
	bool prealloc;	     /* else as GMEM_PREALLOC says */
	bool quiet;	     /* do not say that /dev/kvm is simulated */
};

/* Is the profile, log level or kind of pages none that exists? Complains and returns EXIT_USAGE, else EXIT_OK. */
int launch_check(const struct cmd *cmd, const struct launch *l);

/* What the log level and the kind of pages can be, for completion. */
#define LAUNCH_LOG_WORDS "error warn info why debug"
#define LAUNCH_PAGES_WORDS "4k thp 2m 1g 2m-shared 1g-shared"
/* The names of the profiles, the default first, and the name of the one that will be used. */
#define LAUNCH_LIST_MAX 256
void launch_list_profiles(char list[LAUNCH_LIST_MAX]);
const char *launch_profile(const struct launch *l);

/* Would launch_exec() start it? An exit status, having complained. Of a file that changes meanwhile that will tell. */
int launch_look(const struct cmd *cmd, const char *program);

/* Becomes argv[0] under gmem. Returns only on failure, with an exit status, having complained. */
int launch_exec(const struct cmd *cmd, const struct launch *l, char **argv);

/* The path of a file that is kept beside the command, or is installed in gmem's own folder: where that is from
 * the command, or where it was to be. False when it is in none of them. */
bool launch_find(const char *beside, const char *installed, char path[PATH_MAX]);

#endif
