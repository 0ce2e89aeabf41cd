/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * probes: places that a tracer of the system (perf, bpftrace, SystemTap, gdb) can stop at: a nop each, and a note in the
 * library that says where it is and where its arguments are. Provider "gmem", one probe for each kind of event by the
 * name of the kind in record.h; arguments: result, a, b, c, file (0: the context's). gmem-trace(5) lists
 * them; tests/cmd/probes compares.
 *
 * A tracer adds to the semaphore while it looks, which is the lower half of os_wanted: without one nothing is done but
 * to look at that.
 */
#ifndef GMEM_OBS_PROBES_H
#define GMEM_OBS_PROBES_H

#include <stdint.h>

#include "obs/record.h"

struct obs_told;
void obs_probe(const struct obs_told *t);

#endif
