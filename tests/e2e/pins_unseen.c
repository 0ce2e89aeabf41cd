/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pages that are held in ways which gmem is not told of.
 *
 *	pins_unseen without		no right to look at references: such a page converts all the same, and
 *					what is under way ends in it (docs/deviations.md)
 *	pins_unseen with SIGN		the right is there, and once the program has given a sign that it may hold
 *					pages that way, the references are counted
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

static const char *sign;
static struct inplace t;

static int setup(void **state)
{
	inplace_make(&t, 4, SHARED_FIRST);
	for (unsigned int i = 0; i < 4; i++)
		t.host[i * PAGE] = (uint8_t)('a' + i);
	return 0;
}

static int teardown(void **state)
{
	inplace_free(&t);
	return 0;
}

/* ---- a ring, by hand ----------------------------------------------------------------------- */

struct ring {
	int fd;
	struct io_uring_params p;
	char *queue;
	struct io_uring_sqe *sqes;
};

static bool ring_make(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0 || !(r->p.features & IORING_FEAT_SINGLE_MMAP))
		return false;
	r->queue = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	r->sqes =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, (off_t)IORING_OFF_SQES);
	return r->queue != MAP_FAILED && r->sqes != MAP_FAILED;
}

static void ring_free(struct ring *r)
{
	munmap(r->queue, 2 * PAGE);
	munmap(r->sqes, PAGE);
	close(r->fd);
}

static _Atomic uint32_t *word(struct ring *r, uint32_t offset)
{
	return (_Atomic uint32_t *)(void *)(r->queue + offset);
}

/* Reads size bytes from fd into the page that is registered, when there are some. */
static void ring_read(struct ring *r, int fd, uint8_t *to, uint32_t size)
{
	struct iovec iov = { (void *)((uintptr_t)to & ~(PAGE - 1)), PAGE };

	assert_int_equal(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, &iov, 1),
			 0);
	r->sqes[0] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED, .fd = fd, .addr = (uintptr_t)to, .len = size
	};
	*word(r, r->p.sq_off.array) = 0;
	atomic_fetch_add(word(r, r->p.sq_off.tail), 1);
	assert_int_equal(syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0), 1);
}

static void ring_wait(struct ring *r)
{
	while (atomic_load(word(r, r->p.cq_off.tail)) == 0)
		assert_true(syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL,
				    0) >= 0);
}

/* ---- without the right --------------------------------------------------------------------- */

static void drop_rights(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (syscall(SYS_capset, &head, none))
		exit(1);
}

static void io_under_way_is_not_seen_and_ends_in_the_private_page(void **state)
{
	struct ring r;
	int p[2];

	if (!ring_make(&r))
		skip();
	assert_int_equal(pipe(p), 0);
	ring_read(&r, p[0], t.host + 2 * PAGE, 1);
	inplace_set(&t, 0, 4, PRIVATE);
	assert_int_equal(write(p[1], "Z", 1), 1);
	ring_wait(&r);
	expect_private(&t, 2, 'Z', 'q');
	expect_private(&t, 1, 'b', 'q');
	ring_free(&r);
	close(p[0]);
	close(p[1]);
}

/* ---- with it ------------------------------------------------------------------------------- */

static bool may_look(void)
{
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.max_entries = 1;
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd >= 0)
		close((int)fd);
	return fd >= 0 && !geteuid() && !access("/sys/kernel/btf/vmlinux", R_OK);
}

/* The preloaded library does not see what is no call of a function. */
static long raw_vmsplice(int fd, const struct iovec *iov)
{
	register long nr __asm__("rax") = SYS_vmsplice;
	register long a __asm__("rdi") = fd;
	register const struct iovec *b __asm__("rsi") = iov;
	register long c __asm__("rdx") = 1;
	register long d __asm__("r10") = 0;

	__asm__ volatile("syscall"
			 : "+r"(nr)
			 : "r"(a), "r"(b), "r"(c), "r"(d)
			 : "rcx", "r11", "memory");
	return nr;
}

/* By its environment or by what it is linked with. */
static bool from_the_start(void)
{
	return !strcmp(sign, "environment") || !strcmp(sign, "library");
}

#ifdef LIKE_LIBAIO
int io_setup(int nr, void *context);
__attribute__((visibility("default"))) int io_setup(int nr, void *context)
{
	return nr && context ? -ENOSYS : -EINVAL;
}
#endif

