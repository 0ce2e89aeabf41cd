/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Runs instructions on the host CPU with every register as given, for comparison with the soft one.
 * One thread. They must not use RSP, nor branch; the first that fails ends the run.
 */
#ifndef GMEM_TESTS_CPU_NATIVE_H
#define GMEM_TESTS_CPU_NATIVE_H

#include <stdint.h>

#include "cpu/cpu.h"

struct native {
	union cpu_xmm xmm[16];
	uint64_t gpr[16]; /* RSP is the host's */
	uint64_t rflags;
	uint32_t mxcsr, host_mxcsr;
	int vector; /* of the exception that it raised; -1: none */
};

void native_init(void);
/* Copies the instructions, at most 2000 bytes, and runs them. */
void native_run(struct native *n, const uint8_t *bytes, unsigned int len);

#endif
