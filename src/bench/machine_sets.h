/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The sets of cases that are measured by the KVM interface (machine.h): gmem, and the kernel beside it. */
#ifndef GMEM_BENCH_MACHINE_SETS_H
#define GMEM_BENCH_MACHINE_SETS_H

#include "bench/bench.h"

extern const struct bench_case bench_attr_cases[];  /* KVM_SET_MEMORY_ATTRIBUTES */
extern const struct bench_case bench_exit_cases[];  /* KVM_RUN and back */
extern const struct bench_case bench_fault_cases[]; /* a guest's first touch */
extern const struct bench_case
	bench_file_uapi_cases[]; /* a guest_memfd's pages, and the host's touch of them */
extern const struct bench_case bench_life_cases[];  /* VMs and guest_memfds: made, kept idle */
extern const struct bench_case bench_loop_cases[];  /* the engine alone */
extern const struct bench_case bench_scale_cases[]; /* what one more costs when there are many */
extern const struct bench_case bench_scale_fault_cases[]; /* faults of several vCPUs at a time */
extern const struct bench_case bench_shootdown_cases[];	  /* conversions while a guest runs */

#endif
