/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Other processes that have the file: each does what it is told by a message, one at a time. A helper is a
 * forked child, or this program anew ("serve SOCKET [FD]").
 */
#ifndef GMEM_TESTS_SWEEP_HELPER_H
#define GMEM_TESTS_SWEEP_HELPER_H

#include <stdint.h>
#include <sys/types.h>

struct text;

enum order {
	ORDER_READ,	  /* a page; the answer is its first byte */
	ORDER_MAP,	  /* the file that is sent along, or is there; all of it */
	ORDER_TO_PRIVATE, /* pages */
	ORDER_TO_SHARED,
	ORDER_PUNCH,
	ORDER_UNMAP, /* and closes it */
};

struct helper {
	pid_t pid; /* 0: not there */
	int sock;
};

/* With a file and a window already, as its parent has them; -1, NULL: none. Results are 0 or -errno. */
int helper_fork(struct helper *h, int file, uint8_t *window);
/* fd stays open in it. */
int helper_exec(struct helper *h, int fd);
/* file: sent along; -1: none. The answer, or -errno. */
int helper_tell(struct helper *h, enum order order, uint32_t page, uint32_t nr, int file);
/* Writes down what it reads in some pages. */
void helper_look(struct helper *h, struct text *t);
void helper_end(struct helper *h);
/* In the program that helper_exec() starts. */
int helper_main(int argc, char **argv);

#endif
