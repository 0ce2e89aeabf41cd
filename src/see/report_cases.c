/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The cases: how the program ended, what must not happen, and each code of lint. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "see/explain.h"
#include "see/lint.h"
#include "see/names.h"
#include "see/policy.h"
#include "see/report.h"
#include "see/text.h"

static const struct {
	enum policy_kind kind;
	const char *name, *what;
} policies[] = {
	{ POLICY_REFUSED, "refused", "no request is refused" },
	{ POLICY_LOST, "lost", "no event is lost" },
	{ POLICY_TWICE, "twice", "no memory is held twice" },
	{ POLICY_LEAK, "leak", "nothing is left open" },
};

static struct report_case program_case(const struct report *rep)
{
	struct report_case c = { .suite = "program",
				 .name = "status",
				 .what = "the program succeeds" };

	c.verdict = rep->status ? REPORT_FAILED : REPORT_PASSED;
	snprintf(c.message, sizeof(c.message), "exit status %d", rep->status);
	return c;
}

/* One that nobody asked for is told, but is no failure. */
static struct report_case policy_case(const struct report *rep, const struct policy *p, size_t i)
{
	const struct policy_item *item = policy_find(p, policies[i].kind);
	const struct policy_item unasked = { .kind = policies[i].kind, .name = policies[i].name };
	struct report_case c = { .suite = "policy",
				 .name = policies[i].name,
				 .what = policies[i].what };
	char found[200];
	bool broken = policy_is_broken(item ? item : &unasked, rep, found, sizeof(found));

	c.verdict = !item ? REPORT_SKIPPED : broken ? REPORT_FAILED : REPORT_PASSED;
	snprintf(c.message, sizeof(c.message), "%s%s", item ? "" : "not asked for: ", found);
	return c;
}

static struct report_case rule_case(const struct report *rep, const struct policy_item *item)
{
	struct report_case c = { .suite = "policy",
				 .name = item->name,
				 .what = see_rule_text(item->rule) };

	c.verdict = policy_is_broken(item, rep, c.message, sizeof(c.message)) ? REPORT_FAILED
									      : REPORT_PASSED;
	return c;
}

const char *report_why_not(const struct report *rep, const char *code)
{
	const char *const *why = rep->run.why_not;
	unsigned int n = code ? lint_code_by_name(code, strlen(code)) : 0;

	if (code)
		return n ? why[n - 1] : NULL;
	for (unsigned int i = 0; i < LINT_NR_CODES; i++)
		if (why[i])
			return why[i];
	return NULL;
}

static struct report_case lint_case(const struct report *rep, const struct explain_entry *e)
{
	struct report_case c = {
		.suite = "lint", .name = e->id, .code = e->id, .what = e->sentence
	};
	uint64_t times, nr = report_nr_found(rep, e->id, &times);

	if (!rep->run.has_lint) {
		c.verdict = REPORT_SKIPPED;
		snprintf(c.message, sizeof(c.message), "lint was not asked for");
	} else if (nr) {
		c.verdict = REPORT_FAILED;
		snprintf(c.message, sizeof(c.message), "%" PRIu64 " place%s, %" PRIu64 " time%s",
			 nr, nr > 1 ? "s" : "", times, times > 1 ? "s" : "");
	} else if (report_why_not(rep, e->id)) {
		c.verdict = REPORT_SKIPPED;
		snprintf(c.message, sizeof(c.message), "not judged: %s",
			 report_why_not(rep, e->id));
	}
	return c;
}

void report_cases(const struct report *rep, const struct policy *p,
		  bool (*take)(const struct report_case *c, void *arg), void *arg)
{
	struct report_case c = program_case(rep);
	bool more = take(&c, arg);

	for (size_t i = 0; more && i < sizeof(policies) / sizeof(policies[0]); i++) {
		c = policy_case(rep, p, i);
		more = take(&c, arg);
	}
	for (size_t i = 0; more && i < p->nr; i++) {
		if (p->items[i].kind != POLICY_RULE)
			continue;
		c = rule_case(rep, &p->items[i]);
		more = take(&c, arg);
	}
	/* Rules that refuse are the first table; what lint finds are the others. */
	for (const struct explain_table *const *t = explain_tables; more && *t; t++) {
		for (size_t i = 0; more && *t != &explain_rules && i < (*t)->nr; i++) {
			c = lint_case(rep, &(*t)->entries[i]);
			more = take(&c, arg);
		}
	}
}

void report_finding_text(const struct report_finding *f, char *text, size_t size)
{
	char bytes[TEXT_NUMBER_MAX], how_much[TEXT_NUMBER_MAX + 16] = "";

	if (f->bytes)
		snprintf(how_much, sizeof(how_much), ", %s", text_size(f->bytes, TEXT_AUTO, bytes));
	snprintf(text, size, "%s, %" PRIu64 " time%s%s", f->place, f->nr, f->nr == 1 ? "" : "s",
		 how_much);
}

/* ---- formats ---------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *suffix;
	void (*write)(const struct report *rep, const struct policy *p, FILE *to);
} formats[REPORT_NR_FORMATS] = {
	[REPORT_JSON] = { "json", ".json", report_json },
	[REPORT_JUNIT] = { "junit", ".xml", report_junit },
	[REPORT_TAP] = { "tap", ".tap", report_tap },
};

enum report_format report_format_by_name(const char *name)
{
	int f = 0;

	while (f < REPORT_NR_FORMATS && strcmp(formats[f].name, name))
		f++;
	return (enum report_format)f;
}

enum report_format report_format_by_path(const char *path)
{
	size_t len = strlen(path);
	int f = 0;

	for (; f < REPORT_NR_FORMATS; f++) {
		size_t end = strlen(formats[f].suffix);

		if (len > end && !strcmp(path + len - end, formats[f].suffix))
			break;
	}
	return (enum report_format)f;
}

void report_write(const struct report *rep, const struct policy *p, enum report_format format,
		  FILE *to)
{
	formats[format].write(rep, p, to);
}
