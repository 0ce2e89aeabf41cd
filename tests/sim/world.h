/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The world of a scenario: one mmu with memslots, guest_memfds with a host beside them, guests, and what is known
 * of all of it beyond what the objects say themselves. Made anew for every schedule.
 *
 * Three things judge a schedule:
 *
 * 1. Walkers (walk.c), each time another fibre goes on. What a page is, is what slots and attribute maps say;
 *    every leaf of the nested tables, every translation a vCPU can use and every page a host has mapped must agree
 *    with that, and there are none of what lies in a bracket. They take no lock: what is under a lock that
 *    somebody holds is left alone until it is free.
 * 2. Contents. Every page has one word whose value is known, by place: written with a value never used before,
 *    it reads as that; punched, it reads as zero; converted, it stays.
 * 3. The asserts and checks of the objects (mmu_check, gmem_file_check, attr_map_check) when all is over, and
 *    what is left in os/ after teardown.
 */
#ifndef GMEM_TESTS_SIM_WORLD_H
#define GMEM_TESTS_SIM_WORLD_H

#include "core/gmem_file.h"
#include "mmu/memslot.h"
#include "mmu/mmu.h"
#include "os/sim/sim.h"

#define PAGE ((uint64_t)OS_PAGE_SIZE)
#define BASE ((uint64_t)0x40000) /* gfn of the first page: 1 GiB */
#define FAR ((uint64_t)0x80000)	 /* of another place */
#define NR_PAGES 12u		 /* whose contents are known, of memory and of each file */
#define NR_FILES 2u
#define NR_GUESTS 3u
#define NR_WATCHED 4u
#define NR_REMAPPERS 2u

/* ---- contents ---------------------------------------------------------------------------------- */

/* The word of a page of memory or of a file, and what it must read as. Others may be somebody's own. */
#define KNOWN_AT 48u /* where in the page */
struct page {
	uint64_t value;
	bool copied; /* by a dirty logger, as it is now */
};

/* ---- guests (guest.c) -------------------------------------------------------------------------- */

#define GUEST_TLB 4u

/* A vCPU as an engine drives it, without instructions: it enters, polls, keeps translations, reads and writes
 * through host pointers, and leaves to fault. */
struct guest {
	const char *name;
	struct mmu_vcpu *v;
	bool inside;
	bool live; /* inside, and has looked at the requests since it entered: may use what it has cached */
	struct {
		uint64_t gfn;
		uint8_t *host; /* NULL: empty */
		bool writable;
	} tlb[GUEST_TLB];
	struct mmu_fault_info info; /* of the last fault */
};

void guest_make(struct guest *g, const char *name);
void guest_unmake(struct guest *g);
void guest_enter(struct guest *g);
void guest_leave(struct guest *g);
/* Between two blocks: looks at the requests. */
void guest_poll(struct guest *g);
/* One access by a guest that is inside, as a block of its own; faults until it is done or is an exit. */
enum mmu_fault_result guest_access(struct guest *g, uint64_t gfn, bool write);

/* ---- the host (host.c) ------------------------------------------------------------------------- */

/* The host side of a file, as one process would have it: the last consumer. Keeps the file's bracket, too. */
struct host {
	struct gmem_consumer consumer;
	struct gmem_file *file;
	bool mapped[NR_PAGES];
	unsigned int intents[NR_PAGES]; /* pins that are, and that are being made */
	unsigned int pins[NR_PAGES];
	unsigned int discards[NR_PAGES];
	bool refuses;	    /* pins refuse; else a host without pins */
	bool blind;	    /* what is punched is not looked at, which would back it */
	bool fails_begin;   /* the next begin is refused for want of memory */
	bool (*slow)(void); /* begin waits for it */
	/* The bracket that is open: which pages of it change. */
	bool open;
	enum gmem_change_kind kind;
	bool changes[NR_PAGES];
	uint64_t generation;
};

/* An access through a mapping of the file: false, SIGBUS. */
bool host_access(struct host *h, unsigned int page, bool write);
/* As a call that pins: false, EFAULT. What is pinned is accessed without the mapping until it is let go. */
struct host_pin {
	unsigned int page, discards;
};
bool host_pin(struct host *h, unsigned int page, struct host_pin *pin);
void host_access_pinned(struct host *h, const struct host_pin *pin, bool write);
void host_unpin(struct host *h, const struct host_pin *pin);

/* ---- the world (world.c) ----------------------------------------------------------------------- */

struct world_file {
	struct gmem_file *file; /* NULL: none, or its last count is gone */
	unsigned int refs;	/* descriptors, and calls on them that are under way */
	bool released;
	struct host host;
	struct page pages[NR_PAGES];
};

struct world {
	struct mmu *mmu;
	struct os_mutex slots; /* the VM's slots lock */
	uint8_t *memory;       /* of the program */
	int memory_fd;	       /* -1: none */
	struct page pages[NR_PAGES];
	struct world_file files[NR_FILES];
	struct guest guests[NR_GUESTS];
	unsigned int nr_guests, nr_actors;
	struct {
		uint64_t gfn, nr;
	} watched[NR_WATCHED];
	uint64_t next_value;
	/* Changes of memory by its program: the brackets that are open, addresses. */
	struct {
		uint64_t start, end;
	} hva_open[NR_REMAPPERS];
	unsigned int nr_clearing; /* dirty loggers that are taking a log */
	bool logged; /* every page of memory is either as it was copied, or in the log: from now on */
};
extern struct world world;

/* In setup. Walkers watch NR_PAGES from BASE on; world_watch() adds more. */
void world_make(bool has_private);
/* With memory that the engine's accesses are points in. */
void world_make_mapped(bool has_private);
void world_watch(uint64_t gfn, uint64_t nr);
/* flags: GMEM_FILE_*; nr pages, which may be more than NR_PAGES. It is open once. */
struct world_file *world_file(unsigned int flags, uint64_t nr);
struct guest *world_guest(const char *name);
/* In teardown. */
void world_unmake(void);

/* The slots lock is the caller's business. first: of the memory; file may be NULL. */
void world_slot(uint32_t id, uint64_t gfn, uint64_t nr, unsigned int first, uint32_t flags,
		struct gmem_file *file, uint64_t file_first);
struct memslot *world_find(uint32_t id);
/* As a call on a descriptor: false when that is closed. The last to let go releases the file, which takes the slots
 * lock. */
bool world_hold(struct world_file *f);
void world_let(struct world_file *f);

/* Where a byte of a file is; NULL: nobody has asked yet. Makes no window, and takes no lock. */
uint8_t *world_address(struct gmem_file *file, uint64_t offset);
/* The page at a host address; NULL: not one whose contents are known. */
struct page *world_page_at(const uint8_t *host);
/* One access to the word of the page at a host address, by who may. */
void world_read(const char *who, const uint8_t *host);
void world_write(const char *who, uint8_t *host);

/* ---- walkers (walk.c) -------------------------------------------------------------------------- */

void walk_at_switch(void *unused);
/* For timelines. */
void walk_name(void);
/* For engines' caches: a translation that can be used. The mmu lock is free. */
void walk_cached(const char *who, uint64_t gfn, const uint8_t *host, bool writable);
/* By a fibre that is about to access. */
void walk_use(const char *who, uint64_t gfn, const uint8_t *host, bool write);
/* Shootdowns that sleep, or are about to, for this vCPU. */
uint32_t walk_waiters(struct mmu_vcpu *v);
/* A shootdown is about to look for the last time before it sleeps. */
bool walk_gives_up(struct mmu_vcpu *v);
/* Has the attribute map no change half done? */
bool walk_is_even(struct attr_map *map);

#endif
