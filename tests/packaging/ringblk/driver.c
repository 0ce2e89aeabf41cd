/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The driver, and what is expected of both: ringblk-driver BACKEND. */
#include "ringblk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (UINT64_C(4) << 20)
#define PAGE GMEM_PAGE_SIZE
#define SECRET (SIZE - PAGE)

static struct gmem *memory;
static struct slot *ring; /* the first page of the window, and the only one that stays shared */
static char *window;
static struct pool pool;
static int channel, disk;
static pid_t backend;

#define EXPECT(what)                                                                    \
	do {                                                                            \
		if (!(what)) {                                                          \
			fprintf(stderr, "FAIL %s:%d: %s\n", __FILE__, __LINE__, #what); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

/* ---- set up --------------------------------------------------------------------------------------------------- */

static void make_memory(void)
{
	struct gmem_create_args make = { .args_size = sizeof(make),
					 .size = SIZE,
					 .flags = GMEM_MMAP };
	struct gmem_map_args map = { .args_size = sizeof(map),
				     .size = SIZE,
				     .prot = PROT_READ | PROT_WRITE };
	void *at;

	EXPECT(gmem_create(&make, &memory) == 0);
	EXPECT(gmem_map(memory, &map, &at) == 0);
	window = at;
	ring = at;
	EXPECT(gmem_make_shared(memory, 0, PAGE, NULL) == 0);
	pool = (struct pool){ .memory = memory, .first = PAGE };
}

static void start_backend(const char *program)
{
	char disk_text[16], socket_text[16];
	int ends[2], fd;

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	backend = fork();
	EXPECT(backend >= 0);
	if (!backend) {
		close(ends[0]);
		snprintf(disk_text, sizeof(disk_text), "%d", disk);
		snprintf(socket_text, sizeof(socket_text), "%d", ends[1]);
		execl(program, program, disk_text, socket_text, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	channel = ends[0];
	EXPECT(gmem_descriptor(memory, &fd) == 0);
	EXPECT(wire_send_descriptor(channel, fd));
	close(fd);
}

/* ---- the guest ------------------------------------------------------------------------------------------------ */

/* Its own way to its pages, private or not. */
static void guest_copy(uint64_t offset, void *data, size_t size, bool write)
{
	void *at;

	EXPECT(gmem_fault_begin(memory) == 0);
	EXPECT(gmem_page(memory, offset, &at, NULL) == 0);
	if (write)
		memcpy(at, data, size);
	else
		memcpy(data, at, size);
	gmem_fault_end(memory);
}

static int request(enum op op, uint64_t sector, uint64_t offset, uint64_t size)
{
	static uint8_t next;
	uint8_t n = next++ % NR_SLOTS, answer;

	ring[n] = (struct slot){
		.op = op, .status = 1, .sector = sector, .offset = offset, .size = size
	};
	EXPECT(wire_send(channel, n));
	EXPECT(wire_receive(channel, &answer) && answer == n);
	return ring[n].status;
}

/* ---- what is expected ----------------------------------------------------------------------------------------- */

static void data_goes_through_bounce_buffers(void)
{
	char page[PAGE], back[PAGE];

	for (unsigned int i = 0; i < 200; i++) {
		uint64_t buffer = pool_take(&pool);

		EXPECT(buffer);
		memset(page, (int)i + 1, sizeof(page));
		memcpy(window + buffer, page, sizeof(page));
		EXPECT(request(OP_WRITE, i * 8, buffer, PAGE) == 0);
		memset(window + buffer, 0, PAGE);
		EXPECT(request(OP_READ, i * 8, buffer, PAGE) == 0);
		EXPECT(pool_give(&pool, buffer) == 0);
		guest_copy(buffer, back, sizeof(back), false); /* private again, and still there */
		EXPECT(memcmp(page, back, sizeof(page)) == 0);
	}
}

static void a_private_buffer_is_refused(void)
{
	char secret[] = "nobody but the guest", seen[sizeof(secret)];

	guest_copy(SECRET, secret, sizeof(secret), true);
	EXPECT(request(OP_WRITE, 0, SECRET, SECTOR) == -EFAULT);
	EXPECT(request(OP_READ, 0, SECRET, SECTOR) == -EFAULT);
	EXPECT(request(OP_PEEK, 0, SECRET, SECTOR) == -EFAULT);
	EXPECT(request(OP_READ, 0, SIZE - SECTOR, UINT64_MAX) == -EINVAL);
	guest_copy(SECRET, seen, sizeof(seen), false);
	EXPECT(memcmp(secret, seen, sizeof(secret)) == 0);
	EXPECT(gmem_make_shared(memory, SECRET, PAGE, NULL) == 0);
	EXPECT(request(OP_PEEK, 0, SECRET, SECTOR) == 0);
	EXPECT(gmem_make_private(memory, SECRET, PAGE, NULL) == 0);
	EXPECT(request(OP_PEEK, 0, SECRET, SECTOR) == -EFAULT);
}

static void a_buffer_in_use_stays_shared(void)
{
	struct gmem_refusal why = { .args_size = sizeof(why) };
	uint64_t buffer = pool_take(&pool), refused = 0;

	EXPECT(request(OP_HOLD, 0, buffer, PAGE) == 0);
	EXPECT(pool_give(&pool, buffer) == -EAGAIN);
	EXPECT(gmem_last_refusal(&why) == 0 && why.error == -EAGAIN && why.reason[0]);
	EXPECT(gmem_make_private(memory, pool.first, 64 * PAGE, &refused) == -EAGAIN);
	EXPECT(refused == buffer);
	window[buffer] = 'x';
	EXPECT(request(OP_LET_GO, 0, 0, 0) == 0);
	EXPECT(pool_give(&pool, buffer) == 0);
}

/* Last: it kills the back-end while that holds a page. */
static void a_dead_backend_holds_nothing(void)
{
	uint64_t buffer = pool_take(&pool);

	EXPECT(request(OP_HOLD, 0, buffer, PAGE) == 0);
	EXPECT(kill(backend, SIGKILL) == 0);
	EXPECT(waitpid(backend, NULL, 0) == backend);
	EXPECT(pool_give(&pool, buffer) == 0);
}

int main(int argc, char **argv)
{
	struct gmem_stats stats = { .args_size = sizeof(stats) };

	if (argc != 2)
		return 2;
	disk = memfd_create("disk", 0);
	EXPECT(disk >= 0 && ftruncate(disk, 1 << 20) == 0);
	make_memory();
	start_backend(argv[1]);
	data_goes_through_bounce_buffers();
	a_private_buffer_is_refused();
	a_buffer_in_use_stays_shared();
	a_dead_backend_holds_nothing();
	EXPECT(gmem_get_stats(memory, &stats) == 0 && stats.private_bytes == SIZE - PAGE);
	EXPECT(gmem_unmap(window, SIZE) == 0);
	gmem_put(memory);
	puts("ringblk: 4 of 4 hold");
	return 0;
}
