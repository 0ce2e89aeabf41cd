/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

struct message {
	enum order order;
	uint32_t page, nr;
};

static int own_file = -1;
static uint8_t *own_window;

/* ---- messages ---------------------------------------------------------------------------------- */

static void say(int sock, const struct message *m, int file)
{
	struct iovec iov = { (void *)(uintptr_t)m, sizeof(*m) };
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (file >= 0) {
		struct cmsghdr *c;

		msg.msg_control = room;
		msg.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &file, sizeof(int));
	}
	(void)!sendmsg(sock, &msg, MSG_NOSIGNAL);
}

/* False: there will be no more. */
static int hear(int sock, struct message *m, int *file)
{
	struct iovec iov = { m, sizeof(*m) };
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *c;

	*file = -1;
	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*m))
		return 0;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(file, CMSG_DATA(c), sizeof(int));
	return 1;
}

/* ---- what is done ------------------------------------------------------------------------------ */

static sigjmp_buf out;

static void on_fault(int signo)
{
	siglongjmp(out, signo);
}

static int touch(const volatile uint8_t *at)
{
	struct sigaction sa = { .sa_handler = on_fault }, bus, segv;
	int signo;

	sigaction(SIGBUS, &sa, &bus);
	sigaction(SIGSEGV, &sa, &segv);
	signo = sigsetjmp(out, 1);
	if (!signo)
		(void)*at;
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return !signo;
}

static int do_read(uint32_t page)
{
	uint8_t value = 0;
	int fds[2], ret;

	if (!own_window)
		return -ENODEV;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	ret = write(fds[1], own_window + page * PAGE, 1) == 1 ? 0 : -errno;
	/* What could not be shown in time is had by an access of the processor. */
	if (ret == -EFAULT && touch(own_window + page * PAGE))
		ret = write(fds[1], own_window + page * PAGE, 1) == 1 ? 0 : -errno;
	if (!ret && read(fds[0], &value, 1) == 1)
		ret = value;
	close(fds[0]);
	close(fds[1]);
	return ret;
}

static int do_map(int file)
{
	void *at;

	if (file >= 0) {
		if (own_file >= 0)
			close(own_file);
		own_file = file;
	}
	at = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, own_file, 0);
	if (at == MAP_FAILED)
		return -errno;
	own_window = at;
	return 0;
}

static int do_convert(const struct message *m)
{
	struct kvm_memory_attributes2 a = {
		.offset = m->page * PAGE,
		.size = m->nr * PAGE,
		.attributes = m->order == ORDER_TO_PRIVATE ? PRIVATE : 0,
	};

	return ioctl(own_file, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? -errno : 0;
}

static int do_unmap(void)
{
	if (own_window && munmap(own_window, FILE_SIZE))
		return -errno;
	own_window = NULL;
	if (own_file >= 0 && close(own_file))
		return -errno;
	own_file = -1;
	return 0;
}

static int obey(const struct message *m, int file)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	switch (m->order) {
	case ORDER_READ:
		return do_read(m->page);
	case ORDER_MAP:
		return do_map(file);
	case ORDER_TO_PRIVATE:
	case ORDER_TO_SHARED:
		return do_convert(m);
	case ORDER_PUNCH:
		return fallocate(own_file, punch, (off_t)(m->page * PAGE), (off_t)(m->nr * PAGE))
			       ? -errno
			       : 0;
	case ORDER_UNMAP:
		return do_unmap();
	}
	return -EINVAL;
}

static void serve(int sock)
{
	struct message m;
	int file, ret;

	while (hear(sock, &m, &file)) {
		ret = obey(&m, file);
		if (write(sock, &ret, sizeof(ret)) != (ssize_t)sizeof(ret))
			break;
	}
	_exit(0);
}

/* ---- the other side ---------------------------------------------------------------------------- */

static int start(struct helper *h, int file, uint8_t *window, int fd)
{
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	fflush(stdout);
	h->pid = fork();
	if (!h->pid && fd < 0) {
		close(socks[0]);
		own_file = file;
		own_window = window;
		serve(socks[1]);
	}
	if (!h->pid) {
		char sock_text[16], fd_text[16];
		char *argv[] = { (char *)"sweep-program", (char *)"serve", sock_text, fd_text,
				 NULL };

		snprintf(sock_text, sizeof(sock_text), "%d", socks[1]);
		snprintf(fd_text, sizeof(fd_text), "%d", fd);
		fcntl(socks[1], F_SETFD, 0);
		fcntl(fd, F_SETFD, 0);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(socks[1]);
	h->sock = socks[0];
	if (h->pid > 0)
		return 0;
	close(socks[0]);
	h->pid = 0;
	return -EAGAIN;
}

int helper_fork(struct helper *h, int file, uint8_t *window)
{
	return start(h, file, window, -1);
}

int helper_exec(struct helper *h, int fd)
{
	return start(h, -1, NULL, fd);
}

int helper_tell(struct helper *h, enum order order, uint32_t page, uint32_t nr, int file)
{
	struct message m = { order, page, nr };
	int ret;

	say(h->sock, &m, file);
	return read(h->sock, &ret, sizeof(ret)) == (ssize_t)sizeof(ret) ? ret : -EPIPE;
}

void helper_look(struct helper *h, struct text *t)
{
	static const uint16_t pages[] = { 0, 1, 2, 30, 50, 100, 300, 350, 599 };

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		int got = helper_tell(h, ORDER_READ, pages[i], 1, -1);

		if (got == -EFAULT)
			text_add(t, " %d:no", pages[i]);
		else if (got)
			text_add(t, " %d:%d", pages[i], got);
	}
}

void helper_end(struct helper *h)
{
	int status;

	if (!h->pid)
		return;
	close(h->sock);
	if (waitpid(h->pid, &status, 0) != h->pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "a helper ended with status %x\n", status);
		exit(1);
	}
	h->pid = 0;
}

int helper_main(int argc, char **argv)
{
	own_file = argc > 3 ? atoi(argv[3]) : -1;
	serve(atoi(argv[2]));
	return 0;
}
