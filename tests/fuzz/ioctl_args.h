/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the ioctl fuzzer hands to the kernel: descriptors, request numbers and arguments, from
 * plausible to hostile. A struct world is shared by its threads; a struct thread is its own.
 */
#ifndef IOCTL_ARGS_H
#define IOCTL_ARGS_H

#include "fuzz.h"

#include <pthread.h>

#define NR_FDS 48
#define NR_MAPS 6
#define MAP (16 * PG)
#define ARENA (4UL << 20)
#define BUFFER (64 * 1024UL)

struct world {
	int fds[NR_FDS]; /* -1 where none; threads race on them as programs do */
	uint8_t *arena;
	int dev, event, memfd;
	uint64_t ops, good;
	volatile bool ending;
};

struct thread {
	pthread_t id;
	struct world *w;
	struct rng r;
	uint8_t *buffer;	/* BUFFER bytes of its own, BEHIND inaccessible ones after them */
	uint8_t *maps[NR_MAPS]; /* MAP bytes each, NULL where none */
	volatile bool done;
	uint64_t ops, good;
};

uint64_t number(struct thread *t);
int some_fd(struct thread *t);
unsigned long some_request(struct thread *t);
/* Words in 4- and 8-byte fields: some small, some at a border, some descriptors. */
void soup(struct thread *t, uint8_t *at, size_t len);
/* What to pass as the third argument of ioctl. */
unsigned long argument(struct thread *t, unsigned long req);

#endif
