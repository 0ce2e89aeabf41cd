/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Actors: what somebody does beside the others, in a scenario that says who. Each is a function for sim_spawn() with
 * a struct actor; what it does next is asked of the search (sim_choose), with the plainest choice first.
 */
#ifndef GMEM_TESTS_SIM_ACTORS_H
#define GMEM_TESTS_SIM_ACTORS_H

#include "world.h"

struct actor {
	struct world_file *file;
	struct guest *guest;
	unsigned int first, nr; /* the pages it is about */
	unsigned int turns;	/* 0: one */
	uint32_t slot;
	bool whole; /* always all of the pages, and not some of them */
	bool sole;  /* nobody else changes what they are */
};

/* Starts one. The actor is copied; at most 8 a schedule. */
void act(const char *name, void (*fn)(void *), struct actor a);

/* ---- guests ------------------------------------------------------------------------------------ */

/* Reads and writes pages; an exit is none of its business. */
void guest_runs(void *arg);
/* Writes the first page and reads it, once each: the least there is. */
void guest_touches(void *arg);
/* As guest_touches, entering and leaving each time. */
void guest_restless(void *arg);
/* KVM_PRE_FAULT_MEMORY of its pages, by a vCPU that does not run. */
void prefaulter(void *arg);

/* ---- the VM ------------------------------------------------------------------------------------ */

/* Attributes by gfn: private, then shared. */
void gfn_converter(void *arg);
/* The slot goes and comes back. */
void slot_changer(void *arg);
/* The slot goes FAR away and comes back. */
void slot_mover(void *arg);
/* The slot's dirty log is switched on and off. */
void log_switcher(void *arg);
/* As a live migration: takes the log and copies what it tells. */
void dirty_logger(void *arg);
/* Memory of the program is mapped anew, with other contents. slot: 0 or 1, which remapper. */
void remapper(void *arg);
/* The program writes its memory, whatever the guest does. */
void program(void *arg);

/* ---- the file ---------------------------------------------------------------------------------- */

/* In place: what pages are not at first, then what they were; all or nothing, whoever refuses. */
void converter(void *arg);
void puncher(void *arg);
void allocator(void *arg);
/* The last descriptor is closed. */
void closer(void *arg);
/* A consumer that comes and goes: hears of a change from its begin on or not at all. */
void visitor(void *arg);
/* The host reads and writes. */
void host_runs(void *arg);
/* The host pins a page, for I/O that lasts. */
void pinner(void *arg);
/* Looks whether its pages are uniform, without a lock: which they always are. */
void observer(void *arg);

#endif
