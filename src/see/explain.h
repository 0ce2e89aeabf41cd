/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * explain: what gmem can tell of a name: a rule that refuses, a request, an errno. The rules are those of obs/rules.def,
 * by which the code refuses; another table of things with names (lint's codes) is one more element of
 * explain_tables[].
 */
#ifndef GMEM_SEE_EXPLAIN_H
#define GMEM_SEE_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_profile;

struct explain_entry {
	const char *id; /* "MEMSLOT_FLAGS", "L3" */
	const char
		*errors; /* "EINVAL", "EEXIST, EINVAL in linux-6.18"; NULL: nothing is returned */
	const char *sentence; /* without a full stop */
	const char *since;    /* as in rules.def; NULL: no kernel has it */
	const char *requests; /* as in rules.def; NULL: none */
	const char *more;
	const char *example; /* lines, each with its end; NULL: none */
};

struct explain_table {
	const char *what; /* of what: "rule" */
	const struct explain_entry *entries;
	size_t nr;
};

/* In the order in which they are told; the rules come first. */
extern const struct explain_table *const explain_tables[]; /* ends with NULL */
extern const struct explain_table explain_rules;
extern const struct explain_table explain_lint; /* lint_table.c */

enum explain_copy { EXPLAIN_NONE, EXPLAIN_IN, EXPLAIN_OUT, EXPLAIN_INOUT };

struct explain_request {
	const char *name, *of, *what;
	enum explain_copy copy;
};

extern const struct explain_request explain_requests[];
extern const size_t explain_nr_requests;

const struct explain_request *explain_find_request(const char *name);
/* Upper and lower case are the same. */
const struct explain_entry *explain_find(const char *id);
bool explain_is_error(const char *name);

/* Can this request be refused by it? Not true of those that any call can meet. */
bool explain_belongs(const struct explain_entry *e, const struct explain_request *r);
/* Is there such a rule in this kernel? NULL: in any. */
bool explain_holds(const struct explain_entry *e, const struct kvm_profile *p);
/* Does it give this errno, in this kernel? NULL: in any. */
bool explain_gives(const struct explain_entry *e, const char *error, const struct kvm_profile *p);
/* The errnos it gives in this kernel, as text. */
void explain_errors(const struct explain_entry *e, const struct kvm_profile *p, char *text,
		    size_t size);

/* Names like this one, nearest first: how many there are, at most max. */
size_t explain_near(const char *name, const char **near, size_t max);

#endif
