/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Into the region that the process is attached to: between the files of obs alone. */
#ifndef GMEM_OBS_TELL_H
#define GMEM_OBS_TELL_H

#include "obs/obs.h"

struct obs_told {
	enum obs_event kind;
	uint16_t file; /* 0: the context's */
	uint16_t rule;
	long result;
	uint64_t start; /* 0: it has no length */
	uint64_t a, b, c;
};

/* Those who look without a region: the log, and tracers of the system. */
void obs_tell_others(const struct obs_told *t);
/* The process knows no code any more. */
void obs_forget_code(void);
/* A text, cut at its front when it is too long. */
void obs_copy_end(char *to, size_t size, const char *from);

#endif
