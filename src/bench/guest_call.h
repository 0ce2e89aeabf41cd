/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the guests of the bench do to memory and ports: functions in assembly that run in 64-bit mode wherever they
 * are copied to (guest_loops.h has the loops that are about the engine alone). Arguments are in the registers of the
 * x86-64 calling convention; the address of GUEST_EXIT is on the stack, so that a vCPU that is done stands at a HLT.
 */
#ifndef GMEM_BENCH_GUEST_CALL_H
#define GMEM_BENCH_GUEST_CALL_H

#include <stdint.h>

enum guest_function {
	GUEST_EXIT,  /* HLT */
	GUEST_WRITE, /* (at, nr, step): writes a word at each step */
	GUEST_READ,  /* the same, reading */
	GUEST_OUT,   /* (nr): OUT to a port */
	GUEST_WRITE_UNTIL, /* (at, stop): writes how often it has to *at and to stop[1], until stop[0] is not 0 */
	GUEST_NR_FUNCTIONS,
};

/* Offsets in the image, by number. */
extern const uint32_t guest_offsets[GUEST_NR_FUNCTIONS];
extern const uint8_t guest_image[], guest_image_end[];

#endif
