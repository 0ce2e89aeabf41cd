/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the tests of pins share: a file as far as pins know one, over a memfd that real pipes get pages of. */
#ifndef GMEM_TESTS_MAP_PINS_T_H
#define GMEM_TESTS_MAP_PINS_T_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/types.h>

#include "map/host_file.h"
#include "map/pins.h"
#include "map/pipes.h"

#define PAGE ((uint64_t)4096)
#define NR_PAGES 64

extern struct host_file file;
extern char *window;
extern char ranges[400];

/* Around every test. Whatever it has left in pipes goes with the file. */
int pins_setup(void **state);
int pins_teardown(void **state);
int nr_of_our_descriptors(void);

void note(void *arg, uint64_t offset, uint64_t size);
/* "first page+number ..." */
const char *pinned_in(uint64_t first, uint64_t nr);
const char *pinned(void);
struct pin *intend(uint64_t offset, uint64_t size);

void make_pipe(int ends[2]);
void close_pipe(int ends[2]);
void drain(int fd, size_t size);
/* vmsplice, as the program's call is followed. page < 0: memory of another kind. */
ssize_t give(int fd, const int *pages, uint32_t nr, unsigned int flags);
#define GIVE(fd, ...)                                                                 \
	assert_int_equal(give(fd, (const int[]){ __VA_ARGS__ },                       \
			      sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int), 0), \
			 sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int) * PAGE)
/* splice or tee. */
ssize_t move(int in, int out, size_t size, bool is_tee);

#endif
