/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "obs/account.h"
#include "obs/rules.h"
#include "see/explain.h"
#include "see/names.h"
#include "see/report.h"
#include "see/text.h"

/* ---- the list -------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum policy_kind kind;
} words[] = {
	{ "lint", POLICY_LINT },   { "refused", POLICY_REFUSED }, { "lost", POLICY_LOST },
	{ "twice", POLICY_TWICE }, { "leak", POLICY_LEAK },
};

static bool parse_limit(const char *text, uint64_t *out)
{
	const char *end;

	return text_read_size(text, out, &end) && !*end;
}

/* Of these some may be right for a while; a refusal is a matter of its rule, and a loss one of nobody's. */
static bool has_limit(enum policy_kind kind)
{
	return kind == POLICY_TWICE || kind == POLICY_LINT || kind == POLICY_LEAK ||
	       kind == POLICY_CODE;
}

static bool parse_word(const char *word, struct policy_item *item)
{
	size_t len = strcspn(word, ":");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].name) != len || memcmp(words[i].name, word, len))
			continue;
		*item = (struct policy_item){ .kind = words[i].kind, .name = words[i].name };
		return !word[len] ||
		       (has_limit(item->kind) && parse_limit(word + len + 1, &item->limit));
	}
	return false;
}

static bool parse_name(const char *word, struct policy_item *item)
{
	size_t len = strcspn(word, ":");
	const struct explain_entry *e;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)len, word);
	e = explain_find(name);
	if (!e)
		return false;
	*item = (struct policy_item){ .kind = POLICY_CODE, .name = e->id };
	for (unsigned int rule = 1; see_rule(rule); rule++) {
		if (!strcmp(see_rule(rule), e->id)) {
			item->kind = POLICY_RULE;
			item->rule = rule;
		}
	}
	return !word[len] || (has_limit(item->kind) && parse_limit(word + len + 1, &item->limit));
}

const char *policy_parse(struct policy *p, const char *list)
{
	static char word[64];

	for (const char *at = list;; at++) {
		size_t len = strcspn(at, ",");

		snprintf(word, sizeof(word), "%.*s", (int)len, at);
		if (p->nr == POLICY_MAX || len >= sizeof(word) ||
		    (!parse_word(word, &p->items[p->nr]) && !parse_name(word, &p->items[p->nr])))
			return word;
		p->nr++;
		at += len;
		if (!*at)
			return NULL;
	}
}

/* ---- what is in it ---------------------------------------------------------------------------------- */

const struct policy_item *policy_find(const struct policy *p, enum policy_kind kind)
{
	for (size_t i = 0; i < p->nr; i++)
		if (p->items[i].kind == kind)
			return &p->items[i];
	return NULL;
}

bool policy_wants_lint(const struct policy *p)
{
	return policy_find(p, POLICY_LINT) || policy_find(p, POLICY_LEAK) ||
	       policy_find(p, POLICY_CODE);
}

bool policy_forbids_code(const struct policy *p, const char *code)
{
	if (policy_find(p, POLICY_LINT) ||
	    (policy_find(p, POLICY_LEAK) && !strcmp(code, POLICY_LEAK_CODE)))
		return true;
	for (size_t i = 0; i < p->nr; i++)
		if (p->items[i].kind == POLICY_CODE && !strcmp(p->items[i].name, code))
			return true;
	return false;
}

bool policy_forbids_rule(const struct policy *p, unsigned int rule)
{
	if (policy_find(p, POLICY_REFUSED) && rule != RULE_INJECTED)
		return true;
	for (size_t i = 0; i < p->nr; i++)
		if (p->items[i].kind == POLICY_RULE && p->items[i].rule == rule)
			return true;
	return false;
}

/* ---- judging ----------------------------------------------------------------------------------------- */

/* "12 requests were refused" */
static bool say(char *message, size_t size, uint64_t nr, const char *one, const char *many,
		const char *none)
{
	if (nr)
		snprintf(message, size, "%" PRIu64 " %s", nr, nr == 1 ? one : many);
	else
		snprintf(message, size, "%s", none);
	return nr;
}

/* Processes whose memory nobody has looked at, or not at all of it. */
static uint32_t nr_not_seen(const struct report *rep)
{
	uint32_t nr = atomic_load(&rep->region->accounts_lost);
	uint32_t end = atomic_load(&rep->region->nr_processes);

	for (uint32_t i = 0; i < end && i < OBS_MAX_PROCESSES; i++) {
		struct account_snapshot *s = report_account(rep, i);

		nr += s && ((s->flags & (ACCOUNT_BLIND | ACCOUNT_NO_PROGRAM)) || s->left_vms);
		free(s);
	}
	return nr;
}

static bool judge_twice(const struct policy_item *item, const struct report *rep, char *message,
			size_t size)
{
	uint32_t unknown = nr_not_seen(rep);
	uint64_t most = report_peak_twice(rep);
	char text[TEXT_NUMBER_MAX];

	if (most > item->limit || (most && !unknown))
		snprintf(message, size, "a VM held %s twice at its peak",
			 text_size(most, TEXT_AUTO, text));
	else if (unknown)
		snprintf(message, size, "of %" PRIu32 " process%s with a VM it is not known",
			 unknown, unknown == 1 ? "" : "es");
	else
		snprintf(message, size, "no memory was held twice");
	return most > item->limit || unknown;
}

/* A mistake in a loop is one mistake. "2 places, 4097 times" */
static bool judge_found(const struct policy_item *item, const struct report *rep, const char *code,
			const char *none, char *message, size_t size)
{
	uint64_t times, nr = report_nr_found(rep, code, &times);
	const char *why_not = report_why_not(rep, code);

	if (nr)
		snprintf(message, size, "found at %" PRIu64 " place%s, %" PRIu64 " time%s in all",
			 nr, nr == 1 ? "" : "s", times, times == 1 ? "" : "s");
	else
		snprintf(message, size, "%s", none);
	if (nr <= item->limit && why_not)
		snprintf(message, size, "not all of it was judged: %s", why_not);
	return nr > item->limit || why_not;
}

bool policy_is_broken(const struct policy_item *item, const struct report *rep, char *message,
		      size_t size)
{
	switch (item->kind) {
	case POLICY_LINT:
		return judge_found(item, rep, NULL, "lint found nothing", message, size);
	case POLICY_LEAK:
		return judge_found(item, rep, POLICY_LEAK_CODE, "nothing was left open", message,
				   size);
	case POLICY_CODE:
		return judge_found(item, rep, item->name, "lint did not find it", message, size);
	case POLICY_REFUSED:
		return say(message, size, report_nr_refused(rep, 0), "request was refused",
			   "requests were refused", "no request was refused");
	case POLICY_RULE:
		return say(message, size, report_nr_refused(rep, item->rule),
			   "request was refused by it", "requests were refused by it",
			   "no request was refused by it");
	case POLICY_LOST:
		return say(message, size, rep->nr_lost, "event was lost", "events were lost",
			   "no event was lost");
	case POLICY_TWICE:
		return judge_twice(item, rep, message, size);
	}
	return false;
}

bool policy_any_broken(const struct policy *p, const struct report *rep)
{
	char message[256];
	bool broken = false;

	for (size_t i = 0; i < p->nr; i++)
		broken |= policy_is_broken(&p->items[i], rep, message, sizeof(message));
	return broken;
}
