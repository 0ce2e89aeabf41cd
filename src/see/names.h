/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What numbers in records are called. NULL: it has no name. */
#ifndef GMEM_SEE_NAMES_H
#define GMEM_SEE_NAMES_H

#include <stddef.h>

#include "obs/record.h"

struct see_kind {
	const char *name;
	const char *argument[3]; /* "" is nothing */
};
const struct see_kind *see_kind(unsigned int kind);
/* OBS_NR_EVENTS: there is none. Spaces may be written as '-'. */
unsigned int see_kind_by_name(const char *name);
const char *see_request(uint64_t request);
const char *see_exit(uint64_t reason);
/* "EAGAIN" of -EAGAIN. */
const char *see_errno(int result);
const char *see_rule(unsigned int rule);
const char *see_rule_text(unsigned int rule);
const char *see_discard(uint64_t call);
/* Of OBS_CALL: "madvise"; and what it was asked how: "PUNCH_HOLE|KEEP_SIZE", "rw- SHARED"; empty: nothing. */
const char *see_call(uint64_t call);
void see_call_how(uint64_t call, char *text, size_t size);

#endif
