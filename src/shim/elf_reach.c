/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
extern const char gmem_layer_shim[];
const char gmem_layer_shim[] = "shim";
