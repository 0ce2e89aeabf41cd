/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/bystander.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The kernel goes through a group without a pause; but who is first may be awake before the last has its signal. */
#define DELIVERY_NS 2000000
#define PATIENCE_MS 500

static void answer(int fd)
{
	const struct timespec now = { 0 };
	unsigned char signo;

	while (read(fd, &signo, 1) == 1) {
		unsigned char heard;
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, signo);
		heard = sigtimedwait(&set, NULL, &now) == signo;
		if (write(fd, &heard, 1) != 1)
			return;
	}
}

static void stand_by(int fd, int parent)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Who waits for the end of a pipe of ours waits for the program, not for this. */
	dup2(fd, STDIN_FILENO);
	close_range(STDOUT_FILENO, ~0u, 0);
	if (getppid() == parent)
		answer(STDIN_FILENO);
	_exit(0);
}

void bystander_begin(struct bystander *b)
{
	int fds[2], parent = (int)getpid();

	*b = (struct bystander){ .fd = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return;
	b->pid = (int)fork();
	if (!b->pid)
		stand_by(fds[1], parent);
	close(fds[1]);
	b->fd = fds[0];
	if (b->pid < 0) {
		close(fds[0]);
		b->pid = 0;
	}
}

void bystander_end(struct bystander *b)
{
	if (!b->pid)
		return;
	close(b->fd);
	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	b->pid = 0;
}

bool bystander_heard(struct bystander *b, int signo)
{
	const struct timespec pause = { .tv_nsec = DELIVERY_NS };
	struct pollfd p = { .fd = b->fd, .events = POLLIN };
	unsigned char word = (unsigned char)signo;

	if (!b->pid)
		return false;
	nanosleep(&pause, NULL);
	if (send(b->fd, &word, 1, MSG_NOSIGNAL) == 1 && poll(&p, 1, PATIENCE_MS) == 1 &&
	    read(b->fd, &word, 1) == 1)
		return word;
	/* Somebody has stopped or killed it. */
	bystander_end(b);
	bystander_begin(b);
	return false;
}
