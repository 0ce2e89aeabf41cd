/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * report: what results are written as. The text is for people and needs libc alone; JSON (report_json.c) is json-c's.
 */
#ifndef GMEM_BENCH_REPORT_H
#define GMEM_BENCH_REPORT_H

#include "bench/measure.h"

#include <stdio.h>

struct bench_machine {
	char version[32], date[16], kernel[72], processor[96];
	long nr_processors;
	double load,
		load_end; /* how many threads wanted to run in the minute before, and in the last one; -1: unknown */
};
void bench_machine(struct bench_machine *m, const char *version);
/* When all has been measured. */
void bench_machine_end(struct bench_machine *m);

/* A whole run. */
struct bench_report {
	struct bench_machine machine;
	struct bench_result *results;
	size_t nr;
};

/* ---- numbers (format.c) ---- */

/* "1.23 us", "412 M/s". */
const char *bench_format(const struct bench_case *c, double value, char text[24]);
/* "<= 1.00 us", "x<= 1.10 memfd". */
const char *bench_format_goal(const struct bench_case *c, const struct bench_goal *g,
			      char text[64]);
/* A value that was held against a goal: a number of the case's unit, "x1.03", or an exponent. */
const char *bench_format_held(const struct bench_case *c, const struct bench_goal *g, double value,
			      char text[24]);

/* ---- the table (report_text.c), also bit by bit while it is measured ---- */

struct bench_tally {
	unsigned int met, at_best, missed, unknown;
};
void bench_print_machine(FILE *to, const struct bench_machine *m);
void bench_print_head(FILE *to);
void bench_print(FILE *to, const struct bench_result *r, struct bench_tally *t);
void bench_print_end(FILE *to, const struct bench_tally *t);

/* ---- of a whole run ---- */

void bench_report_text(FILE *to, const struct bench_report *r);
void bench_report_svg(FILE *to, const struct bench_report *r);
void bench_report_json(FILE *to, const struct bench_report *r);

#endif
