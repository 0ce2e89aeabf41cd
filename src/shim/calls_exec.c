/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Starting another program. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/exec.h"
#include "shim/fork.h"
#include "shim/real.h"
#include "shim/shim.h"

SHIM_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return (int)shim_return(exec_run(AT_FDCWD, path, argv, envp, 0));
}

SHIM_EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

SHIM_EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[],
			 int flags)
{
	return (int)shim_return(exec_run(dirfd, path, argv, envp, flags));
}

SHIM_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	if (fd < 0)
		return (int)shim_return(-EINVAL);
	return (int)shim_return(exec_run(fd, "", argv, envp, AT_EMPTY_PATH));
}

/* ---- along PATH -------------------------------------------------------------------------- */

/* The next directory of the list and the name in it; false: the list is at its end. */
static bool next_in_path(const char **list, const char *name, char out[PATH_MAX])
{
	size_t n, size = strlen(name);

	do {
		if (!*list)
			return false;
		n = strcspn(*list, ":");
		memcpy(out, *list, n < PATH_MAX ? n : 0);
		*list = (*list)[n] ? *list + n + 1 : NULL;
	} while (n + size + 2 > PATH_MAX);
	if (n)
		out[n++] = '/';
	memcpy(out + n, name, size + 1);
	return true;
}

static const char *path_list(void)
{
	const char *list = getenv("PATH");

	return list ? list : "/bin:/usr/bin";
}

/* A file in no format is what a shell reads. */
static long run_by_shell(const char *path, char *const argv[], char *const envp[])
{
	size_t n = 0;
	char **args;

	while (argv[n])
		n++;
	args = __builtin_alloca((n + 3) * sizeof(*args));
	args[0] = (char *)(uintptr_t)_PATH_BSHELL;
	args[1] = (char *)(uintptr_t)path;
	for (size_t i = 1; i <= n; i++)
		args[i + 1] = argv[i];
	if (n == 0)
		args[2] = NULL;
	return exec_run(AT_FDCWD, _PATH_BSHELL, args, envp, 0);
}

static long run_one(const char *path, char *const argv[], char *const envp[])
{
	long ret = exec_run(AT_FDCWD, path, argv, envp, 0);

	return ret == -ENOEXEC ? run_by_shell(path, argv, envp) : ret;
}

static bool goes_on(long ret)
{
	return ret == -ENOENT || ret == -EACCES || ret == -ENOTDIR || ret == -ESTALE ||
	       ret == -ENODEV || ret == -ETIMEDOUT;
}

static long search_and_run(const char *name, char *const argv[], char *const envp[])
{
	const char *list = path_list();
	bool denied = false;
	char path[PATH_MAX];
	long ret = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/'))
		return run_one(name, argv, envp);
	while (next_in_path(&list, name, path)) {
		ret = run_one(path, argv, envp);
		if (!goes_on(ret))
			return ret;
		denied |= ret == -EACCES;
	}
	return denied ? -EACCES : ret;
}

SHIM_EXPORT int execvpe(const char *name, char *const argv[], char *const envp[])
{
	return (int)shim_return(search_and_run(name, argv, envp));
}

SHIM_EXPORT int execvp(const char *name, char *const argv[])
{
	return execvpe(name, argv, environ);
}

/* ---- with arguments in a row ------------------------------------------------------------- */

static size_t count_arguments(va_list args)
{
	size_t n = 1;

	while (va_arg(args, char *))
		n++;
	return n;
}

/* Fills argv and leaves the list behind the NULL. */
#define GATHER(first, argv, args)                                  \
	do {                                                       \
		size_t n_;                                         \
		va_start(args, first);                             \
		n_ = count_arguments(args);                        \
		va_end(args);                                      \
		argv = __builtin_alloca((n_ + 1) * sizeof(*argv)); \
		va_start(args, first);                             \
		argv[0] = (char *)(uintptr_t)first;                \
		for (size_t i_ = 1; i_ <= n_; i_++)                \
			argv[i_] = va_arg(args, char *);           \
	} while (0)

