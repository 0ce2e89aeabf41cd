/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/tables.h"

static const char *const values[] = {
	[WORDS_NONE] = "-x",
	[WORDS_FILE] = "-r -F",
	[WORDS_FOLDER] = "-x -a '(__fish_complete_directories)'",
	[WORDS_PID] = "-x -a '(__fish_complete_pids)'",
	[WORDS_PROGRAM] = "-x -a '(__fish_complete_subcommand)'",
};

/* In single quotes. */
static void put(const char *text, FILE *to)
{
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
}

static void begin(const struct cmd *cmd, FILE *to)
{
	fprintf(to, "complete -c gmem -n '__gmem_is %s'", cmd->name);
}

static void put_value(enum words_kind kind, const char *words, FILE *to)
{
	if (kind == WORDS_LIST)
		fprintf(to, " -x -a '%s'", words);
	else if (kind == WORDS_SEVERAL)
		fprintf(to, " -x -a '(__gmem_several %s)'", words);
	else
		fprintf(to, " %s", values[kind]);
}

static void put_option(const struct cmd *cmd, const struct opt *o, FILE *to)
{
	char words[WORDS_MAX];

	begin(cmd, to);
	fprintf(to, " -l %s", o->name);
	if (o->letter)
		fprintf(to, " -s %c", o->letter);
	/* Of one whose value is optional the value is not completed: fish would ask for one. */
	if (o->arg && !o->flag)
		put_value(tables_value(o, words), words, to);
	fputs(" -d '", to);
	put(o->help, to);
	fputs("'\n", to);
}

static void put_name(const struct cmd *cmd, FILE *to)
{
	const char *part = tables_part(cmd);

	if (part)
		fprintf(to, "complete -c gmem -n '__gmem_lacks %.*s' -a %s -d '",
			(int)(part - cmd->name - 1), cmd->name, part);
	else
		fprintf(to, "complete -c gmem -n '__gmem_lacks' -a %s -d '", cmd->name);
	put(cmd->summary, to);
	fputs("'\n", to);
}

static void put_command(const struct cmd *cmd, void *arg)
{
	FILE *to = arg;
	char words[WORDS_MAX];
	enum words_kind kind = tables_arguments(cmd, words);

	put_name(cmd, to);
	for (const struct opt *o = cmd->opts; o && o->name; o++)
		put_option(cmd, o, to);
	if (cmd->parts || kind == WORDS_NONE)
		return;
	begin(cmd, to);
	if (kind == WORDS_FILE)
		fputs(" -F", to);
	else
		put_value(kind, words, to);
	fputc('\n', to);
}

void complete_fish(FILE *to)
{
	fputs("# fish completion of gmem, made from its tables of options\n"
	      "# Are these the words that gmem was called with?\n"
	      "function __gmem_is\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -l end (math 1 + (count $argv))\n"
	      "\ttest (count $words) -ge $end\n"
	      "\tand test \"$words[2..$end]\" = \"$argv\"\n"
	      "end\n"
	      "# Does the next one come directly after these?\n"
	      "function __gmem_lacks\n"
	      "\tset -l words (commandline -opc)\n"
	      "\ttest \"$words[2..]\" = \"$argv\"\n"
	      "end\n"
	      "# These, behind what stands there up to the last comma.\n"
	      "function __gmem_several\n"
	      "\tset -l word (commandline -ct | string replace -r '^--[^=]*=' '')\n"
	      "\tset -l before (string match -r '^.*,' -- $word)\n"
	      "\tprintf '%s\\n' \"$before\"$argv\n"
	      "end\n"
	      "complete -c gmem -f\n"
	      "complete -c gmem -l help -d 'tell what it does'\n",
	      to);
	tables_each(put_command, to);
}
