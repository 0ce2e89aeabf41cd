/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * policy: what must not happen in a run. A list of words: refused, lost, twice[:SIZE], lint[:N], leak[:N], and names of
 * rules (obs/rules.def) or of lint's codes (L3[:N]).
 */
#ifndef GMEM_SEE_POLICY_H
#define GMEM_SEE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report;

#define POLICY_MAX 32u
#define POLICY_WORDS "lint refused lost twice leak"
/* What leak is. */
#define POLICY_LEAK_CODE "L7"

enum policy_kind {
	POLICY_LINT,
	POLICY_REFUSED,
	POLICY_LOST,
	POLICY_TWICE,
	POLICY_LEAK,
	POLICY_RULE,
	POLICY_CODE
};

struct policy_item {
	enum policy_kind kind;
	const char *name; /* as people write it, or the rule's or code's own */
	unsigned int rule;
	uint64_t limit; /* so much is right: bytes held twice, findings of lint */
};

struct policy {
	struct policy_item items[POLICY_MAX];
	size_t nr;
};

/* Adds the words of a list with commas. NULL, or the word that is wrong, until the next call. */
const char *policy_parse(struct policy *p, const char *list);
/* Is one of them about what lint alone finds out? */
bool policy_wants_lint(const struct policy *p);

/* One that is asked for, or NULL. */
const struct policy_item *policy_find(const struct policy *p, enum policy_kind kind);
/* Does a finding of this code, or a refusal by this rule, break it? */
bool policy_forbids_code(const struct policy *p, const char *code);
bool policy_forbids_rule(const struct policy *p, unsigned int rule);

/* Is it broken? message: what there was, either way. */
bool policy_is_broken(const struct policy_item *item, const struct report *rep, char *message,
		      size_t size);
bool policy_any_broken(const struct policy *p, const struct report *rep);

#endif
