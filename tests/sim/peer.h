/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Another process that has the guest_memfd of kvm_world.h, inside this one. Home and peer know of each other what is in
 * the share, and nothing else: so a link of our own to our own share, with a description of its own (whose lock says
 * that the peer lives), a registry of mappings of its own and the replica that the home fills is what another process
 * would be. Both sides are the real ones; messages wait in the share for as long as the schedule likes.
 *
 * A fork is the real one up to the copy of the process, which is one of what a child goes on with: its place, and the
 * state. What is not: what a child does with the rest of what it has copied, and the death of the home.
 */
#ifndef GMEM_TESTS_SIM_PEER_H
#define GMEM_TESTS_SIM_PEER_H

#include "kvm_world.h"
#include "map/share_layout.h"

struct peer {
	struct share_link *link;
	struct host_map *map;
	struct host_file *file;
	uint64_t window; /* 0: none now */
	bool dead;
};

/* In setup, after kw_make(); also by an actor. It joins, has the file and a window of it. */
void peer_make(struct peer *p);
/* In teardown, dead or alive. */
void peer_unmake(struct peer *p);
/* Until it has done what it was told, and knows all. */
void peer_settle(struct peer *p);

uint64_t peer_map(struct peer *p);
void peer_unmap(struct peer *p, uint64_t at);
int peer_convert(struct peer *p, uint64_t page, uint64_t nr, bool is_private);

/* SIGKILL, in the middle of whatever its thread does, unless that holds what in truth would be another process's. */
void peer_kill(struct peer *p);

/* In setup: one that has the file, and is nobody yet. */
void peer_make_unborn(struct peer *child);
/* Forks parent, NULL: the home. The child has what its parent knows, and a place; peer_is_born() is what it does first. */
void peer_fork(struct peer *parent, struct peer *child);
void peer_is_born(struct peer *child);

/* The file of the home; counted by nobody: it is open. */
struct host_file *peer_home_file(void);

#endif
