/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Whole programs that others have written: the kernel's own tests, as tools/fetch-selftests makes them. GMEM_SELFTESTS
 * says where they are.
 */
#include "bench/sets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST 4096

static char path[LONGEST];

static int program_setup(struct bench_run *r)
{
	const char *folder = getenv("GMEM_SELFTESTS"), *name = r->bcase->data;

	if (!folder || !folder[0])
		return bench_refuse(r, -EOPNOTSUPP, "GMEM_SELFTESTS says no folder");
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (access(path, X_OK))
		return bench_refuse(r, -EOPNOTSUPP, "no %s in GMEM_SELFTESTS", name);
	return 0;
}

static void become_program(void)
{
	int nothing = open("/dev/null", O_RDWR);

	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	dup2(nothing, STDERR_FILENO);
	execl(path, path, (char *)NULL);
	_exit(127);
}

static int program_round(struct bench_run *r)
{
	int status = -1;
	pid_t pid;

	bench_start(r);
	pid = fork();
	if (!pid)
		become_program();
	if (pid > 0)
		waitpid(pid, &status, 0);
	bench_stop(r);
	return status ? bench_refuse(r, -EIO, "ended with status %#x", (unsigned int)status) : 0;
}

static const struct bench_ops ops = { program_setup, program_round, NULL };

/* clang-format off */
const struct bench_case bench_program_cases[] = {
	{ .name = "program/private_mem_conversions_test", .what = "the kernel's test of that name, from its start to its end",
	  .unit = BENCH_TIME, .per = "run", .nr = 1, .slow = true, .data = "x86_64/private_mem_conversions_test",
	  .ways = { { .name = "gmem", .ours = true, .ops = &ops, .place = BENCH_UNDER_GMEM } }, .goals = { { .limit = 3e9 } } },
	{ 0 },
};
/* clang-format on */
