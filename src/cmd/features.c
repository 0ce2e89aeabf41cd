/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/host.h"
#include "cmd/launch.h"
#include "cmd/opts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static struct launch launch = { .quiet = true };

static const struct opt opts[] = {
	{ "profile", "NAME", "the kernel that gmem shall answer like", .value = &launch.profile },
	{ 0 },
};

static void ask_in_child(const struct cmd *cmd, int out)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *argv[] = { self, (char *)cmd_ask.name, NULL };

	self[n > 0 ? n : 0] = '\0';
	dup2(out, STDOUT_FILENO);
	_exit(launch_exec(cmd, &launch, argv));
}

static bool read_answers(FILE *in, char (*answers)[ASK_ANSWER_MAX])
{
	for (size_t i = 0; i < ask_nr_questions(); i++) {
		if (!fgets(answers[i], ASK_ANSWER_MAX, in))
			return false;
		answers[i][strcspn(answers[i], "\n")] = '\0';
	}
	return true;
}

/* The same questions, asked by a child under gmem. */
static bool ask_gmem(const struct cmd *cmd, char (*answers)[ASK_ANSWER_MAX])
{
	int ends[2], status = -1;
	bool ok = false;
	FILE *in;
	pid_t pid;

	if (pipe(ends) != 0)
		return false;
	pid = fork();
	if (pid == 0)
		ask_in_child(cmd, ends[1]);
	close(ends[1]);
	in = fdopen(ends[0], "r");
	if (in && pid > 0)
		ok = read_answers(in, answers);
	if (in)
		fclose(in);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return ok && status == 0;
}

static void print_host(void)
{
	char answer[ASK_ANSWER_MAX];

	printf("\n%-46s %s\n", "what else this kernel has for guest memory", "this host");
	for (size_t i = 0; i < host_nr_facts(); i++) {
		host_fact(i, answer);
		printf("%-46s %s\n", host_fact_name(i), answer);
	}
}

static void print_table(char (*host)[ASK_ANSWER_MAX], char (*gmem)[ASK_ANSWER_MAX])
{
	struct utsname name;
	char title[ASK_ANSWER_MAX] = "this host";

	if (uname(&name) == 0)
		snprintf(title, sizeof(title), "host (%.20s)", name.release);
	printf("%-46s %-30s under gmem (%s)\n", "what a program finds", title,
	       launch_profile(&launch));
	for (size_t i = 0; i < ask_nr_questions(); i++)
		printf("%-46s %-30s %s\n", ask_question(i), host[i], gmem[i]);
}

static int features(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	char(*answers)[ASK_ANSWER_MAX];
	bool ok;

	if (first < 0 || cmd_no_arguments(cmd, first, argc, argv) != EXIT_OK ||
	    launch_check(cmd, &launch) != EXIT_OK)
		return EXIT_USAGE;
	answers = calloc(2 * ask_nr_questions(), sizeof(*answers));
	if (!answers)
		return EXIT_FAILED;
	ask_all(answers);
	ok = ask_gmem(cmd, answers + ask_nr_questions());
	print_table(answers, answers + ask_nr_questions());
	print_host();
	free(answers);
	if (!ok)
		cmd_complain(cmd, "the program under gmem did not answer all questions");
	return ok ? EXIT_OK : EXIT_FAILED;
}

const struct cmd cmd_features = {
	.name = "features",
	.synopsis = "[OPTION...]",
	.summary = "show what this host's kernel has beside what gmem adds",
	.details =
		"Every answer comes from really asking: the host's /dev/kvm, and the one that a\n"
		"program under gmem finds.\n",
	.opts = opts,
	.run = features,
};
