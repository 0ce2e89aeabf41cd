/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* view: a trace that is being read, with what its records refer to; and how it is shown. */
#ifndef GMEM_SEE_VIEW_H
#define GMEM_SEE_VIEW_H

#include <stdio.h>

#include "see/trace.h"
#include "see/where.h"

struct see_view {
	struct trace_reader *reader;
	struct see_clock clock;
	struct see_places *places;
	struct trace_process *processes; /* by their places in the table; pid 0: not told yet */
	size_t nr_processes;
	uint64_t nr_in_gaps; /* lost events that their threads have told of */
};

/* -errno, having told why into problem. */
int see_view_open(const char *path, struct see_view *v, char *problem, size_t size);
void see_view_close(struct see_view *v);
/* As trace_reader_next(); tables are taken in on the way and told, too. */
int see_view_next(struct see_view *v, struct trace_item *item);
/* The number of the process in the system; 0: not known. */
uint32_t see_view_pid(const struct see_view *v, const struct obs_record *r);
const struct trace_process *see_view_process(const struct see_view *v, unsigned int place);
const struct see_where *see_view_where(struct see_view *v, const struct obs_record *r);

/* Which records are wanted; below 0 and NULL: all. A gap is left out only if its thread is. */
struct see_filter {
	bool kinds[OBS_NR_EVENTS]; /* none set: all */
	bool any_kind;
	int64_t vm, vcpu, file, pid, thread; /* vcpu: id */
	const char *result;		     /* "ok", "error", or the name of an errno */
};
bool see_filter_takes(const struct see_filter *f, const struct see_view *v,
		      const struct obs_record *r);

/* ---- formats: false: the output cannot be written ------------------------------------------------ */

/* What its numbers mean, in words. */
void see_details(const struct obs_record *r, char *text, size_t size);
void see_text(struct see_view *v, const struct obs_record *r, FILE *to);
void see_text_lost(uint64_t nr, FILE *to);
/* The last line, if events are missing. */
void see_text_end(const struct see_view *v, const struct trace_end *end, FILE *to);

void see_json_begin(struct see_view *v, FILE *to);
void see_json(struct see_view *v, const struct trace_item *item, FILE *to);

struct see_perfetto;
struct see_perfetto *see_perfetto_begin(struct see_view *v, FILE *to);
void see_perfetto(struct see_perfetto *p, const struct trace_item *item);
void see_perfetto_end(struct see_perfetto *p);

#endif
