/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * lint: ten sins of virtual machine monitors, found in the records of a run: gmem-lint(1) defines each.
 *
 * Records are taken in as they come, live or from a trace; what is kept is bounded, and so is the time for each. A
 * process that was not looked at closer (obs/record.h) can be judged of L9 and L10 alone.
 */
#ifndef GMEM_SEE_LINT_H
#define GMEM_SEE_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "obs/record.h"

#define LINT_NR_CODES 10u /* L1 to L10 */

struct lint_finding {
	unsigned int code;
	unsigned int process; /* place in the table of processes */
	uint64_t caller;      /* where in the program; 0: not known */
	uint64_t nr, bytes;   /* bytes 0: it is not about memory */
	uint64_t gpa;	      /* of the first, or 0 */
	uint32_t vm;
};

struct lint;

/* NULL: no memory. */
struct lint *lint_new(uint64_t tsc_khz);
void lint_free(struct lint *l);
void lint_record(struct lint *l, const struct obs_record *r);
/* So many are missing before the next one. */
void lint_lost(struct lint *l, uint64_t nr);
/* No more will come. */
void lint_end(struct lint *l);

/* One for each code and place, as they were found. */
const struct lint_finding *lint_findings(const struct lint *l, size_t *nr);
/* What was left out: events, and findings that had no room. */
uint64_t lint_nr_lost(const struct lint *l);
uint64_t lint_nr_left_out(const struct lint *l);
/* Was there a VM in a process that was not looked at closer? */
bool lint_saw_little(const struct lint *l);

/* ---- what could not be judged, or not to the end ------------------------------------------------ */

enum lint_gap {
	LINT_UNSEEN, /* the program's memory: OBS_LEFT_UNSEEN; found out from the records */
	LINT_LITTLE, /* lint_saw_little(); likewise */
	LINT_UNPLACED, /* processes that the table has no room for, whose records cannot be told apart; likewise */
	LINT_NO_EVENT, /* no record at all; likewise */
	LINT_CUT, /* the trace ends before the run did: who reads it says so, by lint_note_gap() */
	LINT_NR_GAPS
};

void lint_note_gap(struct lint *l, enum lint_gap gap);
/* 1 << gap for each. */
uint32_t lint_gaps(const struct lint *l);
/* 1 << code for each that was not judged, or not to the end. After lint_end(). */
uint32_t lint_not_judged(const struct lint *l);
/* Why one was not; NULL: it was. */
const char *lint_why_not(const struct lint *l, unsigned int code);
/* A line for each reason, behind the prefix. */
void lint_gaps_print(const struct lint *l, const char *prefix, FILE *to);

/* "L3"; what it is; and what to do about it, in a few words. */
const char *lint_code_name(unsigned int code);
const char *lint_code_text(unsigned int code);
const char *lint_code_fix(unsigned int code);
/* 0: there is none of that name. */
unsigned int lint_code_by_name(const char *name, size_t size);

/* ---- findings that are wanted so ----------------------------------------------------------------- */

struct lint_excuses;
struct see_where;

/* -errno, or -EINVAL, having said into problem where the file is wrong and what was expected. */
int lint_excuses_read(const char *path, struct lint_excuses **out, char *problem, size_t size);
int lint_excuses_of(const char *name, FILE *from, struct lint_excuses **out, char *problem,
		    size_t size);
void lint_excuses_free(struct lint_excuses *e);
/* The reason for this one; NULL: there is none. Counts. */
const char *lint_excuse(struct lint_excuses *e, unsigned int code, const struct see_where *w);

/* ---- the report ----------------------------------------------------------------------------------- */

struct see_places;

struct lint_row {
	unsigned int code;
	uint64_t nr, bytes;
	char place[200]; /* "vmm.c:123", or what see_place_text() has */
	char file[200];	 /* whole path; "": not known */
	unsigned int line;
	const char *excuse; /* NULL: it counts */
};

struct lint_rows {
	struct lint_row *rows;
	size_t nr, nr_counting;
};

/* Findings of one place are one row, whatever process they are of; in order of codes and places. -ENOMEM. excuses: NULL:
 * none. */
int lint_rows_make(const struct lint *l, struct see_places *places, struct lint_excuses *excuses,
		   struct lint_rows *out);
void lint_rows_free(struct lint_rows *rows);
/* A line for each that counts; with_excused: also for those that do not, with the reason. */
void lint_rows_print(const struct lint_rows *rows, bool with_excused, FILE *to);
/* What is to be known before one believes it, a line each behind the prefix; no line as a rule. */
void lint_notes_print(const struct lint *l, const struct lint_excuses *excuses, const char *prefix,
		      FILE *to);

#endif
