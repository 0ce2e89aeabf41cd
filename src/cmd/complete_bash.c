/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * bash splits words at '=' before we see them. Nothing but bash itself is needed; where bash-completion is loaded, the
 * program's own completion goes on behind it.
 */
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/tables.h"

static const char *const replies[] = {
	[WORDS_NONE] = ":",
	[WORDS_FILE] = "_gmem_files -f",
	[WORDS_FOLDER] = "_gmem_files -d",
	[WORDS_PID] = "_gmem_words \"$(cd /proc && echo [0-9]*)\"",
	[WORDS_PROGRAM] = "_gmem_program",
};

static void put_reply(enum words_kind kind, const char *words, FILE *to)
{
	if (kind == WORDS_LIST)
		fprintf(to, "_gmem_words '%s' ;;\n", words);
	else if (kind == WORDS_SEVERAL)
		fprintf(to, "_gmem_several '%s' ;;\n", words);
	else
		fprintf(to, "%s ;;\n", replies[kind]);
}

static void put_options(const struct cmd *cmd, void *arg)
{
	FILE *to = arg;

	fprintf(to, "\t'%s') echo '--help", cmd->name);
	for (const struct opt *o = cmd->opts; o && o->name; o++)
		fprintf(to, " --%s", o->name);
	fputs("' ;;\n", to);
}

static void put_values(const struct cmd *cmd, void *arg)
{
	char words[WORDS_MAX];

	for (const struct opt *o = cmd->opts; o && o->name; o++) {
		if (!o->arg)
			continue;
		/* What is optional stands behind a '='. */
		fprintf(arg, "\t'%s --%s%s'", cmd->name, o->name, o->flag ? "=" : "");
		if (!o->flag)
			fprintf(arg, " | '%s --%s='", cmd->name, o->name);
		if (o->letter)
			fprintf(arg, " | '%s -%c'", cmd->name, o->letter);
		fputs(") ", arg);
		put_reply(tables_value(o, words), words, arg);
	}
}

static void put_arguments(const struct cmd *cmd, void *arg)
{
	char words[WORDS_MAX];

	fprintf(arg, "\t'%s') ", cmd->name);
	put_reply(tables_arguments(cmd, words), words, arg);
}

static void put_parts(const struct cmd *cmd, void *arg)
{
	if (cmd->parts)
		fprintf(arg,
			"\t%s) ((COMP_CWORD > 2)) && command+=\" ${COMP_WORDS[2]}\" && first=3 ;;\n",
			cmd->name);
}

static void put_names(const struct cmd *cmd, void *arg)
{
	if (!tables_part(cmd))
		fprintf(arg, " %s", cmd->name);
}

static const char head[] = "# bash completion of gmem, made from its tables of options\n"
			   "_gmem_words() {\n"
			   "\tlocal IFS=$' \\t\\n'\n"
			   "\tCOMPREPLY=($(compgen -W \"$1\" -- \"$cur\"))\n"
			   "}\n"
			   "\n"
			   "# The last of several with commas between.\n"
			   "_gmem_several() {\n"
			   "\tlocal IFS=$' \\t\\n' before=\n"
			   "\t[[ $cur == *,* ]] && before=${cur%,*},\n"
			   "\tCOMPREPLY=($(compgen -P \"$before\" -W \"$1\" -- \"${cur##*,}\"))\n"
			   "}\n"
			   "\n"
			   "_gmem_files() {\n"
			   "\tlocal IFS=$'\\n'\n"
			   "\tCOMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n"
			   "\tcompopt -o filenames 2>/dev/null\n"
			   "}\n"
			   "\n"
			   "_gmem_program() {\n"
			   "\tif declare -F _command_offset >/dev/null; then\n"
			   "\t\t_command_offset \"$at\"\n"
			   "\telif ((at == COMP_CWORD)) && [[ $cur != */* ]]; then\n"
			   "\t\tCOMPREPLY=($(compgen -c -- \"$cur\"))\n"
			   "\telse\n"
			   "\t\t_gmem_files -f\n"
			   "\tfi\n"
			   "}\n";

static const char tail[] =
	"_gmem() {\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
	"\tlocal first=2 at equals=\n"
	"\tCOMPREPLY=()\n"
	"\tif ((COMP_CWORD == 1)); then\n"
	"\t\t_gmem_words \"$_gmem_commands\"\n"
	"\t\treturn\n"
	"\tfi\n"
	"\t_gmem_parts\n"
	"\t# Where the options end.\n"
	"\tfor ((at = first; at < COMP_CWORD; at++)); do\n"
	"\t\tcase ${COMP_WORDS[at]} in\n"
	"\t\t--) ((at++)); _gmem_arguments \"$command\"; return ;;\n"
	"\t\t=) ((at++)) ;;\n"
	"\t\t-*) [[ ${COMP_WORDS[at+1]} != = ]] && _gmem_takes \"$command ${COMP_WORDS[at]}\" && ((at++)) ;;\n"
	"\t\t*) _gmem_arguments \"$command\"; return ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tif [[ $cur == = ]]; then\n"
	"\t\tcur= equals==\n"
	"\telif [[ $prev == = ]]; then\n"
	"\t\tprev=${COMP_WORDS[COMP_CWORD-2]} equals==\n"
	"\tfi\n"
	"\tif _gmem_takes \"$command $prev$equals\"; then\n"
	"\t\t_gmem_value \"$command $prev$equals\"\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\t_gmem_words \"$(_gmem_options \"$command\")\"\n"
	"\telse\n"
	"\t\tat=$COMP_CWORD\n"
	"\t\t_gmem_arguments \"$command\"\n"
	"\tfi\n"
	"}\n"
	"\n"
	"complete -F _gmem gmem\n";

static void put_takes(const struct cmd *cmd, void *arg)
{
	for (const struct opt *o = cmd->opts; o && o->name; o++) {
		if (!o->arg)
			continue;
		if (!o->flag)
			fprintf(arg, "'%s --%s' | ", cmd->name, o->name);
		if (o->letter)
			fprintf(arg, "'%s -%c' | ", cmd->name, o->letter);
		fprintf(arg, "'%s --%s=' |\\\n\t", cmd->name, o->name);
	}
}

static void put_case(const char *name, void (*put)(const struct cmd *cmd, void *arg), FILE *to)
{
	fprintf(to, "\n%s() {\n\tcase $1 in\n", name);
	tables_each(put, to);
	fputs("\tesac\n}\n", to);
}

void complete_bash(FILE *to)
{
	fputs(head, to);
	fputs("\n_gmem_commands='", to);
	tables_each(put_names, to);
	fputs("'\n", to);
	fputs("\n_gmem_parts() {\n\tcase $command in\n", to);
	tables_each(put_parts, to);
	fputs("\tesac\n}\n", to);
	put_case("_gmem_options", put_options, to);
	put_case("_gmem_value", put_values, to);
	put_case("_gmem_arguments", put_arguments, to);
	fputs("\n_gmem_takes() {\n\tcase $1 in\n\t", to);
	tables_each(put_takes, to);
	fputs("'') return 0 ;;\n\t*) return 1 ;;\n\tesac\n}\n\n", to);
	fputs(tail, to);
}
