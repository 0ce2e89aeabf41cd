/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/linted.h"

#include "cmd/cmd.h"
#include "see/listed.h"
#include "see/where.h"

#include <errno.h>
#include <string.h>

int linted_check(const struct cmd *cmd, const struct lint_options *o)
{
	if (o->error && strcmp(o->error, "error"))
		return cmd_usage_error(cmd, "--lint=%s: there is --lint and --lint=error",
				       o->error);
	if (o->suppress && !o->wanted)
		return cmd_usage_error(cmd, "--suppress is for --lint");
	return EXIT_OK;
}

struct see_places *linted_places(const struct obs_region *r)
{
	struct see_places *places = see_places_new();
	uint32_t nr = see_nr_modules(r);
	struct trace_module m;

	for (uint32_t i = 0; places && i < nr; i++)
		if (see_module_read(r, i, &m))
			see_places_add(places, &m);
	return places;
}

static int take_records(void *own, const struct obs_region *r, const struct obs_record *records,
			size_t nr)
{
	struct linted *t = own;

	for (size_t i = 0; i < nr; i++)
		lint_record(t->lint, &records[i]);
	return 0;
}

static int take_lost(void *own, const struct obs_region *r, uint64_t nr)
{
	struct linted *t = own;

	lint_lost(t->lint, nr);
	return 0;
}

void linted_tell(const struct cmd *cmd, const struct lint_options *o, const struct lint *l,
		 const struct lint_excuses *excuses, const struct lint_rows *rows, FILE *to)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "gmem %s: lint: ", cmd->name);
	lint_rows_print(rows, o->show_excused, to);
	if (!o->quiet)
		lint_notes_print(l, excuses, prefix, stderr);
	lint_gaps_print(l, prefix, stderr);
	if (!o->quiet && !rows->nr_counting && !(lint_gaps(l) & 1u << LINT_NO_EVENT))
		fprintf(stderr, "%snothing found%s%s\n", prefix,
			rows->nr ? " that is not excused" : "",
			lint_not_judged(l) ? ", in what was judged" : "");
}

static int tell(void *own, const struct obs_region *r, int status)
{
	struct linted *t = own;
	struct see_places *places = linted_places(r);
	int err = -ENOMEM;

	lint_end(t->lint);
	if (places)
		err = lint_rows_make(t->lint, places, t->excuses, &t->rows);
	if (err)
		cmd_complain(t->cmd, "no memory to tell what was found");
	else
		linted_tell(t->cmd, t->options, t->lint, t->excuses, &t->rows, stderr);
	see_places_free(places);
	return err;
}

int linted_begin(struct linted *t, struct watch *w, const struct lint_options *o)
{
	char problem[512];

	*t = (struct linted){ .cmd = w->cmd, .options = o };
	if (!o->wanted)
		return EXIT_OK;
	if (o->suppress && lint_excuses_read(o->suppress, &t->excuses, problem, sizeof(problem))) {
		cmd_complain(t->cmd, "%s", problem);
		return EXIT_USAGE;
	}
	t->lint = lint_new(w->region.r->tsc_khz);
	if (!t->lint) {
		lint_excuses_free(t->excuses);
		cmd_complain(t->cmd, "no memory for lint");
		return EXIT_FAILED;
	}
	t->sink = (struct see_sink){ .name = "lint",
				     .own = t,
				     .wants_records = true,
				     .looks_closer = true,
				     .records = take_records,
				     .lost = take_lost,
				     .end = tell };
	watch_add(w, &t->sink);
	return EXIT_OK;
}

int linted_end(struct linted *t, int status)
{
	bool is_error;

	if (!t->lint)
		return status;
	is_error = t->options->error &&
		   (t->rows.nr_counting || t->sink.failed || lint_not_judged(t->lint));
	lint_rows_free(&t->rows);
	lint_excuses_free(t->excuses);
	lint_free(t->lint);
	return status == EXIT_OK && is_error ? EXIT_FAILED : status;
}
