/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * observed: this library in a program that is observed (gmem run --trace and its like): its calls are requests of a
 * process of its own in the region, beside the one that uses /dev/kvm. Unobserved a call is one load and a branch more.
 */
#ifndef GMEM_LIB_OBSERVED_H
#define GMEM_LIB_OBSERVED_H

/* Before anything that makes or opens a file: once, from any thread. Never in a program with more rights than who
 * started it. */
void lib_observe(void);

#endif
