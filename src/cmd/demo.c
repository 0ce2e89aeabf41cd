/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/opts.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct launch launch;

static const struct opt opts[] = {
	{ "profile", "NAME", "the kernel that gmem shall answer like", .value = &launch.profile },
	{ 0 },
};

static void become_vmm(const struct cmd *cmd, char *vmm, bool under_gmem)
{
	char *argv[] = { vmm, NULL };

	if (under_gmem)
		_exit(launch_exec(cmd, &launch, argv));
	execv(vmm, argv);
	_exit(EXIT_NOT_FOUND);
}

/* Its exit status, or that of a shell when a signal killed it. */
static int run_vmm(const struct cmd *cmd, char *vmm, bool under_gmem)
{
	int status = 0;
	pid_t pid;

	printf("\n$ %sminivmm\n", under_gmem ? "gmem run -- " : "");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		become_vmm(cmd, vmm, under_gmem);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int demo(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	char vmm[PATH_MAX];
	int status;

	if (first < 0 || cmd_no_arguments(cmd, first, argc, argv) != EXIT_OK ||
	    launch_check(cmd, &launch) != EXIT_OK)
		return EXIT_USAGE;
	if (!launch_find("examples/minivmm", "gmem/minivmm", vmm)) {
		cmd_complain(cmd, "the example minivmm is not built");
		return EXIT_FAILED;
	}
	puts("minivmm is a VMM of 400 lines that keeps its guest's memory in a guest_memfd. It knows\n"
	     "/dev/kvm and nothing of gmem. First on this host's own kernel:");
	status = run_vmm(cmd, vmm, false);
	puts(status == 0 ? "\nThis kernel has all of it by itself. Now under gmem:"
			 : "\nThat was all. The same program, unchanged, under gmem:");
	return run_vmm(cmd, vmm, true);
}

const struct cmd cmd_demo = {
	.name = "demo",
	.synopsis = "[OPTION...]",
	.summary = "run a small VMM on the host's own kernel and then under gmem",
	.opts = opts,
	.run = demo,
};
