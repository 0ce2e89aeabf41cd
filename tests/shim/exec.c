/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A program that is started from one under gmem runs under gmem too, or not at all. */
#include <spawn.h>

#include "t.h"

static const char *self, *static_program;
static char *const none[] = { NULL };

/* What the started one says of itself. */
static int under_gmem(void)
{
	int fd = open("/dev/kvm", O_RDWR);
	/* The host's own, if it has one, is a character device behind this name. */
	char link[64] = "", name[32];

	if (fd < 0)
		return 3;
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", getppid(), fd);
	if (readlink("/sys/module/kvm/parameters/force_emulation_prefix", link, sizeof(link)) != -1)
		return 4;
	return ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) == 1 && getenv("LD_PRELOAD") &&
			       strstr(getenv("LD_PRELOAD"), "libgmem-kvm")
		       ? 0
		       : 5;
}

#define RUNS(exec)                             \
	do {                                   \
		pid_t pid_ = fork();           \
		CHECK(pid_ >= 0);              \
		if (pid_ == 0) {               \
			exec;                  \
			_exit(77);             \
		}                              \
		CHECK(exit_status(pid_) == 0); \
	} while (0)

/* The exec fails with this errno, instead of running a program that ends with 0. */
#define GIVES(exec, err)                           \
	do {                                       \
		pid_t pid_ = fork();               \
		CHECK(pid_ >= 0);                  \
		if (pid_ == 0) {                   \
			exec;                      \
			_exit(errno);              \
		}                                  \
		CHECK(exit_status(pid_) == (err)); \
	} while (0)

static void every_exec(char *const argv[])
{
	char *const foreign[] = { (char *)(uintptr_t) "LD_PRELOAD=libm.so.6", NULL };
	char name[32];
	int fd = open(self, O_RDONLY);

	CHECK(fd >= 0);
	RUNS(execv(self, argv));
	RUNS(execve(self, argv, none));
	RUNS(execve(self, argv, foreign));
	RUNS(execvp(self, argv));
	RUNS(execvpe(self, argv, none));
	RUNS(execl(self, self, "child", (char *)NULL));
	RUNS(execle(self, self, "child", (char *)NULL, none));
	RUNS(execlp(self, self, "child", (char *)NULL));
	RUNS(fexecve(fd, argv, none));
	RUNS(execveat(fd, "", argv, none, AT_EMPTY_PATH));
	RUNS(syscall(SYS_execve, self, argv, none));
	RUNS(clearenv(); execv(self, argv));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	RUNS(execve(name, argv, none));
	close(fd);
}

static void spawn(char *const argv[])
{
	pid_t pid;

	CHECK(posix_spawn(&pid, self, NULL, NULL, argv, none) == 0);
	CHECK(exit_status(pid) == 0);
	CHECK(posix_spawnp(&pid, self, NULL, NULL, argv, none) == 0);
	CHECK(exit_status(pid) == 0);
	pid = vfork();
	if (pid == 0) {
		execve(self, argv, none);
		_exit(9);
	}
	CHECK(exit_status(pid) == 0);
}

static void by_a_shell(void)
{
	char command[512];
	FILE *stream;

	snprintf(command, sizeof(command), "exec %s child", self);
	CHECK(clearenv() == 0);
	CHECK(system(command) == 0);
	CHECK(clearenv() == 0);
	stream = popen(command, "r");
	CHECK(stream && pclose(stream) == 0);
}

static void out_of_reach(void)
{
	char *const argv[] = { (char *)(uintptr_t)static_program, NULL };
	pid_t pid;

	GIVES(execve(static_program, argv, none), EACCES);
	GIVES(execl(static_program, static_program, (char *)NULL), EACCES);
	GIVES(execvp(static_program, argv), EACCES);
	GIVES(syscall(SYS_execve, static_program, argv, none), EACCES);
	CHECK(posix_spawn(&pid, static_program, NULL, NULL, argv, none) == EACCES);
	CHECK(WEXITSTATUS(system(static_program)) == 126);
	GIVES(execve("/nonexistent", argv, none), ENOENT);
	GIVES(execve("/", argv, none), EACCES);
	GIVES(execve("/etc/passwd", argv, none), EACCES);
}

int main(int argc, char **argv)
{
	char *child[] = { argv[0], (char *)(uintptr_t) "child", NULL };

	if (argc == 2 && strcmp(argv[1], "child") == 0)
		return under_gmem();
	CHECK(argc == 2);
	self = argv[0];
	static_program = argv[1];
	every_exec(child);
	spawn(child);
	out_of_reach();
	by_a_shell();
	return 0;
}
