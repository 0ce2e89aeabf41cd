/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * host: what programs of the model are run against, beside the calls of bench/uapi.h: touching memory that may not
 * be there, and holding pages.
 *
 *	host_libc	a program as any: the kernel's own KVM, or gmem under "gmem run"
 *	host_linked	gmem linked into this program
 *
 * One thread.
 */
#ifndef GMEM_MODEL_HOST_H
#define GMEM_MODEL_HOST_H

#include "bench/uapi.h"
#include "model.h"

struct host {
	const struct uapi *u;
	/* Which kernel gmem answers like; for a host that cannot choose a matter of who started it. */
	int (*start)(const char *profile);
	/* Calls fn: 0, ANSWER_SIGBUS or ANSWER_SIGSEGV. */
	int64_t (*touch)(void (*fn)(void *arg), void *arg);
	/* Holds the page at addr as vmsplice does until unpin: 0 or -errno. */
	int (*pin)(unsigned int pin, void *addr);
	void (*unpin)(unsigned int pin);
};

extern const struct host host_libc, host_linked;

#endif
