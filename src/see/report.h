/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * report: what a run was, for machines: collected while the program runs, judged and written when it has ended.
 *
 *	report_begin()		its sink is added to who watches
 *	(the program runs)
 *	report_finish()		places are looked up, what is the same is put together; after this nothing changes
 *	report_add_finding()	what lint found, before report_finish()
 *	policy.h		is it good?
 *	report_write()		as JSON, JUnit's XML or TAP: gmem-report(5)
 *
 * One thread. The region must stay until report_end().
 */
#ifndef GMEM_SEE_REPORT_H
#define GMEM_SEE_REPORT_H

#include <stdio.h>

#include "see/counts.h"
#include "see/see.h"
#include "see/where.h"

#define REPORT_SCHEMA 1
#define REPORT_MAX_REFUSALS 4096u /* kinds of them, a power of two */
#define REPORT_MAX_INJECTIONS 256u

/* By one rule, at one place. */
struct report_refusal {
	uint64_t nr; /* 0: the entry is free */
	uint64_t caller;
	uint64_t request; /* an ioctl's number; 0: not known */
	uint16_t process, rule;
	int16_t result;
	struct see_where where; /* its texts are those of the places */
};

/* What a thread was refused last. */
#define REPORT_NR_LAST 256u /* a power of two */
struct report_last {
	uint32_t thread;
	struct report_refusal *entry;
};

struct report_injection {
	uint64_t nr, point, rule;
};

/* One kind of mistake, at one place. */
struct report_finding {
	const char *code; /* "L3"; the texts stay */
	const char *sentence;
	const char *suppressed; /* why it does not count; NULL: it does */
	const char *place;	/* as people read it: "vmm.c:12" */
	const char *file;	/* NULL: not known */
	unsigned int line;
	uint64_t nr, bytes; /* how often; of how much memory, 0: no matter */
};

/* What the run was; not the report's to free. */
struct report_run {
	const char *gmem, *profile;
	char *const *argv;
	bool has_lint; /* somebody looks for mistakes */
	/* Of the code L(n + 1) why it could not be judged, or not to the end; NULL: it could. */
	const char *why_not[10];
};

struct report {
	struct see_sink sink;
	struct report_run run;
	const struct obs_region *region;
	struct see_clock clock;
	struct see_places *places;
	struct see_counts *counts;
	struct report_refusal *refusals; /* a table of hashes until report_finish() */
	size_t nr_refusals;
	struct report_last last[REPORT_NR_LAST];
	uint64_t refusals_left; /* had no room */
	struct report_injection injections[REPORT_MAX_INJECTIONS];
	size_t nr_injections;
	struct report_finding *findings;
	size_t nr_findings, max_findings;
	uint64_t nr_records, nr_lost;
	uint64_t end_ns; /* of the region's clock */
	int status;	 /* the program's, as a shell says it */
	bool has_ended;
};

/* 0 or -ENOMEM. */
int report_begin(const struct obs_region *r, const struct report_run *run, struct report *out);
void report_add_finding(struct report *rep, const struct report_finding *f);
void report_finish(struct report *rep);
void report_end(struct report *rep);

/* ---- what is asked of one that is finished ------------------------------------------------------- */

struct account_snapshot;
/* The last account of the process at that place; to be freed; NULL: it has made no VM. */
struct account_snapshot *report_account(const struct report *rep, uint32_t process);
/* The most that a VM held twice at a time. */
uint64_t report_peak_twice(const struct report *rep);
/* How many refusals there were by that rule; 0: by any but those that were made on purpose. */
uint64_t report_nr_refused(const struct report *rep, unsigned int rule);
/* How many findings of that code count; NULL: of any. One place is one, however often it was met; times, if not NULL,
 * is how often all of them were. */
uint64_t report_nr_found(const struct report *rep, const char *code, uint64_t *times);

/* ---- formats ---------------------------------------------------------------------------------- */

struct policy;
enum report_format { REPORT_JSON, REPORT_JUNIT, REPORT_TAP, REPORT_NR_FORMATS };

/* By its name ("json", "junit", "tap"), or what a path ends with; REPORT_NR_FORMATS: none. */
enum report_format report_format_by_name(const char *name);
enum report_format report_format_by_path(const char *path);
void report_write(const struct report *rep, const struct policy *p, enum report_format format,
		  FILE *to);
void report_json(const struct report *rep, const struct policy *p, FILE *to);
void report_junit(const struct report *rep, const struct policy *p, FILE *to);
void report_tap(const struct report *rep, const struct policy *p, FILE *to);

/* Lines by which GitHub marks places in a change. root: what is left out of paths; NULL: nothing. */
void report_annotate(const struct report *rep, const struct policy *p, const char *root, FILE *to);

/* ---- cases: what JUnit and TAP have in common ---------------------------------------------------- */

enum report_verdict { REPORT_PASSED, REPORT_FAILED, REPORT_SKIPPED };

struct report_case {
	const char *suite; /* "program", "policy", "lint" */
	const char *name, *what;
	enum report_verdict verdict;
	char message[256]; /* why it is so; may be empty */
	const char *code;  /* of lint, whose findings belong to it; else NULL */
};

/* Why it could not be judged, or not to the end. code: of lint; NULL: any of them. NULL: it could. */
const char *report_why_not(const struct report *rep, const char *code);

/* Calls for each, in order, until it returns false. */
void report_cases(const struct report *rep, const struct policy *p,
		  bool (*take)(const struct report_case *c, void *arg), void *arg);
/* "vmm.c:12, 3 times, 4K" */
void report_finding_text(const struct report_finding *f, char *text, size_t size);

#endif
