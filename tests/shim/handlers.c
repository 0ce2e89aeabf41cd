/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A handler closes descriptors whose copies a child still has, in the middle of the program's malloc():
 * gmem must not allocate, or make a thread, on that way.
 */
#include <stdlib.h>
#include <sys/time.h>

#include "t.h"

#define ROUNDS 8
#define NR_FDS 30

static volatile int fds[NR_FDS], nr_fds;

static void close_one(int signo)
{
	if (nr_fds > 0)
		close(fds[--nr_fds]);
}

static void busy_in_malloc(void)
{
	void *p[50];

	for (int i = 0; i < 50; i++)
		p[i] = malloc((size_t)i * 300 + 1);
	for (int i = 0; i < 50; i++)
		free(p[i]);
}

static void round_of_closes(int vm)
{
	struct itimerval tick = { { 0, 300 }, { 0, 300 } }, off = { { 0, 0 }, { 0, 0 } };
	pid_t child;

	for (int i = 0; i < NR_FDS; i++)
		fds[i] = make_gmem(vm, PAGE, 0);
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	nr_fds = NR_FDS;
	CHECK(setitimer(ITIMER_VIRTUAL, &tick, NULL) == 0);
	while (nr_fds > 0)
		busy_in_malloc();
	CHECK(setitimer(ITIMER_VIRTUAL, &off, NULL) == 0);
	kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
}

int main(void)
{
	int vm = make_vm(0);

	signal(SIGVTALRM, close_one);
	for (int i = 0; i < ROUNDS; i++)
		round_of_closes(vm);
	return 0;
}
