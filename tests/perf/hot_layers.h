/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The paths of the layers, which are linked in; a table a file. */
#ifndef GMEM_TESTS_PERF_HOT_LAYERS_H
#define GMEM_TESTS_PERF_HOT_LAYERS_H

#include <stddef.h>

#include "hot.h"

extern const struct hot_path hot_map_paths[], hot_mmu_paths[], hot_guest_paths[];

#endif
