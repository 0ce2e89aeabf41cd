/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/opts.h"

#include "cmd/cmd.h"

#include <string.h>

static const struct opt *find(const struct opt *opts, const char *name, size_t size)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		if (strlen(o->name) == size && memcmp(o->name, name, size) == 0)
			return o;
	}
	return NULL;
}

static const struct opt *find_letter(const struct opt *opts, char letter)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		if (o->letter == letter)
			return o;
	}
	return NULL;
}

static bool keep(const struct cmd *cmd, const struct opt *opt, const char *value)
{
	if (!opt->values) {
		*opt->value = value;
		return true;
	}
	if (opt->values->nr == OPT_MAX_VALUES) {
		cmd_usage_error(cmd, "option --%s: at most %u times", opt->name, OPT_MAX_VALUES);
		return false;
	}
	opt->values->values[opt->values->nr++] = value;
	return true;
}

/* How many arguments it took, or -1. */
static int take(const struct cmd *cmd, const struct opt *opt, const char *equals, char *next)
{
	if (!opt->arg) {
		if (equals) {
			cmd_usage_error(cmd, "option --%s takes no value", opt->name);
			return -1;
		}
		*opt->flag = true;
		return 1;
	}
	if (opt->flag) {
		*opt->flag = true;
		*opt->value = equals ? equals + 1 : NULL;
		return 1;
	}
	if (!equals && !next) {
		cmd_usage_error(cmd, "option --%s needs a value (%s)", opt->name, opt->arg);
		return -1;
	}
	if (!keep(cmd, opt, equals ? equals + 1 : next))
		return -1;
	return equals ? 1 : 2;
}

int opts_parse(const struct cmd *cmd, int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		const char *name = argv[i] + 2, *equals = strchr(argv[i], '=');
		const struct opt *opt = NULL;
		int n;

		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		if (argv[i][1] == '-')
			opt = find(cmd->opts, name,
				   equals ? (size_t)(equals - name) : strlen(name));
		else if (!argv[i][2])
			opt = find_letter(cmd->opts, argv[i][1]);
		if (!opt) {
			cmd_usage_error(cmd, "unknown option '%s'", argv[i]);
			return -1;
		}
		n = take(cmd, opt, equals, argv[i + 1]);
		if (n < 0)
			return -1;
		i += n;
	}
	return i;
}

bool opts_ask_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	}
	return false;
}
