/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * fork: what gmem does around the making of a process, whichever way it is made.
 *
 *	fork()          handlers of atfork, ours innermost: no other thread holds a lock of gmem
 *	_Fork, clone    the same, around the call
 *	vfork, clone(CLONE_VM), posix_spawn
 *	                the child uses the parent's memory until it execs: descriptors that may
 *	                live on in it are armed (handle.h), and in it nothing in memory changes
 */
#ifndef GMEM_SHIM_FORK_H
#define GMEM_SHIM_FORK_H

void fork_init(void);

void fork_before(void);
void fork_in_parent(void);
void fork_in_child(void);

/* Before a child that shares our memory is made. */
void fork_before_vfork(void);

#endif
