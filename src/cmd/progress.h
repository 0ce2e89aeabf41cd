/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * progress: how far long work is: a line on stderr that is written again and again, if that is a terminal; else
 * nothing at all. It comes after half a second, and is gone when the work is done.
 *
 * What writes to the same terminal meanwhile calls progress_hide() before.
 */
#ifndef GMEM_CMD_PROGRESS_H
#define GMEM_CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;
	uint64_t total; /* 0: not known */
	uint64_t begun_ms, shown_ms;
	bool is_on, is_shown;
};

void progress_begin(struct progress *p, const char *what, uint64_t total);
/* As often as one likes. name: what is done now; NULL: nothing is said of it. */
void progress_at(struct progress *p, uint64_t done, const char *name);
void progress_hide(struct progress *p);
void progress_end(struct progress *p);

#endif
