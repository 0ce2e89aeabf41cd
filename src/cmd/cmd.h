/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * cmd: the gmem command. One file per subcommand, each with one `struct cmd` that main.c lists.
 *
 * A single thread, libc as usual. What the command knows of KVM it learns as any program would: by
 * asking /dev/kvm, its own or the host's.
 */
#ifndef GMEM_CMD_CMD_H
#define GMEM_CMD_CMD_H

#include <stdbool.h>
#include <stdio.h>

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
};

struct opt;

struct cmd {
	const char *name;
	const char *synopsis; /* what follows the name in a usage line */
	const char *summary;  /* NULL: not listed by help */
	const char *details;  /* NULL: nothing more to say */
	const struct opt *opts;
	const struct cmd *
		parts; /* commands of its own, "trace record"; one with no name ends them; NULL: none */
	/* argv[0] is the subcommand's name. Returns the exit status. */
	int (*run)(const struct cmd *cmd, int argc, char **argv);
};

extern const struct cmd cmd_run;
extern const struct cmd cmd_top;
extern const struct cmd cmd_trace;
extern const struct cmd cmd_features;
extern const struct cmd cmd_demo;
extern const struct cmd cmd_explain;
extern const struct cmd cmd_lint;
extern const struct cmd cmd_map;
extern const struct cmd cmd_snapshot;
extern const struct cmd cmd_bench;
extern const struct cmd cmd_version;
extern const struct cmd cmd_help;
extern const struct cmd cmd_ask;
extern const struct cmd cmd_bench_way;
extern const struct cmd cmd_complete;
extern const struct cmd cmd_tables;

/* NULL when there is none of that name. */
const struct cmd *cmd_find(const char *name);
const struct cmd *const *cmd_list(void); /* ends with NULL */

/* One line on stderr: "gmem NAME: ...". */
__attribute__((format(printf, 2, 3))) void cmd_complain(const struct cmd *cmd, const char *fmt,
							...);
/* The same for a call that was wrong, with where to read on; returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int cmd_usage_error(const struct cmd *cmd, const char *fmt,
							  ...);
/* Complains unless exactly that many arguments follow argv[first]. */
int cmd_no_arguments(const struct cmd *cmd, int first, int argc, char **argv);
void cmd_print_help(FILE *to, const struct cmd *cmd);

#endif
