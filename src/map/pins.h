/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * pins: who of this process holds pages of a file so that they cannot become private now.
 *
 *	pin_intend()	before the call that pins (vmsplice, ...): counted, so that a conversion which
 *			looks afterwards sees it. No lock is held while the call runs, it may block.
 *	pin_settle()	after the call: what it really took
 *	pin_drop()
 *
 * A conversion looks twice: in prepare, where a pin refuses before anything was touched, and once the
 * range is hidden from every mapping, when no new pin is possible. An intent that is counted between the two
 * looks either finds the pages hidden (EFAULT) or is found by the second look.
 *
 * What cannot be seen to pin (O_DIRECT, io_uring, AIO, a zero-copy send) is found where the process may
 * look at the reference counts of pages (os/page_refs.h), once pins_say_unseen() was called.
 *
 * Any thread; a lock of its own, the last but for os_alloc's.
 */
#ifndef GMEM_MAP_PINS_H
#define GMEM_MAP_PINS_H

#include <stdbool.h>
#include <stdint.h>

struct host_file;
struct pin;

struct pins { /* of one host_file; all zero: none */
	struct pin *list;
	_Atomic uint32_t
		nr; /* intents too; also shown to the home, by who has the file from elsewhere */
};

/* [offset, offset + size) of f, bytes, size > 0. -ENOMEM: then the call must not be made. f is not kept
 * alive: pins_release() when it goes. */
int pin_intend(struct host_file *f, uint64_t offset, uint64_t size, struct pin **out);
/* The first size bytes were taken, the rest was not; 0: none, and the pin is gone. */
void pin_settle(struct pin *p, uint64_t size);
/* The first size bytes are let go of, less than all there are. */
void pin_advance(struct pin *p, uint64_t size);
void pin_drop(struct pin *p);
/* A second pin on [from, from + size) of what p pins; what is beyond its end now is left out. */
int pin_copy(struct pin *p, uint64_t from, uint64_t size, struct pin **out);
/* Do both pin the same bytes? */
bool pin_same(struct pin *a, struct pin *b);

/*
 * Every pinned range in [offset, offset + size) is told to refuse(arg, offset, size), rounded to pages, in
 * order, joined where they touch; how many. Pins that end by themselves (a drained pipe) are looked up and
 * dropped here. refuse must not call back. Under the file's invalidate lock, or it is old when it is known.
 */
uint64_t pins_check(struct host_file *f, uint64_t offset, uint64_t size,
		    void (*refuse)(void *arg, uint64_t offset, uint64_t size), void *arg);

/* The first half of pins_check(): drops the pins in the range that have ended by themselves, for which pipes are looked at. Are there
 * any? */
bool pins_refresh(struct host_file *f, uint64_t offset, uint64_t size);
/* The second half: whether any page of the range may be pinned; references are counted whether there was a sign or not, and what cannot be
 * counted is. No system call of it waits for anybody. At home. */
bool pins_may_be_any(struct host_file *f, uint64_t offset, uint64_t size);

/* As pins_check() for all of f, but for those that nobody told us of: what is there, for who only looks. Any time. */
void pins_told(struct host_file *f, void (*fn)(void *arg, uint64_t offset, uint64_t size),
	       void *arg);

/* How many pins there are on files that l leads to, for fn: none comes or goes meanwhile. */
struct share_link;
void pins_count(struct share_link *l, void (*fn)(struct share_link *l, uint32_t nr));

/* f goes: nothing is pinned of it, and who still drops a pin does nothing. */
void pins_release(struct host_file *f);

/* From now on the process may pin pages in ways that pin_intend() is not told of. */
void pins_say_unseen(void);
bool pins_unseen_possible(void);
/* Are pins of that kind found? Opens what is needed at the first call; no more once a filter of system calls
 * is in place. */
bool pins_are_exact(void);

/* Around a fork. A child has no pins: its parent holds what was in the pipes. */
void pins_before_fork(void);
void pins_after_fork_in_parent(void);
void pins_after_fork_in_child(void);

#endif
