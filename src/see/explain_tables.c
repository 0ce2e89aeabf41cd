/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tables: rules.def and requests.def once more, with all that is told of them. */
#include "see/explain.h"

static const struct explain_entry rules[] = {
#define RULE(id, err, text, since, requests, more) { #id, #err, text, since, requests, more },
#define RULE_AS(id, errs, text, since, requests, more) { #id, errs, text, since, requests, more },
#include "obs/rules.def"
#undef RULE
#undef RULE_AS
};

const struct explain_table explain_rules = {
	.what = "rule",
	.entries = rules,
	.nr = sizeof(rules) / sizeof(rules[0]),
};

const struct explain_table *const explain_tables[] = { &explain_rules, &explain_lint, NULL };

const struct explain_request explain_requests[] = {
#define REQUEST(name, of, copy, what) { #name, of, what, EXPLAIN_##copy },
#include "obs/requests.def"
#undef REQUEST
};

const size_t explain_nr_requests = sizeof(explain_requests) / sizeof(explain_requests[0]);
