/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What all of <gmem.h> needs, and why a call was refused. Programs include <gmem.h>; see there. */
#ifndef GMEM_BASE_H
#define GMEM_BASE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GMEM_API __attribute__((visibility("default")))
#else
#define GMEM_API
#endif

#define GMEM_VERSION_MAJOR 0
#define GMEM_VERSION_MINOR 3

/*
 * The version of the library that runs: major << 16 | minor. GMEM_VERSION_* are those of this
 * header. Callable before anything else, async-signal-safe.
 *	[any thread, signal handlers too; since 0.2]
 */
GMEM_API uint32_t gmem_version(void);

#define GMEM_PAGE_SIZE 4096u

/* The page is the guest's alone. KVM_MEMORY_ATTRIBUTE_PRIVATE, the only bit there is (6.8). */
#define GMEM_ATTRIBUTE_PRIVATE 8u

/* One guest memory, as this process has it in hand. */
struct gmem;

/* ---- why -------------------------------------------------------------------------------------- */

struct gmem_refusal {
	uint32_t args_size; /* sizeof(struct gmem_refusal) */
	int32_t error;	    /* the negative errno that the call returned */
	/* Stable, for programs: "LIB_RANGE_PAST_END"; gmem explain RULE tells all. */
	const char *rule;
	const char *reason; /* one sentence for people */
	/* Which kernels have it: "any", "6.8", "gmem", "in " and profiles. 0.3 */
	const char *since;
	const char *advice; /* what is checked, and what to do about it. 0.3 */
};

/*
 * Which rule refused the calling thread's last call that failed. args_size is read; as much as it has room for
 * is filled in; the texts are there for good. Calls that succeed leave it as it is: ask after one that failed,
 * and compare error. Takes no lock; a signal handler may call it. gmem.
 *	-ENOENT	 nothing was refused yet in this thread
 *	[any thread, signal handlers too; since 0.2]
 */
GMEM_API int gmem_last_refusal(struct gmem_refusal *refusal);

/*
 * The same of a rule by its name. error is 0 of a rule that stands for several. args_size is read, and the texts
 * are there for good.
 *	-ENOENT	 there is no such rule
 *	[any thread, signal handlers too; since 0.3]
 */
GMEM_API int gmem_explain(const char *rule, struct gmem_refusal *refusal);

/*
 * What the result of a function of this library means, in a few words that are there for good; errno's numbers as
 * negative ones. For a program that has nothing but the number: gmem_last_refusal() knows more.
 *	[any thread, signal handlers too; since 0.3]
 */
GMEM_API const char *gmem_strerror(int error);

/* ---- waiting ------------------------------------------------------------------------------- */

/*
 * Makes the library call that this thread is in, if it is in one that can be interrupted (a
 * conversion, anything that waits for another process), return -EINTR soon; for signal handlers.
 * Async-signal-safe. No effect outside of a call, or on one that is past the point where nothing
 * has changed.
 *	[any thread, signal handlers too; since 0.2]
 */
GMEM_API void gmem_interrupt(void);

/*
 * How long other processes may take to hide a range, in milliseconds: 1000 at first, 1 to 3600000;
 * of this process, for all files. The home has twice as long to answer, since it may have to wait
 * for others itself. A process that is dead is never waited for. gmem_patience() is
 * async-signal-safe.
 *	-ERANGE	 outside 1 .. 3600000
 *	[any thread, signal handlers too; since 0.2]
 */
GMEM_API int gmem_set_patience(uint32_t milliseconds);
GMEM_API uint32_t gmem_patience(void);

#ifdef __cplusplus
}
#endif

#endif
