/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the build asks: completion for shells, and the tables for the manual pages. */
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/tables.h"

#include <string.h>

static int complete(const struct cmd *cmd, int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *to);
	} shells[] = {
		{ "bash", complete_bash },
		{ "zsh", complete_zsh },
		{ "fish", complete_fish },
	};

	for (size_t i = 0; argc == 2 && i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (!strcmp(shells[i].shell, argv[1])) {
			shells[i].print(stdout);
			return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
		}
	}
	return cmd_usage_error(cmd, "bash, zsh or fish?");
}

/* A line for each command, and for each option of it; tabs between. */
static void print(const struct cmd *cmd, void *arg)
{
	printf("command\t%s\t%s\t%s\n", cmd->name, cmd->synopsis, cmd->summary);
	for (const struct opt *o = cmd->opts; o && o->name; o++)
		printf("option\t%s\t%s\t%.1s\t%s\t%s\t%s\n", cmd->name, o->name, &o->letter,
		       o->arg ? o->arg : "", o->arg && o->flag ? "optional" : "", o->help);
}

static int tables(const struct cmd *cmd, int argc, char **argv)
{
	if (cmd_no_arguments(cmd, 1, argc, argv) != EXIT_OK)
		return EXIT_USAGE;
	tables_each(print, NULL);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

const struct cmd cmd_complete = {
	.name = "__complete",
	.synopsis = "bash|zsh|fish",
	.run = complete,
};

const struct cmd cmd_tables = {
	.name = "__tables",
	.synopsis = "",
	.run = tables,
};
