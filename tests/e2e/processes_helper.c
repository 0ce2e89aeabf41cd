/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

int fd = -1;
volatile uint8_t *map;

/* ---- touching ---------------------------------------------------------------------------------- */

static sigjmp_buf back;

static void leave(int signo, siginfo_t *info, void *context)
{
	siglongjmp(back, 1);
}

static void catch_bus(void)
{
	struct sigaction act = { .sa_sigaction = leave, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &act, NULL);
}

long peek(long page)
{
	catch_bus();
	return sigsetjmp(back, 1) ? BUS : map[(unsigned long)page * PAGE];
}

long poke(long page, long value)
{
	catch_bus();
	if (sigsetjmp(back, 1))
		return BUS;
	map[(unsigned long)page * PAGE] = (uint8_t)value;
	return 0;
}

static long peek_by_syscall(long page)
{
	int pipes[2];
	long ret;

	if (pipe(pipes))
		return -1;
	ret = write(pipes[1], (const void *)(map + (unsigned long)page * PAGE), 1) == 1 ? 0
											: -errno;
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

long convert(long page, long nr, bool to_private)
{
	struct kvm_memory_attributes2 a = {
		.offset = (unsigned long)page * PAGE,
		.size = (unsigned long)nr * PAGE,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? -errno : 0;
}

long map_it(int prot, int flags)
{
	void *p = mmap(NULL, SIZE, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	map = p;
	return 0;
}

/* ---- helpers ----------------------------------------------------------------------------------- */

static bool send_with(int sock, const void *data, size_t size, int other)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (other >= 0) {
		memcpy(CMSG_DATA(&control.head), &other, sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &m, 0) == (ssize_t)size;
}

static bool receive_with(int sock, void *data, size_t size, int *other)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { data, size };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(sock, &m, 0);

	*other = -1;
	if (n == (ssize_t)size && m.msg_controllen)
		memcpy(other, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return n == (ssize_t)size;
}

long fork_to(int sock)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	serve(sock);
	_exit(0);
}

static long open_of(pid_t pid, int number)
{
	char name[64];
	int got;

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, number);
	got = open(name, O_RDWR);
	if (got < 0)
		return -errno;
	close(got);
	return 0;
}

static long take_from(pid_t pid, int number)
{
	int pidfd = (int)syscall(434 /* pidfd_open */, pid, 0);

	fd = (int)syscall(438 /* pidfd_getfd */, pidfd, number, 0);
	close(pidfd);
	return fd < 0 ? -errno : 0;
}

static long size_of(void)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : st.st_size;
}

static long obey(const struct order *o, int other)
{
	switch (o->op) {
	case PEEK:
		return peek(o->a);
	case POKE:
		return poke(o->a, o->b);
	case PEEK_BY_SYSCALL:
		return peek_by_syscall(o->a);
	case CONVERT:
		return convert(o->a, o->b, o->c);
	case PUNCH_PAGE:
		return fallocate(fd, PUNCH, o->a * (long)PAGE, PAGE) ? -errno : 0;
	case ALLOCATE:
		return fallocate(fd, (int)o->a, o->b, o->c) ? -errno : 0;
	case SIZE_OF:
		return size_of();
	case MAP:
		return map_it((int)o->a, (int)o->b);
	case TAKE:
		fd = dup(other);
		return fd < 0 ? -errno : 0;
	case TAKE_FROM:
		return take_from((pid_t)o->a, (int)o->b);
	case OPEN_OF:
		return open_of((pid_t)o->a, (int)o->b);
	case FORK:
		return fork_to(other);
	case PASS_ON: {
		struct order take = { .op = TAKE };

		return send_with(other, &take, sizeof(take), fd) ? 0 : -errno;
	}
	}
	return -1;
}

void serve(int sock)
{
	struct order o;
	int other;

	while (receive_with(sock, &o, sizeof(o), &other)) {
		long ret = obey(&o, other);

		if (other >= 0)
			close(other);
		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

/* ---- and who orders ------------------------------------------------------------------------------ */

long answer(const struct helper *h)
{
	long ret;

	assert_int_equal(read(h->sock, &ret, sizeof(ret)), sizeof(ret));
	return ret;
}

long tell_with(const struct helper *h, int other, enum op op, long a, long b, long c)
{
	struct order o = { op, a, b, c };

	assert_true(send_with(h->sock, &o, sizeof(o), other));
	return answer(h);
}

long tell(const struct helper *h, enum op op, long a, long b, long c)
{
	return tell_with(h, -1, op, a, b, c);
}

/* Past every library: the program that runs then is not under gmem. */
static void execute_outside(char *const argv[])
{
	static char *none[] = { NULL };
	long nr = SYS_execve;

	__asm__ volatile("syscall"
			 : "+a"(nr)
			 : "D"("/proc/self/exe"), "S"(argv), "d"(none)
			 : "rcx", "r11", "memory");
}

struct helper start(enum kind kind, bool keep)
{
	struct helper h;
	char number[16], inherited[16];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	snprintf(number, sizeof(number), "%d", pair[1]);
	snprintf(inherited, sizeof(inherited), "%d", keep ? fd : -1);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (!h.pid) {
		char self[] = "processes", serves[] = "serve";
		char *argv[] = { self, serves, number, inherited, NULL };

		close(pair[0]);
		if (kind == FORKED)
			serve(pair[1]);
		if (!keep)
			close(fd);
		if (kind == EXECUTED)
			execv("/proc/self/exe", argv);
		else
			execute_outside(argv);
		_exit(1);
	}
	close(pair[1]);
	h.sock = pair[0];
	return h;
}

/* Its new one serves the socket: a child of it, or whoever the descriptor is passed on to. */
struct helper child_of(const struct helper *parent, enum op op)
{
	struct helper h;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	h.pid = (pid_t)tell_with(parent, pair[1], op, 0, 0, 0);
	assert_true(h.pid > 0);
	close(pair[1]);
	h.sock = pair[0];
	return h;
}

void end(struct helper *h)
{
	close(h->sock);
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
}

struct helper start_with_descriptor(void)
{
	struct helper h = start(EXECUTED, false);

	assert_int_equal(tell_with(&h, fd, TAKE, 0, 0, 0), 0);
	return h;
}

struct helper start_mapped(void)
{
	struct helper h = start_with_descriptor();

	assert_int_equal(tell(&h, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, 0), 0);
	return h;
}
