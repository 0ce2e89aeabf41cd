/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a forked child may do: nothing with a VM or a vCPU, everything with a guest_memfd. */
#include <sched.h>

#include "t.h"

static struct spinning s;
static int gmem;
static char *mem;

static void look_around(void)
{
	struct stat st;
	char *own;

	FAILS(ioctl(s.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), EIO);
	FAILS(ioctl(s.vcpu, KVM_RUN, 0), EIO);
	FAILS(ioctl(gmem, KVM_RUN, 0), ENOTTY);
	CHECK(fstat(gmem, &st) == 0 && st.st_size == 4 * (long)PAGE);
	FAILS(fallocate(gmem, 0, 0, PAGE), EOPNOTSUPP);
	FAILS(fallocate(gmem, FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE), EINVAL);
	own = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	CHECK(own != MAP_FAILED);
	CHECK(own[0] == 'p' && mem[0] == 'p');
	own[PAGE] = 'c';
	CHECK(fallocate(gmem, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE) == 0);
	CHECK(own[0] == 0 && mem[0] == 0);
	CHECK(munmap(own, 4 * PAGE) == 0);
	close(make_vm(0));
}

static int64_t modified(void)
{
	struct stat st;

	CHECK(fstat(gmem, &st) == 0);
	return st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* The home itself has done it. */
static void the_parent_sees(pid_t child)
{
	static int64_t last;

	CHECK(child > 0);
	CHECK(exit_status(child) == 0);
	CHECK(modified() > last);
	last = modified();
	CHECK(mem[0] == 0);
	CHECK(mem[PAGE] == 'c');
	mem[0] = 'p';
	mem[PAGE] = 0;
	CHECK(ioctl(s.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) == 1);
}

static int look_around_in_clone(void *arg)
{
	look_around();
	return 0;
}

static void any_way_to_fork(void)
{
	static char stack[256 << 10] __attribute__((aligned(16)));
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		look_around();
		_exit(0);
	}
	the_parent_sees(pid);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0) {
		look_around();
		_exit(0);
	}
	the_parent_sees(pid);
	the_parent_sees(clone(look_around_in_clone, stack + sizeof(stack), SIGCHLD, NULL));
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			look_around();
		else
			_exit(exit_status(pid));
		_exit(0);
	}
	the_parent_sees(pid);
}

/* vfork: the child shares the parent's memory and may close and replace its own descriptors. */
static void a_vfork_child_changes_nothing(void)
{
	int vm = s.vm;
	pid_t pid = vfork();

	if (pid == 0) {
		close(vm);
		dup2(0, gmem);
		execl("/bin/true", "true", NULL);
		_exit(9);
	}
	CHECK(pid > 0 && exit_status(pid) == 0);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) == 1);
	CHECK(fallocate(gmem, FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signo)
{
	alarms++;
}

/* Forks while another thread is all the time inside gmem. */
static void forks_while_a_vcpu_runs(void)
{
	struct sigaction act = { .sa_handler = count_alarm };
	pid_t pid;

	sigaction(SIGALRM, &act, NULL);
	for (int i = 0; i < 20; i++) {
		pid = fork();
		if (pid == 0) {
			CHECK(fallocate(gmem, FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0);
			_exit(0);
		}
		CHECK(exit_status(pid) == 0);
	}
}

/* The store outlives the home as long as a child has it. */
static void the_home_may_die_first(void)
{
	int ready[2];
	char c = 0;
	pid_t home, child;

	CHECK(pipe(ready) == 0);
	home = fork();
	if (home == 0) {
		int own = make_gmem(make_vm(0), PAGE, 3);
		char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);

		page[0] = 'h';
		child = fork();
		if (child)
			_exit(0);
		while (getppid() == home)
			usleep(1000);
		while (kill(getppid(), 0) == 0 && getppid() != 1 && getppid() == home)
			usleep(1000);
		usleep(50000);
		CHECK(page[0] == 'h');
		CHECK(fallocate(own, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE) == 0);
		CHECK(page[0] == 0);
		CHECK(write(ready[1], &c, 1) == 1);
		_exit(0);
	}
	CHECK(exit_status(home) == 0);
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1);
	close(ready[0]);
}

int main(void)
{
	s = make_spinning();
	gmem = make_gmem(s.vm, 4 * PAGE, 3);
	mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	CHECK(mem != MAP_FAILED);
	mem[0] = 'p';
	usleep(1000);
	any_way_to_fork();
	a_vfork_child_changes_nothing();
	forks_while_a_vcpu_runs();
	the_home_may_die_first();
	return 0;
}
