/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem explain: what an errno, a request or a rule is about. */
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/opts.h"

#include <stdlib.h>
#include <string.h>

#include "kvm/profile.h"
#include "see/explain.h"

#define ERRORS_MAX 128
#define WIDTH 78

static struct launch launch;
static bool list_all;

static const struct opt opts[] = {
	{ "profile", "NAME", "only what the kernel of this profile does",
	  .value = &launch.profile },
	{ "list", NULL, "all rules, one a line", .flag = &list_all },
	{ 0 },
};

/* What was asked: an errno, a request, or both. */
struct question {
	const char *error;
	const struct explain_request *request;
	const struct kvm_profile *profile;
};

static const struct kvm_profile *find_profile(void)
{
	for (size_t i = 0; launch.profile && kvm_profiles[i]; i++)
		if (!strcmp(kvm_profiles[i]->name, launch.profile))
			return kvm_profiles[i];
	return NULL;
}

/* ---- printing ----------------------------------------------------------------------------------- */

static void print_wrapped(const char *text, int indent)
{
	int column = 0;

	for (const char *p = text; *p;) {
		int len = (int)strcspn(p, " ");

		if (column && column + 1 + len > WIDTH) {
			putchar('\n');
			column = 0;
		}
		column += column ? printf(" %.*s", len, p) : printf("%*s%.*s", indent, "", len, p);
		p += len;
		p += strspn(p, " ");
	}
	putchar('\n');
}

static const char *since_text(const struct explain_entry *e, char text[64])
{
	if (!e->since)
		return NULL;
	if (!strcmp(e->since, "any"))
		return "every kernel";
	if (!strcmp(e->since, "gmem"))
		return "gmem alone";
	if (!strncmp(e->since, "in ", 3))
		snprintf(text, 64, "profiles %s", e->since + 3);
	else if (strchr(e->since, ' '))
		snprintf(text, 64, "Linux %.*s, and %s", (int)strcspn(e->since, " "), e->since,
			 strchr(e->since, ' ') + 1);
	else
		snprintf(text, 64, "Linux %s", e->since);
	return text;
}

static void print_requests(const char *list)
{
	static const struct {
		const char *set, *text;
	} sets[] = {
		{ "*SYSTEM", "all on /dev/kvm" },
		{ "*VM", "all on a VM" },
		{ "*VCPU", "all on a vCPU" },
		{ "*GMEM", "all on a guest_memfd" },
		{ "*IN", "all whose structure is read" },
		{ "*OUT", "all whose structure is written" },
	};
	char text[1024] = "", one[64];

	for (const char *p = list; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		const char *name = one;

		snprintf(one, sizeof(one), "%.*s", (int)len, p);
		for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
			if (!strcmp(one, sets[i].set))
				name = sets[i].text;
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			 *text ? ", " : "", name);
		p += len;
	}
	print_wrapped(*text ? text : "any", 12);
}

static void print_example(const char *text)
{
	putchar('\n');
	for (size_t len; *text; text += len) {
		len = strcspn(text, "\n");
		printf("%*s%.*s\n", len ? 6 : 0, "", (int)len, text);
		len += text[len] == '\n';
	}
}

static void print_entry(const struct explain_entry *e, const struct kvm_profile *profile)
{
	char text[ERRORS_MAX], since[64];

	printf("%s: %s\n", e->id, e->sentence);
	if (e->errors) {
		explain_errors(e, profile, text, sizeof(text));
		printf("  returns   %s\n", text);
	}
	if (e->since)
		printf("  since     %s\n", since_text(e, since));
	if (e->requests) {
		printf("  requests\n");
		print_requests(e->requests);
	}
	if (profile && !explain_holds(e, profile))
		printf("  The kernel of %s has no such rule.\n", profile->name);
	putchar('\n');
	print_wrapped(e->more, 2);
	if (e->example)
		print_example(e->example);
}

static void print_line(const struct explain_entry *e, const struct question *q)
{
	char errors[ERRORS_MAX] = "", since[64];

	if (q->error)
		snprintf(errors, sizeof(errors), "%s", q->error);
	else if (e->errors)
		explain_errors(e, q->profile, errors, sizeof(errors));
	printf("  %-24s %-10s", e->id, errors);
	/* Several errnos have the line for themselves. */
	if (strlen(errors) > 10)
		printf("\n%37s", "");
	printf(" %s", e->sentence);
	if (e->since && strcmp(e->since, "any"))
		printf(" (%s)", since_text(e, since));
	putchar('\n');
}

