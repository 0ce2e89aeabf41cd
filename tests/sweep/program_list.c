/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Those that a program can run. */
#include <stdlib.h>
#include <string.h>

#include "world.h"

extern const struct scenario per_vm, in_place, in_place_marked, by_program, by_program_2m, jail,
	early_v5;

const struct uapi *const world_uapi = &uapi_libc;

const struct scenario *const kvm_scenarios[] = {
	&per_vm, &in_place, &in_place_marked, &by_program, &by_program_2m, &jail, &early_v5, NULL,
};

bool world_is_disturbed(void)
{
	const char *words = getenv("GMEM_DEBUG");

	return words && strstr(words, "fail");
}

/* Calls that hold pages are seen. */
void world_may_hold(void)
{
}
