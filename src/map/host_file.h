/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * host_file: a guest_memfd as one process has it in hand: what its descriptors and host mappings are of.
 *
 *	at home (the process that made it)	in any other process (forked, sent to, exec'ed)
 *
 *	host_file ── gmem_file			host_file ── a place in the home's share (share.h)
 *	    │ last consumer of it		    │ state: a replica of the attribute map,
 *	    │ state: the file's own map		    │ brought up to date by the home before
 *	    │					    │ a conversion returns
 *	    └── windows of host_map.h		    └── windows of host_map.h
 *
 * Requests (convert, punch, allocate, query) are the same everywhere: at home they are calls of core,
 * elsewhere they go home. A file that cannot be converted (no GMEM_FILE_IN_PLACE) has the same life; its
 * mappings never change.
 *
 * Conversion to private, at home, as the last consumer of the file:
 *	prepare   pins.h: a pinned page refuses; nothing was touched
 *	begin     the other processes are told to hide the range, our own windows hide it, the others are
 *		  waited for (bounded; none in time: -EAGAIN, shown again), pins are looked at once more:
 *		  what was pinned between prepare and the hiding is found now, when no new pin can be
 *	end	  aborted: the range is shown again
 * To shared: begin shows the range in our own windows (the guests have let go of it: the host consumer
 * begins last), since that may fail and what follows may not; end tells the others.
 *
 * Locks, outermost first: the program's mapping lock (shim) -> file invalidate -> host_map's own.
 */
#ifndef GMEM_MAP_HOST_FILE_H
#define GMEM_MAP_HOST_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem_file.h"
#include "map/pins.h"

struct host_map;
struct share_link;

struct host_file {
	struct host_map *map;
	_Atomic uint32_t refs;
	uint64_t id;	    /* unique in the home process */
	uint64_t size;	    /* bytes */
	unsigned int flags; /* GMEM_FILE_* */
	int store_fd; /* of this process; -1: the home cannot be reached, everything stays hidden */
	struct attr_map
		*state; /* home: the file's; elsewhere the replica, changed under host_map's lock */
	struct gmem_file *file; /* NULL: the home is elsewhere */
	_Atomic int64_t
		changed_ns; /* when it was last punched or backed: by this process, at home by anybody; 0 */
	struct gmem_consumer consumer;
	struct pins pins;
	struct share_link *link; /* elsewhere: the way home (share.h) */
	bool inherited;		 /* state and store_fd are copies of the parent's, and stay */
	_Atomic bool attached;	 /* elsewhere: state is kept up to date */
	_Atomic bool
		lacking; /* elsewhere: a range that is shared could not be shown; whoever needs it asks again */
	struct host_file *next;	    /* all of this process (host_file.c) */
	struct host_file **link_to; /* what points here */
};

/* Elsewhere: nothing is to be asked for. */
static inline bool host_file_is_loaded(struct host_file *f)
{
	return atomic_load(&f->attached) && !atomic_load(&f->lacking);
}

/* At home: becomes f's consumer and takes a reference on it. -ENOMEM, -EMFILE. */
int host_file_create(struct host_map *m, struct gmem_file *f, struct host_file **out);
/* Elsewhere: name is what stands behind a handle's descriptor ("/memfd:gmem..."). -ENOENT: not a name of
 * ours; -ESTALE: the home is gone; -EACCES: it cannot be reached (other user, other /proc). */
int host_file_adopt(struct host_map *m, const char *name, struct host_file **out);
/* The file of that number of the home that the link leads to. */
int host_file_adopt_number(struct host_map *m, struct share_link *link, uint64_t id,
			   struct host_file **out);
void host_file_get(struct host_file *f);
/* The last one at home takes the consumer off. */
void host_file_put(struct host_file *f);

/* The name for memfd_create() of the handle that the program and other processes hold. At home only. */
#define HOST_FILE_NAME_MAX 96
int host_file_name(struct host_file *f, char name[HOST_FILE_NAME_MAX]);
/* That of the i-th file that will be made here from now on, for memfds made in advance. */
int host_file_next_name(unsigned int i, char name[HOST_FILE_NAME_MAX]);

/* Can a page of it become private or shared? Then its mappings are guarded. */
static inline bool host_file_converts(const struct host_file *f)
{
	return f->flags & GMEM_FILE_IN_PLACE;
}

/*
 * As gmem_file_convert(), gmem_file_punch(), gmem_file_allocate(). Elsewhere also: -EAGAIN: the home did not
 * answer in time, nothing was done and nothing will be; -ENOSPC: it has no place for this process. Of a conversion
 * alone: -EIO: the home, or the file there, is gone (what is private stays so, for good); -EINTR: a signal,
 * nothing was done.
 */
int host_file_convert(struct host_file *f, struct gmem_conversion *c);
int host_file_punch(struct host_file *f, uint64_t offset, uint64_t size);
int host_file_allocate(struct host_file *f, uint64_t offset, uint64_t size);
/* Runs of equal attributes from offset on, at most max of them and none beyond offset + size; while the file stands still
 * (host_file_stop()) also of pages that all have failed, or none. */
struct gmem_run {
	uint64_t offset, size; /* bytes */
	uint32_t attributes, failed;
};
int host_file_query(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		    uint32_t max, uint32_t *nr);

/* Holds the state still (home: the invalidate lock, shared; elsewhere host_map's lock does, and this asks the
 * home for the state where that was not done yet). Before host_map_mmap(), without host_map's lock. */
void host_file_hold(struct host_file *f);
void host_file_let(struct host_file *f);
/* Elsewhere: when it returns, what the home was just having done here is done, and what comes sees pins that were
 * counted before. At home nothing. */
void host_file_await(struct host_file *f);

/*
 * Between these two the file stands still (gmem_file_freeze()), and no call on it but host_file_query(), elsewhere
 * only, may be made by the thread. Elsewhere the home lets it go when it has heard nothing for HOST_FILE_STOP_NS; then host_file_go() says
 * -ETIMEDOUT, and what was read in between may be of several moments. -EFAULT, -EAGAIN, -EIO, -ENOSPC.
 */
#define HOST_FILE_STOP_NS 10000000000
int host_file_stop(struct host_file *f);
int host_file_go(struct host_file *f);
/*
 * In between, elsewhere alone: where the pages are, in runs from offset on, at most max of them, without a gap; inside the file, and
 * size > 0. attributes: HOST_FILE_*. *huge_fd: -1, or from the call before; becomes a descriptor of what is HOST_FILE_HUGE, at the same offsets,
 * when there is any, which is the caller's. As host_file_query(); -EINVAL: it is not stopped.
 */
#define HOST_FILE_PRESENT 1u /* there is something in them */
#define HOST_FILE_HUGE 2u    /* not in store_fd: in the other memfd of a store of two */
int host_file_where(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		    uint32_t max, uint32_t *nr, int *huge_fd);

/* At home: what is shared in the range is in small pages from here on, and elsewhere what is not held (gmem_file_stay_small()); a
 * page of the range that is held is waited for, as long as other processes are. -EAGAIN: it still is; -ENOMEM. Elsewhere it is
 * so. */
int host_file_make_small(struct host_file *f, uint64_t offset, uint64_t size);
/* Some milliseconds at most. False: end_ns (os_clock_ns()) is over. */
bool host_file_wait_a_moment(uint64_t end_ns);

/* How long other processes may take to hide a range, milliseconds; 1000 at first. */
extern _Atomic uint32_t host_file_patience_ms;

#endif