static void give_sign(int in)
{
	static char name[] = "/tmp/gmem-pins-XXXXXX";
	int fd, ends[2], on = 1;
	unsigned long context = 0;
	struct ring r;

	if (from_the_start())
		return;
	if (!strcmp(sign, "open")) {
		fd = open("/proc/self/exe", O_RDONLY | O_DIRECT);
	} else if (!strcmp(sign, "fcntl")) {
		fd = mkstemp(name);
		unlink(name);
		fcntl(fd, F_SETFL, O_DIRECT);
	} else if (!strcmp(sign, "aio")) {
		fd = (int)syscall(SYS_io_setup, 1, &context);
		syscall(SYS_io_destroy, context);
	} else if (!strcmp(sign, "ring")) {
		if (ring_make(&r))
			ring_free(&r);
	} else if (!strcmp(sign, "zerocopy")) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
	} else {
		assert_string_equal(sign, "socket");
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		assert_int_equal(splice(in, NULL, ends[0], NULL, PAGE, 0), PAGE);
	}
}

/* The child gives the sign, and what it may hold is looked at there. */
static void a_page_that_a_child_holds_unseen_is_found_after_its_sign(void **state)
{
	int p[2], go[2], status;
	uint64_t where;
	pid_t child;
	char c;

	if (!may_look() || from_the_start())
		skip();
	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (!child) {
		struct iovec iov = { t.host + PAGE, PAGE };
		bool right = raw_vmsplice(p[1], &iov) == (long)PAGE;

		open("/proc/self/exe", O_RDONLY | O_DIRECT);
		right = right && write(go[1], "x", 1) == 1;
		while (right)
			pause();
		_exit(1);
	}
	assert_int_equal(read(go[0], &c, 1), 1);
	assert_int_equal(inplace_convert(t.fd, 0, 4 * PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, PAGE);
	expect_shared(&t, 1, 'b', 'x', 'y');
	close(p[0]);
	close(p[1]);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	inplace_set(&t, 0, 4, PRIVATE);
	close(go[0]);
	close(go[1]);
}

static void a_page_that_is_held_unseen_is_found_after_a_sign(void **state)
{
	struct iovec iov = { t.host + 2 * PAGE, PAGE }, seen = { t.host, PAGE };
	bool to_socket = !strcmp(sign, "socket");
	static char bytes[PAGE];
	int p[2], other[2];
	uint64_t where;

	if (!may_look())
		skip();
	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(other), 0);
	assert_int_equal(raw_vmsplice(p[1], &iov), PAGE);
	if (!from_the_start()) {
		inplace_set(&t, 2, 1, PRIVATE);
		inplace_set(&t, 2, 1, 0);
	}
	if (to_socket)
		assert_int_equal(vmsplice(other[1], &seen, 1, 0), PAGE);
	give_sign(other[0]);
	assert_int_equal(inplace_convert(t.fd, 2 * PAGE, PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 2 * PAGE);
	/* A page that waits in the socket, or the one in the pipe. */
	assert_int_equal(inplace_convert(t.fd, 0, 4 * PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, to_socket ? 0 : 2 * PAGE);
	expect_shared(&t, 2, 'c', 'x', 'y');
	assert_int_equal(read(p[0], bytes, PAGE), PAGE);
	inplace_set(&t, 1, 3, PRIVATE);
	expect_private(&t, 2, 'y', 'z');
	close(p[0]);
	close(p[1]);
}

static void io_under_way_is_refused(void **state)
{
	struct ring r;
	int p[2], tries;
	uint64_t where;

	if (!may_look() || !ring_make(&r))
		skip();
	assert_int_equal(pipe(p), 0);
	ring_read(&r, p[0], t.host + 2 * PAGE, 1);
	assert_int_equal(inplace_convert(t.fd, 0, 4 * PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 2 * PAGE);
	assert_int_equal(write(p[1], "Z", 1), 1);
	ring_wait(&r);
	assert_int_equal(t.host[2 * PAGE], 'Z');
	ring_free(&r);
	/* A ring goes after its last descriptor. */
	for (tries = 0; tries < 500 && inplace_convert(t.fd, 0, 4 * PAGE, PRIVATE, NULL); tries++)
		guest_sleep_us(10000);
	expect_private(&t, 2, 'Z', 'q');
	close(p[0]);
	close(p[1]);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest without[] = {
		TEST(io_under_way_is_not_seen_and_ends_in_the_private_page),
	};
	const struct CMUnitTest with[] = {
		TEST(a_page_that_a_child_holds_unseen_is_found_after_its_sign),
		TEST(a_page_that_is_held_unseen_is_found_after_a_sign),
		TEST(io_under_way_is_refused),
	};

	inplace_need();
	alarm(100);
	if (argc == 2 && !strcmp(argv[1], "without")) {
		drop_rights();
		return cmocka_run_group_tests(without, NULL, NULL);
	}
	if (argc != 3)
		return 2;
	sign = argv[2];
	return cmocka_run_group_tests(with, NULL, NULL);
}
