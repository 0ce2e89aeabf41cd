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

static void become_vmm(const struct cmd *cmd, char *vmm, const struct launch *l)
{
	char *argv[] = { vmm, NULL };

	if (l)
		_exit(launch_exec(cmd, l, argv));
	execv(vmm, argv);
	_exit(EXIT_NOT_FOUND);
}

/* l NULL: not under gmem. Its exit status, or that of a shell when a signal killed it. */
static int run_vmm(const struct cmd *cmd, char *vmm, const struct launch *l)
{
	int status = 0;
	pid_t pid;

	printf("\n$ %s", l ? "gmem run " : "");
	if (l && l->profile)
		printf("--profile %s ", l->profile);
	puts(l ? "-- minivmm" : "minivmm");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		become_vmm(cmd, vmm, l);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The kernel of tomorrow, unless another one was asked for. */
static int run_in_place(const struct cmd *cmd, char *vmm)
{
	const struct launch in_place = { .profile = "in-place", .quiet = true };

	if (launch.profile)
		return EXIT_OK;
	puts("\nThat was two copies of each page, or one that the host never sees. No released kernel can\n"
	     "convert a page in place: one copy, and SIGBUS for the host while it is private. gmem can, as\n"
	     "the kernel series has it:");
	return run_vmm(cmd, vmm, &in_place);
}

static int demo(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	char vmm[PATH_MAX];
	int status;

	if (first < 0 || cmd_no_arguments(cmd, first, argc, argv) != EXIT_OK ||
	    launch_check(cmd, &launch) != EXIT_OK)
		return EXIT_USAGE;
	if (!launch_find("examples/minivmm", "minivmm", vmm)) {
		cmd_complain(cmd, "the example minivmm is not built");
		return EXIT_FAILED;
	}
	puts("minivmm is a VMM of some 400 lines that keeps its guest's memory in a guest_memfd. It knows\n"
	     "/dev/kvm and nothing of gmem. First on this host's own kernel:");
	status = run_vmm(cmd, vmm, NULL);
	puts(status == 0 ? "\nThis kernel has all of it by itself. Now under gmem:"
			 : "\nThat was all. The same program, unchanged, under gmem:");
	status = run_vmm(cmd, vmm, &launch);
	return status ? status : run_in_place(cmd, vmm);
}

const struct cmd cmd_demo = {
	.name = "demo",
	.synopsis = "[OPTION...]",
	.summary = "run a small VMM on the host's own kernel and then under gmem",
	.opts = opts,
	.run = demo,
};
