/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/opts.h"
static int demo(const struct cmd *cmd, int argc, char **argv)
{
	return EXIT_FAILED;
}
const struct cmd cmd_demo = {
	.name = "demo",
	.synopsis = "",
	.run = demo,
};
