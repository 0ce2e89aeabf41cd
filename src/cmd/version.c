/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/opts.h"

static int version(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);

	if (first < 0 || cmd_no_arguments(cmd, first, argc, argv) != EXIT_OK)
		return EXIT_USAGE;
	printf("gmem %s\n", GMEM_VERSION);
	return EXIT_OK;
}

const struct cmd cmd_version = {
	.name = "version",
	.synopsis = "",
	.summary = "print the version",
	.run = version,
};
