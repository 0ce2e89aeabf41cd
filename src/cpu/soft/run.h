/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* run: the run loop's entry. Private to src/cpu/soft; the vCPU's thread, outside. */
#ifndef GMEM_CPU_SOFT_RUN_H
#define GMEM_CPU_SOFT_RUN_H

#include "cpu/soft/soft.h"

void run_guest(struct soft *c, uint64_t budget, struct cpu_exit *exit);

/* Guest virtual to guest physical with the state as it is; 0, -EFAULT. */
int run_translate(struct soft *c, uint64_t gva, uint64_t *gpa);

#endif
