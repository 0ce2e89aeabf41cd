/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* accounts: the account of memory of the processes in a region (obs/account.h), as tables of text. */
#ifndef GMEM_SEE_ACCOUNTS_H
#define GMEM_SEE_ACCOUNTS_H

#include "obs/account.h"
#include "see/counts.h"
#include "see/text.h"

enum account_sort { SORT_SLOT, SORT_GPA, SORT_SIZE, SORT_BACKED, SORT_BOTH, NR_SORTS };
const char *account_sort_name(enum account_sort sort);

struct account_style {
	enum text_unit unit;
	enum account_sort sort;
	uint32_t vm;	/* its number; 0: all */
	bool with_gone; /* what is there no more, too */
	bool wide;	/* more than 80 columns */
	bool with_cost; /* how long the look took */
	bool late;	/* it was not observed from its beginning */
};

/* What changed between two looks: seconds 0: nothing is known, counts are told instead of rates. */
struct account_pair {
	const struct account_snapshot *now,
		*before; /* before: NULL, or with the same VMs as a rule */
	double seconds;
};

/* VMs, their slots, files, vCPUs. */
void account_text(struct text *t, const struct account_pair *p, const struct account_style *style);
/* A line for each slot whose memory is held twice, now or at its peak. */
void account_text_twice(struct text *t, const struct account_snapshot *s);
/* How often what happened, and how long it took; with before and seconds also per second. */
void account_text_counts(struct text *t, const struct see_clock *clock,
			 const struct see_counts *now, const struct see_counts *before,
			 double seconds);
/* What is to be known of a snapshot before one believes it; no line as a rule. */
void account_text_notes(struct text *t, const struct account_snapshot *s,
			const struct account_style *style);

#endif
