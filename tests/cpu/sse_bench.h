/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The SSE half of the soft CPU on a bench: the real decoder and handlers, but memory is the host's (a
 * linear address is a host pointer), and an exception only remembers its vector. Nothing of the run loop,
 * paging and delivery takes part. One thread.
 */
#ifndef GMEM_TESTS_CPU_SSE_BENCH_H
#define GMEM_TESTS_CPU_SSE_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/soft/decode.h"
#include "cpu/soft/soft.h"

#define NO_VECTOR (-1)

struct bench {
	struct soft c;
	struct insn insn;
	bool claimed; /* a file implements the instruction */
	int vector;   /* of the exception it raised, or NO_VECTOR */
	uint32_t error;
	/* Accesses in here raise #PF with nothing changed. */
	uint64_t bad_from, bad_to;
};

extern struct bench bench;

/* 64-bit code, SSE allowed, registers zero. */
void bench_reset(void);
/* False when the bytes are no instruction or nobody implements them. */
bool bench_decode(const uint8_t *bytes, unsigned int len);
/* Runs what was decoded. */
void bench_exec(void);

#endif
