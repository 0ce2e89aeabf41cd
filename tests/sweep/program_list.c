/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Those that a program can run. */
#include "world.h"

extern const struct scenario per_vm, in_place, in_place_marked, by_program, jail, early_v5;

const struct uapi *const world_uapi = &uapi_libc;

const struct scenario *const kvm_scenarios[] = {
	&per_vm, &in_place, &in_place_marked, &by_program, &jail, &early_v5, NULL,
};
