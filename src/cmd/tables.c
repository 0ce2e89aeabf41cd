/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/tables.h"

#include "bench/bench.h"
#include "bench/measure.h"
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/opts.h"
#include "obs/record.h"
#include "see/explain.h"
#include "see/names.h"
#include "see/policy.h"

#include <string.h>

void tables_each(void (*take)(const struct cmd *cmd, void *arg), void *arg)
{
	for (const struct cmd *const *c = cmd_list(); *c; c++) {
		if (!(*c)->summary)
			continue;
		take(*c, arg);
		for (const struct cmd *part = (*c)->parts; part && part->name; part++)
			take(part, arg);
	}
}

const char *tables_part(const struct cmd *cmd)
{
	const char *space = strchr(cmd->name, ' ');

	return space ? space + 1 : NULL;
}

/* ---- lists of words --------------------------------------------------------------------------------- */

static void add(char words[WORDS_MAX], const char *word)
{
	size_t len = strlen(words);

	snprintf(words + len, WORDS_MAX - len, "%s%s", len ? " " : "", word);
}

/* "linux-7.2, linux-6.18" */
static void add_profiles(char words[WORDS_MAX])
{
	char list[LAUNCH_LIST_MAX], *save;

	launch_list_profiles(list);
	for (char *word = strtok_r(list, ", ", &save); word; word = strtok_r(NULL, ", ", &save))
		add(words, word);
}

static void add_commands(const struct cmd *cmd, void *words)
{
	if (!tables_part(cmd))
		add(words, cmd->name);
}

static void add_parts(const struct cmd *cmd, char words[WORDS_MAX])
{
	for (const struct cmd *part = cmd->parts; part->name; part++)
		add(words, tables_part(part));
}

static void add_case(const struct bench_case *c, void *words)
{
	add(words, c->name);
}

#define MAX_ERRNO 4096

/* Those that some rule gives. */
static void add_errors(char words[WORDS_MAX])
{
	for (int err = 1; err < MAX_ERRNO; err++)
		if (see_errno(-err) && explain_is_error(see_errno(-err)))
			add(words, see_errno(-err));
}

static void add_results(char words[WORDS_MAX])
{
	add(words, "ok");
	add(words, "error");
	add_errors(words);
}

/* "convert by gfn" as one word. */
static void add_kinds(char words[WORDS_MAX])
{
	char name[32];

	for (unsigned int kind = 1; kind < OBS_NR_EVENTS; kind++) {
		snprintf(name, sizeof(name), "%s", see_kind(kind)->name);
		for (char *at = name; (at = strchr(at, ' '));)
			*at = '-';
		add(words, name);
	}
}

static void add_policies(char words[WORDS_MAX])
{
	add(words, POLICY_WORDS);
	for (size_t i = 0; i < explain_lint.nr; i++)
		add(words, explain_lint.entries[i].id);
}

static void add_explained(char words[WORDS_MAX])
{
	for (const struct explain_table *const *t = explain_tables; *t; t++)
		for (size_t i = 0; i < (*t)->nr; i++)
			add(words, (*t)->entries[i].id);
	for (size_t i = 0; i < explain_nr_requests; i++)
		add(words, explain_requests[i].name);
	add_errors(words);
}

/* ---- what can stand where --------------------------------------------------------------------------- */

static bool says(const char *synopsis, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = synopsis; (at = strstr(at, word)); at++)
		if ((at == synopsis || strchr("[ |", at[-1])) && strchr("] |", at[len]))
			return true;
	return false;
}

static enum words_kind by_name(const char *text)
{
	if (says(text, "PROGRAM"))
		return WORDS_PROGRAM;
	if (says(text, "FILE") || says(text, "TRACE"))
		return WORDS_FILE;
	if (says(text, "FOLDER"))
		return WORDS_FOLDER;
	return says(text, "PID") ? WORDS_PID : WORDS_NONE;
}

/* Options whose words are of tables that are not the command's own. */
static const struct {
	const char *name;
	void (*add)(char words[WORDS_MAX]);
	enum words_kind kind;
} made[] = {
	{ "profile", add_profiles, WORDS_LIST },
	{ "kind", add_kinds, WORDS_SEVERAL },
	{ "result", add_results, WORDS_LIST },
	{ "fail-on", add_policies, WORDS_SEVERAL },
};

enum words_kind tables_value(const struct opt *o, char words[WORDS_MAX])
{
	*words = '\0';
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		if (strcmp(o->name, made[i].name))
			continue;
		made[i].add(words);
		return made[i].kind;
	}
	if (!o->words)
		return by_name(o->arg);
	add(words, o->words);
	return WORDS_LIST;
}

enum words_kind tables_arguments(const struct cmd *cmd, char words[WORDS_MAX])
{
	*words = '\0';
	if (cmd->parts)
		add_parts(cmd, words);
	else if (says(cmd->synopsis, "COMMAND"))
		tables_each(add_commands, words);
	else if (says(cmd->synopsis, "CASE...") || says(cmd->synopsis, "CASE"))
		bench_for_each(NULL, 0, add_case, words);
	else if (says(cmd->synopsis, "RULE"))
		add_explained(words);
	return *words ? WORDS_LIST : by_name(cmd->synopsis);
}
