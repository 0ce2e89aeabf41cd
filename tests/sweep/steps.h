/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Steps that more than one scenario has. */
#ifndef GMEM_TESTS_SWEEP_STEPS_H
#define GMEM_TESTS_SWEEP_STEPS_H

#include "world.h"

int step_open(struct world *w);
int step_vm(struct world *w);
int step_vcpu(struct world *w);
int step_second_vcpu(struct world *w);
int step_map_run(struct world *w);
int step_ram(struct world *w);
int step_close_vcpu(struct world *w);

/* What every VM that runs a guest begins with. */
#define STEPS_TO_RUN                                                     \
	{ "open", step_open }, { "vm", step_vm }, { "vcpu", step_vcpu }, \
		{ "map run", step_map_run },                             \
	{                                                                \
		"ram", step_ram                                          \
	}

/* The host cannot map it; or it converts in place. */
int step_file(struct world *w);
int step_shared_file(struct world *w);
int step_close_file(struct world *w);
/* Window 0 is all of the file, with something in every 50th page, window 1 a part. */
int step_map_all(struct world *w);
int step_map_part(struct world *w);
/* The file's slot, behind it window 0, or what there is instead. */
int step_bind(struct world *w);
int step_unbind(struct world *w);
int step_punch(struct world *w);
int step_allocate(struct world *w);

/* Pages of the file, in place. */
#define CONVERT(name, first, nr, is_private)                    \
	static int name(struct world *w)                        \
	{                                                       \
		return world_convert(w, first, nr, is_private); \
	}
/* The same by guest address. */
#define SET_PRIVATE(name, first, nr, is_private)                                  \
	static int name(struct world *w)                                          \
	{                                                                         \
		return world_set_private(w, BASE + (first)*PAGE, nr, is_private); \
	}
#define GUEST_WRITES(name, page, value)                             \
	static int name(struct world *w)                            \
	{                                                           \
		return guest_write(w, BASE + (page)*PAGE, (value)); \
	}
#define PUNCH(name, first, nr)                              \
	static int name(struct world *w)                    \
	{                                                   \
		return world_fallocate(w, true, first, nr); \
	}

#endif
