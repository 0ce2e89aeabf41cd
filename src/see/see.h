/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * see: the reading side of obs/. Regions of programs that run, traces of some that have; all formats. libc is allowed,
 * one thread, used by cmd/ alone.
 *
 *	region	makes the memory that observed processes share with us, or maps that of another observer
 *	drain	takes records out of its ring
 *	sink	who wants them: a trace file, a summary, lint
 *	trace	the file: gmem-trace(5)
 */
#ifndef GMEM_SEE_SEE_H
#define GMEM_SEE_SEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "obs/region.h"

/* ---- regions -------------------------------------------------------------------------------- */

struct see_region {
	struct obs_region *r;
	uint64_t size;
	int fd; /* of ours, CLOEXEC */
};

/* 0 or -errno. nr_records: places in the ring, a power of two. */
int see_region_make(uint32_t nr_records, bool wants_records, struct see_region *out);
/* That of somebody else, by the path of its file, read and written. -EPROTO: not of this version. */
int see_region_open(const char *path, struct see_region *out);
void see_region_close(struct see_region *region);

/* ---- the clock ------------------------------------------------------------------------------- */

struct see_clock {
	uint64_t tsc_khz, tsc, clock_ns, wallclock_ns;
};

struct see_clock see_region_clock(const struct obs_region *r);
/* Since the region was made; below 0 before that. */
int64_t see_clock_ns(const struct see_clock *c, uint64_t tsc);
/* How long so many ticks are. */
uint64_t see_ticks_ns(const struct see_clock *c, uint64_t ticks);

/* ---- sinks ----------------------------------------------------------------------------------- */

/*
 * A function that is NULL is not called. What returns an error (-errno) ends the sink: it has complained, the program
 * runs on. The tables of processes and modules in the region have all that the records refer to.
 */
struct see_sink {
	const char *name;
	void *own;
	bool wants_records;
	bool looks_closer; /* wants what costs more to find out, too */
	int (*records)(void *own, const struct obs_region *r, const struct obs_record *records,
		       size_t nr);
	/* So many are missing before the next records. */
	int (*lost)(void *own, const struct obs_region *r, uint64_t nr);
	/* Some times a second: counters and snapshots may be looked at. */
	int (*snapshot)(void *own, const struct obs_region *r);
	/* The program has ended: as a shell says it. After that nothing is called. */
	int (*end)(void *own, const struct obs_region *r, int status);
	bool failed;
};

#define SEE_MAX_SINKS 8

/* ---- the ring --------------------------------------------------------------------------------- */

/*
 * The program may write anywhere in the region at any time, by mistake or not. So what is needed to find the way is
 * kept here; what the region has in its place is compared, and put right again. Nothing waits or turns for longer
 * than the ring is.
 */
struct see_drain {
	struct obs_region *r;
	uint64_t nr;	      /* places of the ring, as it was made */
	uint64_t tail;	      /* what the region is to say, too */
	uint64_t lost;	      /* the ring's counter when it was looked at last */
	uint64_t given_up;    /* places whose writer did not come back, or that were spoilt */
	uint64_t lost_told;   /* of both together */
	uint64_t nr_lost;     /* both together */
	uint64_t stuck_at;    /* tail that did not move since ... */
	uint64_t stuck_since; /* ns */
	uint64_t stuck_head;  /* what had been given out then */
	uint64_t forsaken;    /* numbers below are not waited for */
	bool is_damaged;      /* somebody wrote what only we, or nobody, may write */
	struct obs_record *copy;
	size_t nr_copy;
	/* The header's constants. */
	unsigned char made[offsetof(struct obs_region, wants_records)];
	/* Records before the sinks have them; may change them. NULL: nothing is to be done. */
	void (*prepare)(void *own, struct obs_region *r, struct obs_record *records, size_t nr);
	void *prepare_own;
};

int see_drain_begin(struct obs_region *r, struct see_drain *d);
/* All that is there now goes to the sinks. now_ns: a clock. final: nobody writes any more, so nothing is waited for.
 * How many records there were. */
size_t see_drain(struct see_drain *d, struct see_sink **sinks, size_t nr_sinks, uint64_t now_ns,
		 bool final);
void see_drain_end(struct see_drain *d);

#endif
