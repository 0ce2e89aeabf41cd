/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/tables.h"

#include <string.h>

static const char *const actions[] = {
	[WORDS_NONE] = " ",
	[WORDS_FILE] = "_files",
	[WORDS_FOLDER] = "_files -/",
	[WORDS_PID] = "_pids",
};

/* In single quotes, in a part of a specification that ends at one of these. */
static void put(const char *text, const char *ends, FILE *to)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", to);
		else if (strchr(ends, *text))
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
}

static void put_action(enum words_kind kind, const char *words, FILE *to)
{
	if (kind == WORDS_LIST)
		fprintf(to, "(%s)", words);
	else if (kind == WORDS_SEVERAL)
		fprintf(to, "_sequence compadd - %s", words);
	else
		fputs(actions[kind], to);
}

static void put_option(const struct opt *o, FILE *to)
{
	char words[WORDS_MAX];

	fputs(" \\\n\t\t", to);
	if (o->letter)
		fprintf(to, "'(-%c --%s)'{-%c,--%s=}'[", o->letter, o->name, o->letter, o->name);
	else
		fprintf(to, "'%s--%s%s[", o->values ? "*" : "", o->name,
			!o->arg	  ? ""
			: o->flag ? "=-"
				  : "=");
	put(o->help, "[]:\\", to);
	fputs("]", to);
	if (o->arg) {
		fputs(o->flag ? "::" : ":", to);
		put(o->arg, ":\\", to);
		fputs(":", to);
		put_action(tables_value(o, words), words, to);
	}
	fputs("'", to);
}

static void put_command(const struct cmd *cmd, void *arg)
{
	FILE *to = arg;
	char words[WORDS_MAX];
	enum words_kind kind = tables_arguments(cmd, words);

	if (cmd->parts)
		return;
	fprintf(to, "\t'%s') _arguments '--help[tell what it does]'", cmd->name);
	for (const struct opt *o = cmd->opts; o && o->name; o++)
		put_option(o, to);
	if (kind == WORDS_PROGRAM) {
		fputs(" \\\n\t\t'(-):program: _command_names -e' '*::arguments: _normal'", to);
	} else if (kind != WORDS_NONE) {
		fputs(" \\\n\t\t'*:argument:", to);
		put_action(kind, words, to);
		fputs("'", to);
	}
	fputs(" ;;\n", to);
}

static void put_name(const struct cmd *cmd, void *arg)
{
	if (tables_part(cmd))
		return;
	fprintf(arg, "\t\t'%s:", cmd->name);
	put(cmd->summary, "", arg);
	fputs("'\n", arg);
}

/* "trace record" is told by its second word. */
static void put_parts(const struct cmd *cmd, void *arg)
{
	FILE *to = arg;

	if (!cmd->parts)
		return;
	fprintf(to, "\t%s)\n\t\tif ((CURRENT == 2)); then\n\t\t\tlocal -a parts=(\n", cmd->name);
	for (const struct cmd *part = cmd->parts; part->name; part++) {
		fprintf(to, "\t\t\t'%s:", tables_part(part));
		put(part->summary, "", to);
		fputs("'\n", to);
	}
	fputs("\t\t\t)\n\t\t\t_describe part parts\n\t\t\treturn\n\t\tfi\n"
	      "\t\tname+=\" $words[2]\"\n\t\tshift words\n\t\t((CURRENT--)) ;;\n",
	      to);
}

void complete_zsh(FILE *to)
{
	fputs("#compdef gmem\n"
	      "# zsh completion of gmem, made from its tables of options\n"
	      "_gmem() {\n"
	      "\tlocal curcontext=$curcontext name=$words[2]\n"
	      "\tlocal -a commands=(\n",
	      to);
	tables_each(put_name, to);
	fputs("\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe command commands\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $name in\n",
	      to);
	tables_each(put_parts, to);
	fputs("\tesac\n\tcase $name in\n", to);
	tables_each(put_command, to);
	fputs("\tesac\n}\n\n_gmem \"$@\"\n", to);
}
