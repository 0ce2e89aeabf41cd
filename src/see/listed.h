/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * listed: the tables of processes and modules in a region, row by row, as a trace has them. A program can write them
 * at any time: a row is copied once, its texts end, and have nothing that moves a terminal's cursor.
 */
#ifndef GMEM_SEE_LISTED_H
#define GMEM_SEE_LISTED_H

#include <stdbool.h>

#include "obs/region.h"
#include "see/trace.h"

/* How many rows there may be; some at the end may not be filled yet. */
uint32_t see_nr_processes(const struct obs_region *r);
uint32_t see_nr_modules(const struct obs_region *r);
/* False: nothing is there yet. */
bool see_process_read(const struct obs_region *r, uint32_t i, struct trace_process *out);
bool see_module_read(const struct obs_region *r, uint32_t i, struct trace_module *out);

/* The same for rows that come from a file. */
void see_process_clean(struct trace_process *p);
void see_module_clean(struct trace_module *m);

#endif
