/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A handle is let go once, whoever finds that its last copy is gone. One thread closes its number while a child
 * still has a copy; the child, who traces that thread, closes the copy just then and lets it go on instruction
 * by instruction, and between any two another thread looks for closes.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <time.h>

#include "t.h"

#define ENOUGH_NS \
	300000 /* for a look; the traced thread may hold what the one who looks waits for */

struct stage {
	_Atomic int closer, go, done;
	_Atomic unsigned long looks;
};

static struct stage *stage;
static int waiting, closing;

static void *look(void *arg)
{
	(void)arg;
	while (!stage->done) {
		ioctl(-1, FIOCLEX);
		stage->looks++;
	}
	return NULL;
}

static void *close_it(void *arg)
{
	(void)arg;
	stage->closer = (int)syscall(SYS_gettid);
	while (!stage->go)
		;
	close(closing);
	stage->done = 1;
	return NULL;
}

/* ---- the child ------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void let_look(void)
{
	uint64_t until = now_ns() + ENOUGH_NS;
	unsigned long before = stage->looks;

	while (stage->looks < before + 2 && now_ns() < until)
		sched_yield();
}

/* One instruction; a signal that arrives there is let through. false: the thread is gone. */
static bool step(pid_t tid, struct user_regs_struct *regs)
{
	static long signal_next;
	int status;

	if (ptrace(PTRACE_SINGLESTEP, tid, NULL, signal_next) ||
	    waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		return false;
	signal_next = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	return ptrace(PTRACE_GETREGS, tid, NULL, regs) == 0;
}

/* Has the thread just been told that somebody else holds the handle's lock? */
static bool has_been_refused(const struct user_regs_struct *before,
			     const struct user_regs_struct *now)
{
	return before->rax == SYS_fcntl && before->rsi == F_OFD_SETLK &&
	       now->rip == before->rip + 2 && (long)now->rax == -EAGAIN;
}

static int trace(pid_t tid)
{
	struct user_regs_struct before = { 0 }, now = { 0 };
	bool refused = false;

	stage->go = 1;
	while (!stage->done) {
		before = now;
		if (!step(tid, &now))
			return 1;
		if (!refused && has_been_refused(&before, &now)) {
			refused = true;
			close(closing);
		}
		if (refused)
			let_look();
	}
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	return refused ? 0 : 2;
}

static int child(void)
{
	int status, ret;

	while (!stage->closer)
		sched_yield();
	if (ptrace(PTRACE_SEIZE, stage->closer, NULL, NULL)) {
		stage->go = 1;
		return 77;
	}
	ret = ptrace(PTRACE_INTERRUPT, stage->closer, NULL, NULL) ||
			      waitpid(stage->closer, &status, __WALL) != stage->closer
		      ? 3
		      : trace(stage->closer);
	stage->go = 1;
	return ret;
}

/* ---- the process that is traced -------------------------------------------------------------- */

int main(void)
{
	pthread_t looker, closer;
	pid_t pid;
	int ret;

	stage = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(stage != MAP_FAILED);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	waiting = make_vm(0);
	closing = make_vm(0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(child());
	/* So that there is something to look for. */
	close(waiting);
	CHECK(pthread_create(&looker, NULL, look, NULL) == 0);
	CHECK(pthread_create(&closer, NULL, close_it, NULL) == 0);
	CHECK(pthread_join(closer, NULL) == 0);
	CHECK(pthread_join(looker, NULL) == 0);
	ret = exit_status(pid);
	if (ret == 77)
		printf("a child may not trace its parent here\n");
	return ret;
}
