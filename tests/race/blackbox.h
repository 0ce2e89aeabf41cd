/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the black-box tests share: a VM with a file of 8 pages, and sentences to ask it with. */
#ifndef GMEM_TESTS_RACE_BLACKBOX_H
#define GMEM_TESTS_RACE_BLACKBOX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

#define PAGES 8u
#define SIZE (PAGES * PAGE)
#define BOTH_FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define UNTOUCHED 0x1234567890abcdeful

struct box {
	struct world w;
	struct guest g;
};

/* flags of the file; a guest sees it at GMEM_GPA. */
void box_make(struct box *b, uint64_t flags);
void box_free(struct box *b);

int to_private(const struct box *b, unsigned int page, unsigned int nr);
int to_shared(const struct box *b, unsigned int page, unsigned int nr);
/* The host has SIGBUS for loads and stores of the page, at its begin, middle and end. */
void expect_shut(uint8_t *host, unsigned int page);
/* The host reads value at the page's begin, and may write. */
void expect_open(uint8_t *host, unsigned int page, uint64_t value);
/* The blocks of the series' own tests: who reads what first, who writes what then. */
void private_block(struct box *b, unsigned int page, uint64_t found, uint64_t written);
void shared_block(struct box *b, unsigned int page, uint64_t found, uint64_t host, uint64_t guest);
/* Puts a page in a new pipe. */
void pin(int pipe_fds[2], void *page, unsigned int nr_pages);
void unpin(int pipe_fds[2]);
/* The ioctl with everything chosen: 0 or -errno. */
int set_raw(int fd, struct kvm_memory_attributes2 *a);

#endif
