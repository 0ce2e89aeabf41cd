/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Findings as lines: those of one place together, in order; and what could not be found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "see/lint.h"
#include "see/lint_state.h"
#include "see/text.h"
#include "see/where.h"

static const char *end_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void set_place(struct lint_row *row, const struct see_where *w)
{
	if (w->module && w->file) {
		snprintf(row->place, sizeof(row->place), "%s:%u", end_of(w->file), w->line);
		snprintf(row->file, sizeof(row->file), "%s", w->file);
		row->line = w->line;
	} else {
		see_place_text(w, row->place, sizeof(row->place));
	}
}

static struct lint_row *find_row(struct lint_rows *rows, const struct lint_row *like)
{
	for (size_t i = 0; i < rows->nr; i++) {
		struct lint_row *r = &rows->rows[i];

		if (r->code == like->code && !strcmp(r->place, like->place) &&
		    !strcmp(r->file, like->file))
			return r;
	}
	return NULL;
}

static int in_order(const void *a, const void *b)
{
	const struct lint_row *x = a, *y = b;
	int files = strcmp(x->file, y->file);

	if (x->code != y->code)
		return x->code < y->code ? -1 : 1;
	if (files)
		return files;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return strcmp(x->place, y->place);
}

static void add(struct lint_rows *rows, const struct lint_finding *f, const struct see_where *w,
		struct lint_excuses *excuses)
{
	struct lint_row row = { .code = f->code, .nr = f->nr, .bytes = f->bytes }, *same;

	set_place(&row, w);
	row.excuse = excuses ? lint_excuse(excuses, f->code, w) : NULL;
	same = find_row(rows, &row);
	if (same) {
		same->nr += f->nr;
		same->bytes += f->bytes;
		return;
	}
	rows->nr_counting += !row.excuse;
	rows->rows[rows->nr++] = row;
}

int lint_rows_make(const struct lint *l, struct see_places *places, struct lint_excuses *excuses,
		   struct lint_rows *out)
{
	size_t nr;
	const struct lint_finding *f = lint_findings(l, &nr);

	*out = (struct lint_rows){ .rows = calloc(nr + 1, sizeof(*out->rows)) };
	if (!out->rows)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		add(out, &f[i], see_place(places, f[i].process, f[i].caller, true), excuses);
	qsort(out->rows, out->nr, sizeof(*out->rows), in_order);
	return 0;
}

void lint_rows_free(struct lint_rows *rows)
{
	free(rows->rows);
	*rows = (struct lint_rows){ 0 };
}

void lint_rows_print(const struct lint_rows *rows, bool with_excused, FILE *to)
{
	char size[TEXT_NUMBER_MAX];

	for (size_t i = 0; i < rows->nr; i++) {
		const struct lint_row *r = &rows->rows[i];

		if (r->excuse && !with_excused)
			continue;
		fprintf(to, "%s %s %s: %s (%llu time%s%s%s)", lint_code_name(r->code), r->place,
			lint_code_text(r->code), lint_code_fix(r->code), (unsigned long long)r->nr,
			r->nr == 1 ? "" : "s", r->bytes ? ", " : "",
			r->bytes ? text_size(r->bytes, TEXT_AUTO, size) : "");
		fprintf(to, r->excuse ? " [excused: %s]\n" : "\n", r->excuse);
	}
}

/* ---- what could not be judged -------------------------------------------------------------------- */

#define BIT(code) (1u << (code))
#define ALL ((BIT(LINT_NR_CODES) - 1) << 1)

static const struct {
	uint32_t codes;
	const char *why;
} gaps[LINT_NR_GAPS] = {
	[LINT_UNSEEN] = { BIT(1) | BIT(2) | BIT(3) | BIT(5),
			  "the program filters its system calls, so that gmem does not look at its "
			  "memory from then on" },
	[LINT_LITTLE] = { ALL & ~(BIT(4) | BIT(9) | BIT(10)),
			  "the run was not looked at for lint: only L4, L9 and L10 were judged" },
	[LINT_UNPLACED] = { ALL, "of processes that came too late there is not known which event "
				 "is whose" },
	[LINT_NO_EVENT] = { ALL, "no event was seen" },
	[LINT_CUT] = { ALL, "only what comes before the damage was seen" },
};

uint32_t lint_not_judged(const struct lint *l)
{
	uint32_t codes = 0;

	for (unsigned int i = 0; i < LINT_NR_GAPS; i++)
		if (l->gaps & 1u << i)
			codes |= gaps[i].codes;
	return codes;
}

const char *lint_why_not(const struct lint *l, unsigned int code)
{
	for (unsigned int i = 0; i < LINT_NR_GAPS; i++)
		if (l->gaps & 1u << i && gaps[i].codes & BIT(code))
			return gaps[i].why;
	return NULL;
}

void lint_gaps_print(const struct lint *l, const char *prefix, FILE *to)
{
	for (unsigned int i = 0; i < LINT_NR_GAPS; i++) {
		const char *comma = "";

		if (!(l->gaps & 1u << i) || i == LINT_LITTLE)
			continue;
		fputs(prefix, to);
		for (unsigned int code = 1; gaps[i].codes != ALL && code <= LINT_NR_CODES; code++)
			if (gaps[i].codes & BIT(code)) {
				fprintf(to, "%s%s", comma, lint_code_name(code));
				comma = ", ";
			}
		fprintf(to, "%s: %s\n",
			gaps[i].codes != ALL ? " not judged"
			: i == LINT_NO_EVENT ? "nothing was judged"
					     : "not all was judged",
			gaps[i].why);
	}
}
