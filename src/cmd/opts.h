/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * opts: long options by table. "--name VALUE" and "--name=VALUE"; "--" and the first word that is no
 * option end them.
 */
#ifndef GMEM_CMD_OPTS_H
#define GMEM_CMD_OPTS_H

#include <stdbool.h>

struct cmd;

/* Of an option that may be given several times. */
#define OPT_MAX_VALUES 8u
struct opt_values {
	const char *values[OPT_MAX_VALUES];
	unsigned int nr;
};

struct opt {
	const char *name; /* without the dashes; NULL ends a table */
	const char *arg;  /* what the value is called in help; NULL: the option takes none */
	const char *help;
	const char **value; /* set when arg is given */
	bool *flag; /* set when it is not; with arg, too: "--name" and "--name=VALUE" are both right */
	char letter;		   /* "-o" is the same; 0: there is none */
	struct opt_values *values; /* instead of value */
	const char *
		words; /* what the value may be, for completion; NULL: by what arg says (FILE, ...) */
};

/* The index of the first argument after the options, or -1 when it has complained. */
int opts_parse(const struct cmd *cmd, int argc, char **argv);

/* Is there a --help or -h among the options? */
bool opts_ask_for_help(int argc, char **argv);

#endif
