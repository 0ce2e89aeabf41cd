/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/injected.h"

#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "see/inject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_NAME "--inject"

static struct inject_table *table_of(const struct watch *w)
{
	return obs_region_at(w->region.r, OBS_AT_INJECTION);
}

static int read_seed(const struct cmd *cmd, const char *text, uint64_t *seed)
{
	char *end;

	errno = 0;
	*seed = text ? strtoull(text, &end, 0) : 1;
	if (text && (errno || *end || end == text || *text == '-'))
		return cmd_usage_error(cmd, "--seed %s: expected a number", text);
	return EXIT_OK;
}

/* The end of a path says most. */
static void set_source(struct inject_table *t, const char *name)
{
	size_t n = strlen(name), most = sizeof(t->source) - 1;
	size_t left_out = n > most ? n - most : 0;

	snprintf(t->source, sizeof(t->source), "%s", name + left_out);
}

static int parse(const struct cmd *cmd, struct watch *w, const struct launch *l, const char *name,
		 const char *text, size_t size)
{
	struct see_inject_problem problem;

	set_source(table_of(w), name);
	if (!see_inject_parse(text, size, launch_profile(l), table_of(w), &problem)) {
		w->region.r->injects = 1;
		return EXIT_OK;
	}
	cmd_complain(cmd, "%s:%u:%u: %s", name, problem.line, problem.column, problem.text);
	return EXIT_USAGE;
}

static int read_file(const struct watch *w, const char *argument, const char *name, char **text,
		     size_t *size)
{
	int err = see_inject_read(name, text, size);

	if (!err)
		return EXIT_OK;
	if (name != argument)
		cmd_complain(w->cmd, "--inject %s: %s cannot be read: %s", argument, name,
			     strerror(-err));
	else
		cmd_complain(
			w->cmd,
			"--inject %s: taken for a file, which cannot be read: %s; a rule begins "
			"with one of %s",
			argument, strerror(-err), see_inject_points());
	return EXIT_USAGE;
}

int injected_begin(struct watch *w, const struct launch *l, const char *rules, const char *seed)
{
	char *text = NULL;
	size_t size;
	enum see_inject_source source = see_inject_source(rules);
	const char *name = *rules == '@' ? rules + 1 : rules;
	int ret;

	ret = read_seed(w->cmd, seed, &table_of(w)->seed);
	if (ret != EXIT_OK)
		return ret;
	if (source == SEE_INJECT_BOTH)
		return cmd_usage_error(w->cmd,
				       "--inject %s: it is a rule, and there is a file of that "
				       "name: '%s;' is the rule, '@%s' the file",
				       rules, rules, rules);
	if (source == SEE_INJECT_RULES)
		return parse(w->cmd, w, l, TEXT_NAME, rules, strlen(rules));
	ret = read_file(w, rules, name, &text, &size);
	if (ret != EXIT_OK)
		return ret;
	ret = parse(w->cmd, w, l, name, text, size);
	free(text);
	return ret;
}

void injected_end(const struct watch *w, bool quiet)
{
	if (!w->region.r->injects || quiet)
		return;
	if (!table_of(w)->nr) {
		cmd_complain(w->cmd, "nothing was made on purpose: there is no rule");
		return;
	}
	cmd_complain(w->cmd, "made on purpose, of the events that fitted (--seed %llu):",
		     (unsigned long long)table_of(w)->seed);
	see_inject_tell(table_of(w), stderr);
}
