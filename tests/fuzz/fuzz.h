/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the fuzz programs share: seeded numbers, slices of time in child processes, limits.
 * They know libc and the KVM interface only, so they run under "gmem run" and on a real kernel.
 *
 *	GMEM_FUZZ_SECONDS  how long in all (15); GMEM_SOAK comes before it
 *	GMEM_FUZZ_SEED     what to repeat (from the clock; always printed)
 *	GMEM_FUZZ_SLICE    run this one slice only, in this process: for a debugger
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <fcntl.h>
#include <gmem/uapi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PG 4096UL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);
/* A number below limit, which is not 0. */
uint64_t rng_below(struct rng *r, uint64_t limit);
/* True once in n. */
bool rng_one_in(struct rng *r, unsigned int n);
void rng_fill(struct rng *r, void *buf, size_t len);

uint64_t now_ms(void);
/* Prints a message with the seed and slice to repeat, and ends the slice as failed. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Ends the program as skipped. */
void skip(const char *why) __attribute__((noreturn));
/* Descriptors open in this process, but for what gmem has one of in each; KiB of memory it has resident. */
unsigned int nr_fds(void);
void list_fds(void); /* on stderr */
long rss_kib(void);

/*
 * Runs slice after slice, each in a child with a seed of its own, until the time is up. A child
 * that dies, fails or takes longer than grace_ms beyond its slice ends the program with status 1.
 */
int fuzz_main(const char *name, unsigned int slice_ms, unsigned int grace_ms,
	      void (*slice)(uint64_t seed, uint64_t until_ms));

#endif
