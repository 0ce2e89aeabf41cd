/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "hot_layers.h"

const struct hot_path *const hot_tables[] = { hot_map_paths, hot_mmu_paths, hot_guest_paths, NULL };
