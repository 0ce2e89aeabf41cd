/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The process that made a guest_memfd is stopped, goes on, and is killed, while another process wants something of the
 * file: nothing hangs, and each answer says whether it helps to ask again.
 */
#include <sys/time.h>

#include <gmem/ioctl.h>

#include "t.h"

#define SIZE (8 * PAGE)

static struct kvm_memory_attributes2 args;
static volatile sig_atomic_t nr_alarms;

static void on_alarm(int signal)
{
	nr_alarms++;
}

static int change(int gmem, uint64_t size, uint64_t attributes)
{
	args = (struct kvm_memory_attributes2){ .size = size, .attributes = attributes };
	return ioctl(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args);
}

static int convert(int gmem)
{
	return change(gmem, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

/* How many bytes are private; -1: that cannot be had. */
static long nr_private(int gmem)
{
	struct gmem_ioctl_run runs[4];
	struct gmem_ioctl_attributes a = { .size = SIZE, .runs = (uintptr_t)runs, .max_runs = 4 };
	long nr = 0;

	if (ioctl(gmem, GMEM_GET_ATTRIBUTES, &a))
		return -1;
	for (uint32_t i = 0; i < a.nr_runs; i++)
		nr += runs[i].attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE ? (long)runs[i].size : 0;
	return nr;
}

/* Again and again, since one may come before the call. */
static void alarms(bool wanted)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval often = { .it_interval = { .tv_usec = wanted ? 50000 : 0 },
				   .it_value = { .tv_usec = wanted ? 50000 : 0 } };

	CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void stop(pid_t home)
{
	char path[64], text[512], state = 0;

	CHECK(kill(home, SIGSTOP) == 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", home);
	while (state != 'T') {
		FILE *f = fopen(path, "re");

		CHECK(f && fgets(text, sizeof(text), f));
		fclose(f);
		state = strrchr(text, ')')[2];
	}
}

static void while_it_is_stopped(int gmem, int other, pid_t home)
{
	/* Once both know each other. */
	CHECK(convert(gmem) == 0);
	stop(home);
	alarms(true);
	FAILS(convert(gmem), EINTR);
	CHECK(nr_alarms > 0);
	/* Here the signal comes before the process is asked, which is not known yet. */
	FAILS(convert(other), EINTR);
	alarms(false);
	FAILS(convert(gmem), EAGAIN);
	FAILS(nr_private(gmem), EAGAIN);
	CHECK(kill(home, SIGCONT) == 0);
	CHECK(convert(gmem) == 0);
}

static void when_it_is_gone(int gmem, pid_t home)
{
	CHECK(change(gmem, PAGE, 0) == 0);
	CHECK(nr_private(gmem) == SIZE - PAGE);
	CHECK(kill(home, SIGKILL) == 0);
	while (kill(home, 0) == 0)
		usleep(1000);
	FAILS(convert(gmem), EIO);
	/* What is known of it can be asked still. */
	CHECK(nr_private(gmem) >= 0);
}

/* The child of who made the file; it tells its status by a pipe, as who should wait for it is killed. */
static void ask(int gmem, int other, pid_t home, int out)
{
	char done = 1;

	while_it_is_stopped(gmem, other, home);
	when_it_is_gone(gmem, home);
	CHECK(write(out, &done, 1) == 1);
	exit(0);
}

static int make_file(int vm)
{
	return make_gmem(vm, SIZE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
}

static void be_home(int out)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem = make_file(vm), other = make_file(vm);
	pid_t self = getpid(), pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		ask(gmem, other, self, out);
	close(out);
	for (;;)
		pause();
}

int main(void)
{
	int ends[2], status;
	char done = 0;
	pid_t pid;

	CHECK(pipe(ends) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		close(ends[0]);
		be_home(ends[1]);
	}
	close(ends[1]);
	/* Its end is waited for at once, or it would not be gone for others. */
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(read(ends[0], &done, 1) == 1 && done == 1);
	return 0;
}
