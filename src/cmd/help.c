/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/opts.h"

#include <string.h>

static const char intro[] =
	"gmem gives unmodified KVM programs guest private memory (guest_memfd) on any Linux host:\n"
	"it preloads a library into them that answers for /dev/kvm. No KVM, no root needed.\n"
	"\n"
	"usage: gmem COMMAND [OPTION...] [ARGUMENT...]\n"
	"\n"
	"commands:\n";

static const char outro[] =
	"\n"
	"`gmem COMMAND --help` tells more of one; gmem(1) tells all.\n"
	"\n"
	"Private pages are hidden from the program's own mappings and system calls, which catches\n"
	"every accident. It is no protection against hostile code inside the same process.\n";

static void print_overview(FILE *to)
{
	fputs(intro, to);
	for (const struct cmd *const *c = cmd_list(); *c; c++) {
		if ((*c)->summary)
			fprintf(to, "  %-10s %s\n", (*c)->name, (*c)->summary);
	}
	fputs(outro, to);
}

static void print_option(FILE *to, const struct opt *opt)
{
	char letter[8] = "", left[40];

	if (opt->letter)
		snprintf(letter, sizeof(letter), "-%c, ", opt->letter);
	snprintf(left, sizeof(left), opt->arg && opt->flag ? "%s--%s%s%s]" : "%s--%s%s%s", letter,
		 opt->name,
		 opt->arg && opt->flag ? "[="
		 : opt->arg	       ? " "
				       : "",
		 opt->arg ? opt->arg : "");
	fprintf(to, "  %-18s %s\n", left, opt->help);
}

static void print_options(FILE *to, const struct cmd *cmd)
{
	char list[LAUNCH_LIST_MAX];

	fputs("\noptions:\n", to);
	for (const struct opt *o = cmd->opts; o->name; o++) {
		print_option(to, o);
		if (strcmp(o->name, "profile") == 0) {
			launch_list_profiles(list);
			fprintf(to, "  %-18s (the first is the default: %s)\n", "", list);
		}
	}
}

void cmd_print_help(FILE *to, const struct cmd *cmd)
{
	if (cmd == &cmd_help) {
		print_overview(to);
		return;
	}
	fprintf(to, "usage: gmem %s%s%s\n\n%s\n", cmd->name, cmd->synopsis[0] ? " " : "",
		cmd->synopsis, cmd->summary ? cmd->summary : "internal");
	if (cmd->opts)
		print_options(to, cmd);
	if (cmd->details)
		fprintf(to, "\n%s", cmd->details);
}

static int help(const struct cmd *cmd, int argc, char **argv)
{
	const struct cmd *about = cmd;

	if (argc > 1)
		about = cmd_find(argv[1]);
	if (!about)
		return cmd_usage_error(NULL, "unknown command '%s'", argv[1]);
	cmd_print_help(stdout, about);
	return EXIT_OK;
}

const struct cmd cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.summary = "tell what the commands do",
	.run = help,
};
