/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A file that converts in place, a window of it, and children that do as they are told, one order a message:
 * for tests of what happens between processes, without the library that is preloaded.
 */
#ifndef GMEM_TESTS_MAP_FAMILY_H
#define GMEM_TESTS_MAP_FAMILY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "map/host_file.h"

#define PAGE ((uint64_t)4096)
#define NR_PAGES 1024
#define SIZE (NR_PAGES * PAGE)
#define BUS (-1000)

extern struct host_map *map;
extern struct host_file *file;
extern volatile uint8_t *window;

enum op {
	PEEK,
	POKE,
	PEEK_BY_SYSCALL,
	PRIVATE,
	SHARED,
	QUERY,
	FORK,
	EXEC,
	PUNCH,
	BLOCK, /* for so many ms nothing can be hidden or shown: slow */
	PID,
	PIN,
	UNPIN,
	PRIVATE_WHILE_HOME_STOPS, /* its answer; page, nr */
	PUNCH_WHILE_HOME_STOPS,
	LOAD_WHILE_HOME_STOPS,
	LOAD, /* what is shared is asked for, if there is need */
	LACK, /* nr: no mapping is to be had from here on; 0: it is again */
	PRIVATE_WITH_SIGNAL,
	PIN_EVERY_SECOND,		 /* of nr pages from page on: all at once, for good */
	PRIVATE_REFUSED_AS_EVERY_SECOND, /* of nr pages from page on, in one call: 1 */
	LATE_WHILE_HOME_STOPS,		 /* was anything made up for, with a patience of nr ms? */
	ADOPT,				 /* the name follows */
	MAP_ADOPTED,			 /* it is the window from here on */
	FORK_STORM, /* for nr ms; how many of its children saw page while stage->hidden said no */
};
/* Seen by all: odd while the page is private for sure. */
struct stage {
	_Atomic uint64_t hidden, nr_wrong, nr_looks;
	_Atomic bool storm_over; /* FORK_STORM ends */
};
extern struct stage *stage;

struct child {
	pid_t pid;
	int sock;
};
struct child make_child(void);
struct child make_grandchild(const struct child *parent);
void end_child(struct child *c);
void give_order(const struct child *c, enum op op, uint64_t page, uint64_t nr, int other);
long answer(const struct child *c);
long tell(const struct child *c, enum op op, uint64_t page, uint64_t nr);

/* What is there, BUS; 0 or -errno; how many. */
long peek(uint64_t page);
long convert(uint64_t page, uint64_t nr, bool to_private);
long nr_private(uint64_t page, uint64_t nr);
long pin_every_second(uint64_t page, uint64_t nr);
long refused_as_every_second(uint64_t page, uint64_t nr);
/* What the setup puts into a page. */
long stamp(uint64_t page);
uint64_t ms_since(uint64_t start_ns);

void map_window(void);
int family_start(void **state);
int family_setup(void **state);
int family_teardown(void **state);

#define T(test) cmocka_unit_test_setup_teardown(test, family_setup, family_teardown)

#endif
