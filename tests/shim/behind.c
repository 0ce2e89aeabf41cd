/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Numbers that change behind the library: system calls of the program's own close them or put other files
 * there. Whatever it remembers of a number, the next call on it is answered by what is there.
 */
#include <sys/sysmacros.h>

#include "t.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static long raw(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static bool is_null(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* A VM, a vCPU and a guest_memfd. */
struct three {
	int fd[3];
};

static struct three make_three(void)
{
	struct three t;

	t.fd[0] = make_vm(0);
	t.fd[1] = ioctl(t.fd[0], KVM_CREATE_VCPU, 0);
	CHECK(t.fd[1] >= 0);
	t.fd[2] = make_gmem(t.fd[0], PAGE, 0);
	return t;
}

/* Something that the kernel does for this one alone. */
static long ask(const struct three *t, int i)
{
	struct kvm_mp_state state;

	switch (i) {
	case 0:
		return ioctl(t->fd[0], KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1 ? 0 : -1;
	case 1:
		return ioctl(t->fd[1], KVM_GET_MP_STATE, &state);
	default:
		return fallocate(t->fd[2], FALLOC_FL_KEEP_SIZE, 0, PAGE);
	}
}

static void all_answer(const struct three *t)
{
	for (int i = 0; i < 3; i++)
		CHECK(ask(t, i) == 0);
}

static void other_files_answer(const struct three *t)
{
	for (int i = 0; i < 2; i++) {
		FAILS(ask(t, i), ENOTTY);
		CHECK(is_null(t->fd[i]));
		CHECK(write(t->fd[i], "", 1) == 1);
	}
	FAILS(ask(t, 2), ENODEV);
	CHECK(is_null(t->fd[2]));
	CHECK(write(t->fd[2], "", 1) == 1);
	for (int i = 0; i < 3; i++)
		CHECK(close(t->fd[i]) == 0);
}

static void closed(void)
{
	struct three t = make_three();

	all_answer(&t);
	for (int i = 0; i < 3; i++)
		CHECK(raw(SYS_close, t.fd[i], 0, 0) == 0);
	for (int i = 0; i < 3; i++)
		FAILS(ask(&t, i), EBADF);
}

static void closed_as_a_range(void)
{
	struct three t = make_three();
	int first = t.fd[0], last = t.fd[0];

	for (int i = 1; i < 3; i++) {
		first = t.fd[i] < first ? t.fd[i] : first;
		last = t.fd[i] > last ? t.fd[i] : last;
	}
	all_answer(&t);
	CHECK(raw(SYS_close_range, first, last, 0) == 0);
	for (int i = 0; i < 3; i++)
		FAILS(ask(&t, i), EBADF);
}

static void closed_and_opened(void)
{
	struct three t = make_three();

	all_answer(&t);
	for (int i = 0; i < 3; i++) {
		CHECK(raw(SYS_close, t.fd[i], 0, 0) == 0);
		CHECK(raw(SYS_open, (long)"/dev/null", O_RDWR, 0) == t.fd[i]);
	}
	other_files_answer(&t);
}

static void copied_over(void)
{
	struct three t = make_three();
	int null = open("/dev/null", O_RDWR);

	all_answer(&t);
	for (int i = 0; i < 3; i++)
		CHECK(raw(SYS_dup2, null, t.fd[i], 0) == t.fd[i]);
	other_files_answer(&t);
	close(null);
}

/* What is there is known however it stands. */
static void sought(void)
{
	struct three t = make_three();

	for (int i = 0; i < 3; i++)
		CHECK(raw(SYS_lseek, t.fd[i], i, SEEK_SET) == i);
	all_answer(&t);
	for (int i = 0; i < 3; i++)
		CHECK(close(t.fd[i]) == 0);
}

/* A number that another of ours takes, by a call that the library sees, is that one's at once: also for
 * KVM_RUN, which asks nobody. */
static void another_vcpu(void)
{
	struct spinning s = make_spinning();
	int other = make_vm(0), vcpu;

	s.run->immediate_exit = 1;
	FAILS(ioctl(s.vcpu, KVM_RUN, 0), EINTR);
	CHECK(raw(SYS_close, s.vcpu, 0, 0) == 0);
	vcpu = ioctl(other, KVM_CREATE_VCPU, 0);
	CHECK(vcpu == s.vcpu);
	/* It has no memory, and its kvm_run says nothing of an immediate exit. */
	CHECK(ioctl(vcpu, KVM_RUN, 0) == 0);
	close(vcpu);
	FAILS(ioctl(vcpu, KVM_RUN, 0), EBADF);
	close(other);
	close(s.vm);
}

static unsigned int nr_open(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 20000; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* What stood behind such a number is gone when the number is used again: each VM with its store and its pages
 * would leave descriptors. */
static void what_was_there_is_let_go(void)
{
	unsigned int before = nr_open();

	for (int i = 0; i < 100; i++) {
		struct three t = make_three();

		for (int k = 0; k < 3; k++)
			CHECK(raw(SYS_close, t.fd[k], 0, 0) == 0);
	}
	CHECK(nr_open() < before + 10);
}

int main(void)
{
	closed();
	closed_as_a_range();
	closed_and_opened();
	copied_over();
	sought();
	another_vcpu();
	what_was_there_is_let_go();
	return 0;
}
