/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * ringblk: a block device whose back-end is a process of its own. The driver has the guest's memory and is its
 * home; the back-end gets the descriptor, and sees no page but those that the driver shares: the ring, and the
 * buffers of requests that are under way.
 *
 * The ring is one page. The driver fills in a slot and sends its number; the back-end does what it says, writes the
 * status and sends the number back.
 */
#ifndef RINGBLK_H
#define RINGBLK_H

#include <gmem.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u
#define NR_SLOTS 64u

enum op {
	OP_READ,  /* from the disk into the buffer */
	OP_WRITE, /* from the buffer onto the disk */
	OP_HOLD,  /* the buffer is pinned until OP_LET_GO */
	OP_LET_GO,
	OP_PEEK, /* the buffer is given to write(2), though nobody has asked whether it may be */
};

struct slot {
	uint32_t op;
	int32_t status; /* 0 or -errno */
	uint64_t sector;
	uint64_t offset; /* of the buffer, in the guest's memory */
	uint64_t size;
};

/* What passes through the socket: slot numbers, and first of all the descriptor. wire.c */
bool wire_send(int socket, uint8_t slot);
bool wire_receive(int socket, uint8_t *slot);
bool wire_send_descriptor(int socket, int fd);
int wire_receive_descriptor(int socket);

/* Bounce buffers: pages that are shared while somebody has them, and private otherwise. pool.c */
struct pool {
	struct gmem *memory;
	uint64_t first; /* offset of its first page */
	uint64_t taken; /* a bit for each page */
};

/* Offset of a page that is shared now; 0: there is none, or it could not be shared. */
uint64_t pool_take(struct pool *p);
/* 0 or -errno: -EAGAIN while the back-end still has it. */
int pool_give(struct pool *p, uint64_t offset);

#endif
