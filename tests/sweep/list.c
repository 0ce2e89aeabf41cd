/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "scenario.h"

extern const struct scenario per_vm, per_vm_thp, per_vm_2m, in_place, in_place_marked, in_place_thp,
	in_place_2m, windows_2m, windows_2m_loose, busy, held;

const struct scenario *const kvm_scenarios[] = {
	&per_vm,	   &per_vm_thp,	  &per_vm_2m,	&in_place,
	&in_place_marked,  &in_place_thp, &in_place_2m, &windows_2m,
	&windows_2m_loose, &busy,	  &held,	NULL,
};
