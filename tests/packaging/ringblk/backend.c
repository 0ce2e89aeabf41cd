/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The back-end: ringblk-backend DISK SOCKET, two descriptors that it inherits. */
#include "ringblk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct backend {
	struct gmem *memory;
	uint64_t size;
	char *window;
	struct gmem_pinned *held;
	int disk;
};

static bool attach(struct backend *b, int socket)
{
	struct gmem_info info = { .args_size = sizeof(info) };
	struct gmem_map_args map = { .args_size = sizeof(map), .prot = PROT_READ | PROT_WRITE };
	int fd = wire_receive_descriptor(socket);
	void *at;

	if (fd < 0 || gmem_open(fd, 0, &b->memory) || gmem_get_info(b->memory, &info))
		return false;
	close(fd);
	map.size = b->size = info.size;
	if (gmem_map(b->memory, &map, &at))
		return false;
	b->window = at;
	return true;
}

/* The guest may say whatever it likes. */
static int transfer(struct backend *b, const struct slot *s)
{
	off_t at = (off_t)(s->sector * SECTOR);
	struct gmem_pinned *pin;
	ssize_t done;
	int err;

	if (s->offset > b->size || s->size > b->size - s->offset)
		return -EINVAL;
	err = gmem_pin(b->memory, s->offset, s->size, &pin);
	if (err)
		return err;
	done = s->op == OP_READ ? pread(b->disk, b->window + s->offset, s->size, at)
				: pwrite(b->disk, b->window + s->offset, s->size, at);
	err = done < 0 ? -errno : (uint64_t)done < s->size ? -EIO : 0;
	gmem_unpin(pin);
	return err;
}

static int peek(struct backend *b, const struct slot *s)
{
	int pipe_ends[2], err;

	if (pipe(pipe_ends))
		return -errno;
	err = write(pipe_ends[1], b->window + s->offset, s->size) < 0 ? -errno : 0;
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return err;
}

static int carry_out(struct backend *b, const struct slot *s)
{
	switch (s->op) {
	case OP_READ:
	case OP_WRITE:
		return transfer(b, s);
	case OP_HOLD:
		return b->held ? -EBUSY : gmem_pin(b->memory, s->offset, s->size, &b->held);
	case OP_LET_GO:
		gmem_unpin(b->held);
		b->held = NULL;
		return 0;
	case OP_PEEK:
		return peek(b, s);
	default:
		return -EOPNOTSUPP;
	}
}

int main(int argc, char **argv)
{
	struct backend b = { 0 };
	int socket;
	uint8_t n;

	if (argc != 3)
		return 2;
	b.disk = atoi(argv[1]);
	socket = atoi(argv[2]);
	if (!attach(&b, socket)) {
		struct gmem_refusal why = { .args_size = sizeof(why) };

		fprintf(stderr, "ringblk-backend: no memory: %s\n",
			gmem_last_refusal(&why) ? "?" : why.reason);
		return 1;
	}
	while (wire_receive(socket, &n) && n < NR_SLOTS) {
		struct slot *ring = (struct slot *)b.window;
		struct slot copy = ring[n]; /* it is not looked at twice */

		ring[n].status = carry_out(&b, &copy);
		if (!wire_send(socket, n))
			break;
	}
	gmem_unmap(b.window, b.size);
	gmem_put(b.memory);
	return 0;
}
