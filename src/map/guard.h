/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * guard: what hides private pages in the windows of the program, so that an access is SIGBUS (BUS_ADRERR, exact
 * address) and a system call's EFAULT, while the contents stay in the store. Two ways:
 *
 *	overlaid	an empty file is mapped over the run, at the file offset of what it covers. Atomic, and
 *			one call for a range of any size, but a lone page costs two mappings of a process that
 *			may have 65530.
 *	marked		the page is dropped and a mark put in its place (os/window.h): no mapping, but a call
 *			that may have to be repeated when somebody touches the page in between, a page table
 *			entry each, and a userfaultfd, which not every process may have.
 *
 *	window	   [ store | empty | store                       | empty    ]	mappings
 *	              .       .       .  m  m  m  .  m  .  m  .                  marks
 *
 * Runs are overlaid until the windows of the process have cost it so many mappings that others would come
 * short; from then on small ones are marked, and large ones still overlaid up to a second limit. A page that is
 * to be shown in the middle of an overlay when there is no mapping left for that has the 2 MiB around
 * it made again with marks, aside, and moved over the old in one call. Where marks are refused, hiding ends
 * with -ENOMEM. What the process itself keeps from us (its mappings, RLIMIT_AS) does the same.
 *
 * A window that is watched has marks, or had; it is let go of when it has none and there is room again.
 *
 * What is overlaid and what is marked is known by address, for the whole process, so that a window that is cut,
 * protected in part or joined takes it along.
 *
 * All under the registry's lock, but for guard_is_hidden().
 */
#ifndef GMEM_MAP_GUARD_H
#define GMEM_MAP_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/store.h"
#include "map/guard_pages.h"

/* A mapping as the program sees it: one range, one way it was mapped, protected, locked and advised. */
struct guard_window {
	uint64_t addr, size;
	uint64_t offset; /* in the store, of addr */
	int store_fd;	 /* -1: out of reach, all is hidden */
	struct store
		*blocks; /* whose huge ones are mapped from elsewhere; NULL: all are of store_fd */
	int prot;
	int pkey;	/* -1: none was given */
	int lock;	/* GUARD_* */
	uint8_t advice; /* bits of guard_advice_bit() */
	bool watched;
	bool barred; /* nothing but its protection hides what is private: that must not change any more */
};
enum { GUARD_UNLOCKED, GUARD_LOCKED, GUARD_LOCKED_ON_FAULT };

#define GUARD_BALLAST 24

struct guard {
	int empty_fd; /* -1: not made */
	int marks_fd; /* -1: not open */
	bool marks_refused;
	bool marks_first; /* OS_PATH_MARKS always: what can be marked is not overlaid */
	bool piecemeal;	  /* OS_PATH_BATCH off: a call for each page */
	bool no_new_fds;  /* a filter may kill for it */
	struct guard_pages *pages;
	uint64_t nr_mappings;	     /* that the windows are made of */
	uint64_t limit, large_limit; /* of those, for runs below and from 2 MiB */
	uint64_t nr_huge;	 /* at most so many more, by what is huge: such join with nothing */
	unsigned int not_looked; /* since then */
	uint64_t ballast[GUARD_BALLAST]; /* mappings held to be let go of when none is to be had */
	unsigned int nr_ballast;
};

int guard_init(struct guard *g);
/* The same for the one guard that is never destroyed: cannot fail. */
void guard_init_of_process(struct guard *g);
void guard_destroy(struct guard *g);
/* Makes what the first window needs: the empty file. -ENOMEM, -EMFILE. */
int guard_ready(struct guard *g);
/* The only chance of a process that will be kept from making descriptors: opens what there is, and
 * nothing later. May be called again when it fails. */
int guard_last_call(struct guard *g);
/* In a forked child: nothing is hidden that it knows of, and no window counted. */
void guard_forked(struct guard *g);

/* A window is there, all of it just mapped from the empty file, or is about to go. -ENOMEM. */
int guard_add(struct guard *g, struct guard_window *w);
/* Is mapped no more, or by others. Mappings are counted by guard_count(). */
void guard_clear(struct guard *g, uint64_t addr, uint64_t size);
/* The mappings a window is made of. */
uint64_t guard_count(struct guard *g, const struct guard_window *w);

/*
 * [addr, addr + size) inside w. hide: 0; -ENOMEM or what the kernel said: a part may be hidden, none that was
 * hidden is open, and the caller shows again what must not be. show: 0, or as before the same way.
 */
int guard_hide(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
int guard_show(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
/* As guard_hide(), whatever it takes: more than asked, all that is held in reserve. */
void guard_close(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
/* As guard_show(), with what is held in reserve. */
int guard_open_again(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
/* Whether there is room for a mapping of huge pages by itself. */
bool guard_has_room_huge(struct guard *g);
/* Maps the range, which is shared and of one place, from where that is now, with what is held in reserve. */
void guard_replace(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);

/* Any thread, any time, also a signal handler. */
bool guard_is_hidden(struct guard *g, uint64_t addr);

/* For tests and measurements: 0, 0 marks everything. */
void guard_set_limits(struct guard *g, uint64_t limit, uint64_t large_limit);

/* ---- between guard's files ------------------------------------------------------------------- */

/* Bits for advice that stays with a mapping; 0: it does not. clear: bits that it takes back. */
uint8_t guard_advice_bit(int advice, uint8_t *clear);
/* Gives a fresh mapping of the window what the others have. store: it is one of the store. */
int guard_dress(const struct guard_window *w, uint64_t addr, uint64_t size, bool store);
/* The mappings that w has more once the range is overlaid, or shown. */
int64_t guard_growth(struct guard *g, const struct guard_window *w, uint64_t addr, uint64_t size,
		     bool overlay);
int guard_overlay(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);

/* Bytes from addr on, at most size, that are of one place; *fd: the descriptor of that. True: of huge pages, which are
 * overlaid and shown in whole blocks, and never marked. */
bool guard_is_huge(const struct guard_window *w, uint64_t addr, uint64_t *size, int *fd);

/* guard_marks.c: watches w, from now on. -ENOMEM: no marks here. */
int guard_watch(struct guard *g, struct guard_window *w);
int guard_watch_again(struct guard *g, const struct guard_window *w, uint64_t addr, uint64_t size);
void guard_unwatch(struct guard *g, struct guard_window *w);
/* Marks what is not hidden in the range. */
int guard_mark(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
/* Drops the marks of a range without overlays. */
int guard_unmark(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);
/* Shows the range by making the chunks it lies in again, with marks. */
int guard_remake(struct guard *g, struct guard_window *w, uint64_t addr, uint64_t size);

/* guard_room.c */
void guard_ballast_take(struct guard *g);
/* False: there is none left. */
bool guard_ballast_drop(struct guard *g);

#endif
