/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * lint: a file of excuses is any text, which is taken or refused with the line and column where it is wrong; and records that
 * somebody else wrote (a trace) lead to findings, whatever they say.
 */
#include <errno.h>

#include "obs/record.h"
#include "see/lint.h"
#include "see/where.h"
#include "target.h"

const char *see_place_text(const struct see_where *w, char *text, unsigned int size)
{
	snprintf(text, size, "%s:%u %s", w->file ? w->file : "?", w->line,
		 w->function ? w->function : "?");
	return text;
}

/* ---- excuses ----------------------------------------------------------------------------------------- */

/* "NAME:LINE:COLUMN: what is expected" */
static void check_problem(const char *problem, const uint8_t *text, size_t size)
{
	unsigned int line = 0, column = 0, last = 1;
	size_t nr = 0, longest = 0;
	int end = 0;

	for (size_t i = 0; i < size; i++) {
		nr = text[i] == '\n' ? 0 : nr + 1;
		longest = nr > longest ? nr : longest;
		last += text[i] == '\n';
	}
	must(sscanf(problem, "excuses:%u:%u: %n", &line, &column, &end) == 2 && end);
	must(line >= 1 && line <= last);
	must(column >= 1 && column <= longest + 1);
	must(problem[end]);
}

static void ask(struct lint_excuses *e)
{
	char file[] = "src/vmm.c", function[] = "main", module[] = "bin/vmm";
	const struct see_where places[] = {
		{ .module = module, .function = function, .file = file, .line = 7 },
		{ .module = module, .function = function },
		{ .module = module },
		{ 0 },
	};

	for (unsigned int code = 1; code <= LINT_NR_CODES; code++) {
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			const char *reason = lint_excuse(e, code, &places[i]);

			must(!reason || reason[0]);
		}
	}
}

static void read_excuses(const uint8_t *text, size_t size)
{
	struct lint_excuses *e = NULL;
	char problem[512];
	/* fmemopen() of nothing fails. */
	FILE *from = fmemopen(size ? (void *)text : (void *)"\n", size ? size : 1, "r");
	int err;

	must(from);
	err = lint_excuses_of("excuses", from, &e, problem, sizeof(problem));
	fclose(from);
	must(memchr(problem, 0, sizeof(problem)));
	must(err == 0 || err == -EINVAL);
	if (err)
		check_problem(problem, text, size);
	else
		ask(e);
	lint_excuses_free(e);
}

/* ---- records -------------------------------------------------------------------------------------------- */

/* Few of everything, so that they meet. */
static uint64_t take_gpa(struct input *in)
{
	uint16_t v = take16(in);

	return v == 0xffff ? take64(in) : (uint64_t)(v & 0xff) << 12 | v >> 12;
}

static struct obs_record take_record(struct input *in)
{
	uint8_t who = take8(in), what = take8(in);
	struct obs_record r = {
		.kind = take8(in) % (OBS_NR_EVENTS + 1),
		.process = who & 1,
		.thread = who >> 1 & 3,
		.vm = who >> 3 & 3,
		.vcpu = who >> 5 & 3,
		.file = who >> 7 | (what & 1),
		.result = what & 2   ? -EAGAIN
			  : what & 4 ? -EFAULT
				     : 0,
		.caller_low = what >> 3 & 3,
		.time = what >> 5,
	};

	r.a = take_gpa(in);
	r.b = take_gpa(in);
	r.c = take_gpa(in);
	return r;
}

static void judge(struct input *in)
{
	struct lint *l = lint_new(1000);
	const struct lint_finding *f;
	uint64_t nr_records = 0;
	size_t nr;

	must(l);
	while (in->left) {
		struct obs_record r = take_record(in);

		nr_records++;
		if (r.kind == OBS_NR_EVENTS)
			lint_lost(l, 1);
		else
			lint_record(l, &r);
	}
	lint_end(l);
	f = lint_findings(l, &nr);
	for (size_t i = 0; i < nr; i++) {
		must(f[i].code >= 1 && f[i].code <= LINT_NR_CODES && f[i].nr);
		must(f[i].process < 2 && f[i].caller < 4);
	}
	must(lint_nr_lost(l) <= nr_records);
	lint_free(l);
}

void target(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .left = size };

	if (!size)
		return;
	if (take8(&in) & 1)
		judge(&in);
	else
		read_excuses(in.at, in.left);
}
