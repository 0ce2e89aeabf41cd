/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The file of findings that are wanted so: a line each, code, place, reason. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "see/lint.h"
#include "see/where.h"

#define LINE_MAX_SIZE 1024

struct excuse {
	unsigned int code; /* 0: any */
	char *place, *reason;
	unsigned int line;
	uint64_t nr; /* findings */
};

struct lint_excuses {
	char *name;
	struct excuse *list;
	size_t nr, max;
};

struct reader {
	const char *name;
	unsigned int line;
	char *problem;
	size_t size;
};

static int wrong(const struct reader *r, size_t column, const char *expected)
{
	snprintf(r->problem, r->size, "%s:%u:%zu: %s", r->name, r->line, column + 1, expected);
	return -EINVAL;
}

static struct excuse *add(struct lint_excuses *e)
{
	if (e->nr == e->max) {
		size_t max = e->max ? e->max * 2 : 16;
		struct excuse *list = realloc(e->list, max * sizeof(*list));

		if (!list)
			return NULL;
		e->list = list;
		e->max = max;
	}
	return memset(&e->list[e->nr++], 0, sizeof(*e->list));
}

static int read_line(const struct reader *r, struct lint_excuses *e, const char *text)
{
	size_t code = strspn(text, " \t"), code_size = strcspn(text + code, " \t#");
	size_t place = code + code_size + strspn(text + code + code_size, " \t");
	size_t place_size = strcspn(text + place, " \t");
	size_t reason = place + place_size + strspn(text + place + place_size, " \t");
	bool any = code_size == 1 && text[code] == '*';
	unsigned int number = lint_code_by_name(text + code, code_size);
	struct excuse *x;

	if (!text[code] || text[code] == '#')
		return 0;
	if (!number && !any)
		return wrong(r, code, "a code is expected, L1 to L10, or *");
	if (!text[place])
		return wrong(r, place, "a place is expected: FILE:LINE, or a pattern of one");
	if (!text[reason])
		return wrong(r, reason, "a reason is expected");
	x = add(e);
	if (!x)
		return -ENOMEM;
	x->code = number;
	x->line = r->line;
	x->place = strndup(text + place, place_size);
	x->reason = strdup(text + reason);
	return x->place && x->reason ? 0 : -ENOMEM;
}

static int read_all(struct reader *r, struct lint_excuses *e, FILE *from)
{
	char text[LINE_MAX_SIZE];
	int err = 0;

	errno = 0;
	while (!err && fgets(text, sizeof(text), from)) {
		size_t size = strlen(text);

		r->line++;
		if (size == sizeof(text) - 1 && text[size - 1] != '\n')
			return wrong(r, size, "the line is too long");
		while (size && strchr("\r\n\t ", text[size - 1]))
			text[--size] = 0;
		err = read_line(r, e, text);
	}
	if (!err && ferror(from))
		err = errno ? -errno : -EIO;
	return err;
}

int lint_excuses_of(const char *name, FILE *from, struct lint_excuses **out, char *problem,
		    size_t size)
{
	struct lint_excuses *e = calloc(1, sizeof(*e));
	struct reader r = { .name = name, .problem = problem, .size = size };
	int err = -ENOMEM;

	problem[0] = 0;
	if (e)
		e->name = strdup(name);
	if (e && e->name)
		err = read_all(&r, e, from);
	if (err && !problem[0])
		snprintf(problem, size, "%s: %s", name, strerrordesc_np(-err));
	if (err) {
		lint_excuses_free(e);
		return err;
	}
	*out = e;
	return 0;
}

int lint_excuses_read(const char *path, struct lint_excuses **out, char *problem, size_t size)
{
	FILE *from = fopen(path, "re");
	int err = -errno;

	if (!from) {
		snprintf(problem, size, "%s: %s", path, strerrordesc_np(-err));
		return err;
	}
	err = lint_excuses_of(path, from, out, problem, size);
	fclose(from);
	return err;
}

void lint_excuses_free(struct lint_excuses *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->nr; i++) {
		free(e->list[i].place);
		free(e->list[i].reason);
	}
	free(e->list);
	free(e->name);
	free(e);
}

/* ---- matching ---------------------------------------------------------------------------------------------- */

static const char *end_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool matches(const char *pattern, const char *text)
{
	return text && !fnmatch(pattern, text, 0);
}

/* By any name that a report could have for it. */
static bool is_place(const char *pattern, const struct see_where *w)
{
	char text[512];

	if (w->file) {
		snprintf(text, sizeof(text), "%s:%u", w->file, w->line);
		if (matches(pattern, text) || matches(pattern, end_of(text)) ||
		    matches(pattern, w->file) || matches(pattern, end_of(w->file)))
			return true;
	}
	see_place_text(w, text, sizeof(text));
	return matches(pattern, text) || matches(pattern, w->function) ||
	       matches(pattern, w->mangled) ||
	       (w->module && (matches(pattern, w->module) || matches(pattern, end_of(w->module))));
}

const char *lint_excuse(struct lint_excuses *e, unsigned int code, const struct see_where *w)
{
	for (size_t i = 0; i < e->nr; i++) {
		struct excuse *x = &e->list[i];

		if ((x->code && x->code != code) || !is_place(x->place, w))
			continue;
		x->nr++;
		return x->reason;
	}
	return NULL;
}

void lint_notes_print(const struct lint *l, const struct lint_excuses *excuses, const char *prefix,
		      FILE *to)
{
	if (lint_nr_lost(l))
		fprintf(to, "%s%llu events were lost: more may be wrong than was found\n", prefix,
			(unsigned long long)lint_nr_lost(l));
	if (lint_nr_left_out(l))
		fprintf(to, "%s%llu findings had no room\n", prefix,
			(unsigned long long)lint_nr_left_out(l));
	if (lint_saw_little(l))
		fprintf(to,
			"%sthe run was not looked at for lint: only L4, L9 and L10 were judged\n",
			prefix);
	for (size_t i = 0; excuses && i < excuses->nr; i++) {
		if (!excuses->list[i].nr)
			fprintf(to, "%s%s:%u: nothing was found that this excuses\n", prefix,
				excuses->name, excuses->list[i].line);
	}
}
