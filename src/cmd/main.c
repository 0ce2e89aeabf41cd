/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/opts.h"

#include <stdarg.h>
#include <string.h>

static const struct cmd *const commands[] = {
	&cmd_run,     &cmd_trace,     &cmd_lint,     &cmd_top,	  &cmd_features, &cmd_demo,
	&cmd_explain, &cmd_map,	      &cmd_snapshot, &cmd_bench,  &cmd_version,	 &cmd_help,
	&cmd_ask,     &cmd_bench_way, &cmd_complete, &cmd_tables, NULL,
};

const struct cmd *const *cmd_list(void)
{
	return commands;
}

const struct cmd *cmd_find(const char *name)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		if (strcmp((*c)->name, name) == 0)
			return *c;
	}
	return NULL;
}

__attribute__((format(printf, 2, 0))) static void complain(const struct cmd *cmd, const char *fmt,
							   va_list ap)
{
	fprintf(stderr, cmd ? "gmem %s: " : "gmem: ", cmd ? cmd->name : "");
	vfprintf(stderr, fmt, ap);
}

void cmd_complain(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(cmd, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int cmd_usage_error(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(cmd, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see `gmem %s%s--help`\n", cmd ? cmd->name : "", cmd ? " " : "");
	return EXIT_USAGE;
}

int cmd_no_arguments(const struct cmd *cmd, int first, int argc, char **argv)
{
	if (first < argc)
		return cmd_usage_error(cmd, "unexpected argument '%s'", argv[first]);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	const struct cmd *cmd;
	const char *name;

	if (argc < 2)
		return cmd_usage_error(NULL, "no command given");
	name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	cmd = cmd_find(name);
	if (!cmd)
		return cmd_usage_error(NULL, "unknown command '%s'", name);
	if (opts_ask_for_help(argc - 1, argv + 1)) {
		cmd_print_help(stdout, cmd);
		return EXIT_OK;
	}
	return cmd->run(cmd, argc - 1, argv + 1);
}
