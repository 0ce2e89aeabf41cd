/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Keeps this folder a library until its first real file is here. */
extern const char gmem_layer_cpu_soft[];
const char gmem_layer_cpu_soft[] = "cpu_soft";
