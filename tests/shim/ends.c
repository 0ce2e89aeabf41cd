/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The end of a program is its own: by its last thread, by a fault, by becoming another program. */
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "t.h"

static const char *self;

static void *linger(void *arg)
{
	usleep(20000);
	return NULL;
}

/* gmem waits for what children do to this one's memory, in threads of its own. */
static void the_last_thread_ends_it(void)
{
	int gmem = make_gmem(make_vm(0), PAGE, 0);
	pthread_t thread;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	close(gmem);
	CHECK(pthread_create(&thread, NULL, linger, NULL) == 0);
	pthread_exit(NULL);
}

static void with_its_last_thread(void)
{
	int status = 0;
	pid_t pid = fork(), ended = 0;

	if (pid == 0) {
		setpgid(0, 0);
		the_last_thread_ends_it();
	}
	for (int i = 0; i < 1000 && ended == 0; i++) {
		ended = waitpid(pid, &status, WNOHANG);
		usleep(10000);
	}
	/* With the child that it has left, too. */
	kill(-pid, SIGKILL);
	CHECK(ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- by a fault ---------------------------------------------------------------------------- */

/* Where the traced child is when it is about to get a signal; 0: it is dead. */
static unsigned long next_stop(pid_t pid)
{
	struct user_regs_struct regs;
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status)) {
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
		return 0;
	}
	CHECK(WSTOPSIG(status) == SIGSEGV);
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
	return regs.rip;
}

/* What a core dump shows, and a debugger. */
static void a_fault_kills_where_it_was(void)
{
	unsigned long at, last = 0, first = 0;
	volatile uintptr_t nowhere = 8;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		*(volatile char *)nowhere = 1;
		_exit(0);
	}
	while ((at = next_stop(pid))) {
		first = first ? first : at;
		last = at;
		CHECK(ptrace(PTRACE_CONT, pid, NULL, SIGSEGV) == 0);
	}
	CHECK(first && last == first);
}

/* ---- by exec ------------------------------------------------------------------------------- */

static int which_are_ignored(void)
{
	struct sigaction segv, bus;

	sigaction(SIGSEGV, NULL, &segv);
	sigaction(SIGBUS, NULL, &bus);
	return (segv.sa_handler == SIG_IGN) + 2 * (bus.sa_handler == SIG_IGN);
}

static int ignored_in_the_next_program(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/nonexistent", "x", (char *)NULL);
		execl(self, self, "child", (char *)NULL);
		_exit(9);
	}
	return exit_status(pid);
}

static void ignored_signals_stay_ignored(void)
{
	pid_t pid;

	CHECK(ignored_in_the_next_program() == 0);
	signal(SIGSEGV, SIG_IGN);
	CHECK(ignored_in_the_next_program() == 1);
	signal(SIGBUS, SIG_IGN);
	signal(SIGSEGV, SIG_DFL);
	CHECK(ignored_in_the_next_program() == 2);
	pid = vfork();
	if (pid == 0) {
		execl(self, self, "child", (char *)NULL);
		_exit(9);
	}
	CHECK(exit_status(pid) == 2);
	signal(SIGBUS, SIG_DFL);
}

/* gmem's own accesses may fault after an exec that did not happen. */
static void a_failed_exec_changes_nothing(void)
{
	int vm = make_vm(0);

	signal(SIGSEGV, SIG_IGN);
	FAILS(execl("/dev/null", "x", (char *)NULL), EACCES);
	FAILS(execl(self, self, (char *)1, (char *)NULL), EFAULT);
	FAILS(ioctl(vm, KVM_SET_USER_MEMORY_REGION, 8), EFAULT);
	CHECK(which_are_ignored() == 1);
	signal(SIGSEGV, SIG_DFL);
	close(vm);
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc == 2)
		return which_are_ignored();
	with_its_last_thread();
	a_fault_kills_where_it_was();
	ignored_signals_stay_ignored();
	a_failed_exec_changes_nothing();
	return 0;
}