/* ---- questions ---------------------------------------------------------------------------------- */

static bool is_general(const struct explain_entry *e)
{
	return e->requests && !*e->requests;
}

static bool answers(const struct explain_entry *e, const struct question *q, bool general)
{
	if (q->profile && !explain_holds(e, q->profile))
		return false;
	if (q->error && !explain_gives(e, q->error, q->profile))
		return false;
	if (!q->request)
		return !general;
	return general ? is_general(e) : explain_belongs(e, q->request);
}

static size_t print_matching(const struct question *q, bool general)
{
	bool whole = q->error && q->request && !general;
	size_t nr = 0;

	for (const struct explain_table *const *t = explain_tables; *t; t++) {
		for (size_t i = 0; i < (*t)->nr; i++) {
			const struct explain_entry *e = &(*t)->entries[i];

			if (!answers(e, q, general))
				continue;
			nr++;
			print_line(e, q);
			if (whole)
				print_wrapped(e->more, 6);
		}
	}
	return nr;
}

static void print_head(const struct question *q)
{
	if (q->request)
		printf("%s: %s\n", q->request->name, q->request->what);
	printf("%s%s, in the order of the checks%s%s:\n", q->error ? q->error : "refused",
	       q->error ? " comes from" : "", q->profile ? ", as " : "",
	       q->profile ? q->profile->name : "");
}

static int answer(const struct question *q)
{
	size_t nr;

	print_head(q);
	nr = print_matching(q, false);
	if (!nr)
		printf("  (no rule of its own)\n");
	if (q->request) {
		printf("and as with any call:\n");
		if (!print_matching(q, true))
			printf("  (none)\n");
	}
	return EXIT_OK;
}

/* ---- words -------------------------------------------------------------------------------------- */

static int unknown(const struct cmd *cmd, const char *word)
{
	const char *near[5];
	size_t nr = explain_near(word, near, 5);
	char text[256] = "";

	for (size_t i = 0; i < nr; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? ", " : "",
			 near[i]);
	if (nr)
		cmd_complain(cmd, "'%s' is no rule, request or errno; near it: %s", word, text);
	else
		cmd_complain(
			cmd,
			"'%s' is no rule, request or errno; `gmem explain --list` has the rules",
			word);
	return EXIT_USAGE;
}

static int one_word(const struct cmd *cmd, struct question *q, const char *word)
{
	const struct explain_entry *e = explain_find(word);

	if (e) {
		print_entry(e, q->profile);
		return EXIT_OK;
	}
	q->request = explain_find_request(word);
	if (!q->request && explain_is_error(word))
		q->error = word;
	return q->request || q->error ? answer(q) : unknown(cmd, word);
}

static int two_words(const struct cmd *cmd, struct question *q, char **words)
{
	for (int i = 0; i < 2; i++) {
		const struct explain_request *r = explain_find_request(words[i]);

		if (r && !q->request)
			q->request = r;
		else if (explain_is_error(words[i]) && !q->error)
			q->error = words[i];
		else if (r || explain_is_error(words[i]) || explain_find(words[i]))
			return cmd_usage_error(cmd, "an errno and a request, or one word");
		else
			return unknown(cmd, words[i]);
	}
	return answer(q);
}

static int explain(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	struct question q = { 0 };

	if (first < 0 || launch_check(cmd, &launch) != EXIT_OK)
		return EXIT_USAGE;
	q.profile = find_profile();
	if (list_all && first == argc) {
		print_matching(&q, false);
		return EXIT_OK;
	}
	if (list_all || argc - first < 1 || argc - first > 2)
		return cmd_usage_error(cmd, list_all ? "--list takes no words"
						     : "an errno, a request, both, or a rule");
	return argc - first == 1 ? one_word(cmd, &q, argv[first])
				 : two_words(cmd, &q, argv + first);
}

const struct cmd cmd_explain = {
	.name = "explain",
	.synopsis = "[OPTION...] [ERRNO] [REQUEST] | RULE",
	.summary = "tell why a request is refused",
	.details =
		"`gmem explain EINVAL KVM_SET_USER_MEMORY_REGION2` tells all that the request is\n"
		"refused by with that errno, in the order of the checks. A rule is what GMEM_LOG=why\n"
		"says in brackets. gmem-kvm(7) has all requests.\n",
	.opts = opts,
	.run = explain,
};
