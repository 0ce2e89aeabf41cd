/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * pipes: which pages of guest_memfds are in which pipe, as seen by who is told of every vmsplice, splice
 * and tee. A page is pinned from before the call that puts it there until its bytes have been taken out.
 *
 *	        drained          pushed
 *	           v                v
 *	... ┌──────┬──────┬─────────┐         positions count the bytes that we saw being put in
 *	    │ a    │ b    │ (other) │
 *	    └──────┴──────┴─────────┘
 *	           └ in the pipe ───┘
 *
 * What has been taken out nobody tells: drained = pushed - FIONREAD, asked when a conversion looks. Bytes that
 * others put in unseen make FIONREAD larger and drained too low: pages stay pinned longer, at the latest
 * until the pipe is empty. Calls on one pipe that overlap in time have an unknown order: their
 * segments end together.
 *
 * Any thread. A lock of its own, before pins.h's; none is held while the program's call runs.
 */
#ifndef GMEM_MAP_PIPES_H
#define GMEM_MAP_PIPES_H

#include <stdbool.h>
#include <stdint.h>

struct host_file;
struct pipe_push;
struct pipe_pass;

struct pipe_piece {
	struct host_file *file; /* NULL: other memory */
	uint64_t offset, size;
};

/* Before a vmsplice into fd of these, in order. *out NULL: fd is no pipe, the call fails by itself. -ENOMEM:
 * the call must not be made. */
int pipe_push_begin(int fd, const struct pipe_piece *pieces, uint32_t nr, struct pipe_push **out);
/* result: what the call returned. PIPE_RESULT_LOST: it ended unseen. NULL is none. */
#define PIPE_RESULT_LOST INT64_MIN
void pipe_push_end(struct pipe_push *p, int64_t result);

/* Before a splice or tee. *pass NULL: there is nothing to follow. -ENOMEM. Nobody can tell which bytes it will
 * take, since others may take some at the same time: all pages that are in in when it begins, and those that
 * come while it runs, count as being in out as well, until what it took has left out. */
int pipe_pass_begin(int in, int out, struct pipe_pass **pass);
void pipe_pass_end(struct pipe_pass *p, int64_t result);

/* Is there anything in a pipe? No lock. */
bool pipes_any(void);
/* Asks the pipes that have pages of f what is left in them, and drops the pins of the rest. */
void pipes_look(struct host_file *f);
/* Pages of f are followed no more. */
void pipes_forget(struct host_file *f);

void pipes_before_fork(void);
void pipes_after_fork_in_parent(void);
void pipes_after_fork_in_child(void);

#endif
