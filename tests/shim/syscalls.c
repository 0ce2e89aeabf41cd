/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* syscall() answers as the function of the same name. */
#include "t.h"

static void descriptors(void)
{
	int kvm = (int)syscall(SYS_openat, AT_FDCWD, "/dev/kvm", O_RDWR | O_CLOEXEC);
	int old = (int)syscall(SYS_open, "/dev/kvm", O_RDWR);
	struct stat st;

	CHECK(kvm >= 0 && old >= 0);
	CHECK(syscall(SYS_ioctl, kvm, KVM_GET_API_VERSION, 0) == 12);
	CHECK(syscall(SYS_ioctl, old, KVM_GET_API_VERSION, 0) == 12);
	CHECK(syscall(SYS_fcntl, kvm, F_DUPFD, 100) == 100);
	CHECK(syscall(SYS_dup2, kvm, 101) == 101);
	CHECK(syscall(SYS_dup3, kvm, 102, 0) == 102);
	for (int fd = 100; fd <= 102; fd++)
		CHECK(ioctl(fd, KVM_GET_API_VERSION, 0) == 12);
	CHECK(syscall(SYS_close_range, 100, 102, 0) == 0);
	FAILS(ioctl(101, KVM_GET_API_VERSION, 0), EBADF);
	CHECK(syscall(SYS_fstat, kvm, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK(syscall(SYS_newfstatat, AT_FDCWD, "/dev/kvm", &st, 0) == 0 && S_ISCHR(st.st_mode));
	CHECK(syscall(SYS_newfstatat, kvm, "", &st, AT_EMPTY_PATH) == 0 && S_ISCHR(st.st_mode));
	CHECK(syscall(SYS_access, "/dev/kvm", R_OK | W_OK) == 0);
	CHECK(syscall(SYS_close, old) == 0);
	CHECK(syscall(SYS_close, kvm) == 0);
	FAILS(syscall(SYS_close, kvm), EBADF);
}

static void memory(void)
{
	int vm = make_vm(0);
	int gmem = make_gmem(vm, 2 * PAGE, 3);
	char *mem = (char *)syscall(SYS_mmap, NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				    gmem, 0);

	CHECK(mem != MAP_FAILED);
	mem[0] = 1;
	FAILS(syscall(SYS_read, gmem, mem, 1), EINVAL);
	FAILS(syscall(SYS_pread64, gmem, mem, 1, 0), ESPIPE);
	FAILS(syscall(SYS_lseek, gmem, 0, SEEK_SET), ESPIPE);
	FAILS(syscall(SYS_ftruncate, gmem, PAGE), EINVAL);
	FAILS(syscall(SYS_fallocate, gmem, 0, 0, PAGE), EOPNOTSUPP);
	CHECK(syscall(SYS_fallocate, gmem, 3, 0, PAGE) == 0);
	CHECK(mem[0] == 0);
	FAILS(syscall(SYS_madvise, mem, PAGE, MADV_FREE), EINVAL);
	mem[0] = 2;
	CHECK(syscall(SYS_madvise, mem, PAGE, MADV_REMOVE) == 0);
	CHECK(mem[0] == 0);
	FAILS(syscall(SYS_mprotect, mem, PAGE, PROT_READ | PROT_EXEC), EACCES);
	FAILS(syscall(SYS_msync, mem, PAGE, MS_SYNC), EINVAL);
	CHECK(syscall(SYS_munmap, mem, 2 * PAGE) == 0);
	close(gmem);
	close(vm);
}

static volatile int arrived;

static void note(int signo)
{
	arrived++;
}

static void signals(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} act = { 0 }, old = { 0 };

	CHECK(signal(SIGUSR1, note) == SIG_DFL);
	CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8) == 0);
	CHECK(old.handler == note);
	act.handler = SIG_IGN;
	CHECK(syscall(SYS_rt_sigaction, SIGUSR1, &act, &old, 8) == 0);
	raise(SIGUSR1);
	CHECK(arrived == 0);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, &act, &old, 4), EINVAL);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, 8, &old, 8), EFAULT);
}

static void others_pass(void)
{
	char buf[8];
	int pair[2];

	CHECK(syscall(SYS_getpid) == getpid());
	CHECK(syscall(SYS_pipe2, pair, 0) == 0);
	CHECK(syscall(SYS_write, pair[1], "abc", 3) == 3);
	CHECK(syscall(SYS_read, pair[0], buf, sizeof(buf)) == 3);
	FAILS(syscall(SYS_read, -1, buf, 1), EBADF);
	FAILS(syscall(9999), ENOSYS);
}

int main(void)
{
	descriptors();
	memory();
	signals();
	others_pass();
	return 0;
}
