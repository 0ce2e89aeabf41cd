/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "watch.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000
#define SECOND 1000000000ll
#define LAST_WAIT (10 * SECOND) /* for one that was killed: the kernel may never let go of it */

static int64_t begun;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

void watch_begin(struct pace *p, uint64_t at, const struct op *op)
{
	p->at = at;
	p->op = *op;
	begun = now();
	__atomic_store_n(&p->steps, p->steps + 1, __ATOMIC_RELEASE);
}

void watch_end(struct pace *p)
{
	int64_t took = now() - begun;

	if (took <= p->slowest_ns)
		return;
	p->slowest_ns = took;
	p->slowest = p->op;
}

static bool has_ended(pid_t pid, int *status)
{
	const struct timespec pause = { .tv_nsec = 20 * MS };
	pid_t ended = waitpid(pid, status, WNOHANG);

	if (ended < 0)
		abort();
	if (!ended)
		nanosleep(&pause, NULL);
	return ended != 0;
}

bool watch(pid_t pid, const struct pace *p, uint64_t seconds, int *status)
{
	uint64_t steps = 0, seen;
	int64_t since = now();

	while (now() - since < (int64_t)seconds * SECOND) {
		if (has_ended(pid, status))
			return true;
		seen = __atomic_load_n(&p->steps, __ATOMIC_ACQUIRE);
		if (seen != steps)
			since = now();
		steps = seen;
	}
	kill(pid, SIGKILL);
	for (since = now(); now() - since < LAST_WAIT && !has_ended(pid, status);)
		;
	*status = SIGKILL;
	return false;
}
