/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * paths: what exists for speed alone can be turned off, and what is chosen by circumstances be chosen always,
 * so that tests can hold the answers of both against each other. GMEM_DEBUG in the environment says it:
 *
 *	slow			every fast path is off
 *	fast			every choice falls on the fast path
 *	slow-tlb,fast-huge	one by one; the last word on a path counts
 *	fail=17			calls of os that fail: fail.h
 *
 * Read once, before main(); constant from then on. No answer may depend on it.
 */
#ifndef GMEM_OS_PATHS_H
#define GMEM_OS_PATHS_H

#include <stdbool.h>
#include <stdint.h>

enum os_path {
	OS_PATH_TLB, /* cpu/soft: translations are kept; off: the guest's tables are walked at every access */
	OS_PATH_BLOCKS, /* cpu/soft: decoded blocks are kept */
	OS_PATH_CHAIN,	/* cpu/soft: from block to block without a search */
	OS_PATH_FUSE, /* cpu/soft: several instructions in one handler; always: also where it does not pay */
	OS_PATH_FLAGS,	  /* cpu/soft: arithmetic flags are computed when asked for */
	OS_PATH_HANDLERS, /* cpu/soft: 64-bit code by handlers that call each other */
	OS_PATH_MXCSR, /* cpu/soft: the guest's MXCSR stays in the processor while the guest runs */
	OS_PATH_LEAVES, /* mmu: a fault maps more than its 4 KiB: larger leaves, or runs */
	OS_PATH_HUGE, /* core: huge pages behind a store that allows them; always: from the first touch on */
	OS_PATH_MARKS, /* map: markers; off: overlays alone; always: also where there is room for overlays */
	OS_PATH_BATCH, /* map, core: neighbours in one system call */
	OS_PATH_FDS,   /* shim: what a number means is remembered between calls */
	OS_PATH_NR,
};

extern uint32_t os_paths_off, os_paths_always; /* a bit each */

static inline bool os_path_off(enum os_path path)
{
	return __builtin_expect(os_paths_off >> path & 1, 0);
}

static inline bool os_path_always(enum os_path path)
{
	return __builtin_expect(os_paths_always >> path & 1, 0);
}

/* As GMEM_DEBUG says. -EINVAL: a word is unknown; the others count. NULL: nothing. */
int os_paths_set(const char *words);

#endif
