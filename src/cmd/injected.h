/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* injected: `gmem run --inject`: the rules into the region before the program starts, and what became of them. */
#ifndef GMEM_CMD_INJECTED_H
#define GMEM_CMD_INJECTED_H

#include "cmd/watch.h"

/* rules: a file, or rules themselves (see_inject_source()); seed NULL: 1. An exit status, having complained. */
int injected_begin(struct watch *w, const struct launch *l, const char *rules, const char *seed);
/* Says how often each rule was made, unless quiet. */
void injected_end(const struct watch *w, bool quiet);

#endif
