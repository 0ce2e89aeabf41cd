/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest as tests/e2e/guest.h has it, for the generations before guest_memfd: each test is a row of the table in
 * docs/generations.md, by its number, through the requests of that time alone.
 */
#ifndef GMEM_TESTS_GENERATIONS_GEN_H
#define GMEM_TESTS_GENERATIONS_GEN_H

#include "../e2e/guest.h"

#include <gmem/early.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* A test with a guest of a VM of type 1 as its state. */
#define ROW(name) cmocka_unit_test_setup_teardown(name, gen_start, gen_stop)
int gen_start(void **state);
int gen_stop(void **state);

/* With GENERATION_ONLY in the environment those of failing whose name it matches (none that does is a failure), else tests. */
#define gen_run(tests, failing)                                                                    \
	(getenv("GENERATION_ONLY") ? gen_run_only(failing, sizeof(failing) / sizeof((failing)[0])) \
				   : cmocka_run_group_tests(tests, NULL, NULL))
int gen_run_only(const struct CMUnitTest *tests, size_t nr);

/* What a call that returns -1 ended with; 0. */
#define FAILS_WITH(call, err)                   \
	do {                                    \
		errno = 0;                      \
		assert_int_equal((call), -1);   \
		assert_int_equal(errno, (err)); \
	} while (0)
#define WORKS(call) assert_int_equal((call), 0)

/* Bytes of memory that the file has: st_blocks. */
uint64_t gen_backed(int fd);
uint64_t gen_size(int fd);
/* What stands behind /proc/self/fd. */
void gen_link(int fd, char text[256]);
long gen_fs_type(int fd);

/* What the guest finds in the first byte of the page at DATA + page * PAGE, and leaves there. Must succeed. */
uint8_t gen_exchange_at(struct guest *g, unsigned int page, uint8_t value);
/* The same, and it may leave: what KVM_RUN returned. *found is set where it did not. */
int gen_try_at(struct guest *g, unsigned int page, uint8_t value, uint8_t *found);
static inline uint8_t gen_exchange(struct guest *g, uint8_t value)
{
	return gen_exchange_at(g, 0, value);
}
static inline int gen_try(struct guest *g, uint8_t value, uint8_t *found)
{
	return gen_try_at(g, 0, value, found);
}
/* The guest says, by its hypercall, that it takes the page at DATA + page * PAGE for private or shared from now on. */
void gen_guest_takes(struct guest *g, unsigned int page, bool for_private);
/* A guest that ran out of its page by an access at gpa. */
void gen_expect_exit(struct guest *g, uint32_t reason, uint64_t flags, uint64_t gpa);

#endif
