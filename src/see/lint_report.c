/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Findings as lines: those of one place together, in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "see/lint.h"
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