SHIM_EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list args;
	char **argv;

	GATHER(arg, argv, args);
	va_end(args);
	return execve(path, argv, environ);
}

SHIM_EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list args;
	char **argv;
	char **envp;

	GATHER(arg, argv, args);
	envp = va_arg(args, char **);
	va_end(args);
	return execve(path, argv, envp);
}

SHIM_EXPORT int execlp(const char *name, const char *arg, ...)
{
	va_list args;
	char **argv;

	GATHER(arg, argv, args);
	va_end(args);
	return execvpe(name, argv, environ);
}

/* ---- spawn ------------------------------------------------------------------------------- */

typedef int (*spawn_function)(pid_t *, const char *, const posix_spawn_file_actions_t *,
			      const posix_spawnattr_t *, char *const *, char *const *);

static int spawn(spawn_function fn, pid_t *pid, const char *path,
		 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
		 char *const argv[], char *const envp[])
{
	char **pointers = __builtin_alloca(exec_nr_pointers(envp) * sizeof(*pointers));
	char *text = __builtin_alloca(exec_text_size(envp));

	exec_environment(envp, pointers, text);
	fork_before_vfork();
	return fn(pid, path, actions, attr, argv, pointers);
}

SHIM_EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
			    const posix_spawn_file_actions_t *restrict actions,
			    const posix_spawnattr_t *restrict attr, char *const argv[restrict],
			    char *const envp[restrict])
{
	int ret = exec_judge(AT_FDCWD, path, 0);

	/* A name that is not there may be, where the child changes its directory to. */
	if (ret && ret != -ENOENT)
		return -ret;
	return spawn(real()->posix_spawn, pid, path, actions, attr, argv, envp);
}

/* The file that will be run; 0 also when there is none, which is not ours to say. */
static int judge_in_path(const char *name)
{
	const char *list = path_list();
	char path[PATH_MAX];

	if (strchr(name, '/'))
		return exec_judge(AT_FDCWD, name, 0);
	while (next_in_path(&list, name, path)) {
		int ret = exec_judge(AT_FDCWD, path, 0);

		if (!goes_on(ret) || ret == -EACCES)
			return ret;
	}
	return 0;
}

SHIM_EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict name,
			     const posix_spawn_file_actions_t *restrict actions,
			     const posix_spawnattr_t *restrict attr, char *const argv[restrict],
			     char *const envp[restrict])
{
	int ret = judge_in_path(name);

	if (ret && ret != -ENOENT)
		return -ret;
	return spawn(real()->posix_spawnp, pid, name, actions, attr, argv, envp);
}

/* ---- by way of a shell: the C library starts it with the program's own environment ------- */

static void keep_environment(void)
{
	size_t nr = exec_nr_pointers(environ);
	char **pointers = __builtin_alloca(nr * sizeof(*pointers));
	char *text = __builtin_alloca(exec_text_size(environ));

	exec_environment(environ, pointers, text);
	for (; *pointers; pointers++) {
		char *value = strchr(*pointers, '=');
		char name[32], *now;
		size_t n = value ? (size_t)(value - *pointers) : sizeof(name);

		if (n >= sizeof(name) ||
		    (strncmp(*pointers, "LD_PRELOAD=", 11) && strncmp(*pointers, "GMEM_", 5)))
			continue;
		memcpy(name, *pointers, n);
		name[n] = '\0';
		now = getenv(name);
		if (!now || strcmp(now, value + 1))
			setenv(name, value + 1, 1);
	}
}

SHIM_EXPORT int system(const char *command)
{
	keep_environment();
	fork_before_vfork();
	return real()->system(command);
}

SHIM_EXPORT FILE *popen(const char *command, const char *mode)
{
	keep_environment();
	fork_before_vfork();
	return real()->popen(command, mode);
}
