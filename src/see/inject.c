/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Lines and words of the rules; what the words mean is in inject_words.c. */
#include "see/inject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "see/inject_words.h"

#define MAX_TEXT ((size_t)1 << 20)

static const char *const points[INJECT_NR_POINTS] = {
#define POINT_NAME(id, name) [INJECT_##id] = name,
	INJECT_POINTS(POINT_NAME)
#undef POINT_NAME
};

const char *see_inject_point(unsigned int point)
{
	return point < INJECT_NR_POINTS ? points[point] : NULL;
}

const char *see_inject_points(void)
{
#define POINT_AND_BLANK(id, name) name " "
	static const char all[] = INJECT_POINTS(POINT_AND_BLANK);
#undef POINT_AND_BLANK
	static char list[sizeof(all)];

	if (!*list)
		memcpy(list, all, sizeof(all) - 2);
	return list;
}

/* ---- words --------------------------------------------------------------------------------------- */

struct scanner {
	const char *at, *end;
	uint32_t line, column;
};

static bool is_end_of_rule(char c)
{
	return c == '\n' || c == ';';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void step(struct scanner *s)
{
	s->column++;
	if (*s->at++ == '\n') {
		s->line++;
		s->column = 1;
	}
}

static void skip_comment(struct scanner *s)
{
	while (s->at < s->end && *s->at != '\n')
		step(s);
}

/* The next word of this rule; false at its end. */
static bool next_word(struct scanner *s, struct word *w)
{
	while (s->at < s->end && is_blank(*s->at))
		step(s);
	if (s->at < s->end && *s->at == '#')
		skip_comment(s);
	*w = (struct word){ .text = s->at, .line = s->line, .column = s->column };
	while (s->at < s->end && !is_blank(*s->at) && !is_end_of_rule(*s->at) && *s->at != '#')
		step(s);
	w->size = (size_t)(s->at - w->text);
	return w->size;
}

static void split(const struct word *w, struct word *name, struct word *value, bool *is_bare)
{
	const char *sign = memchr(w->text, '=', w->size);

	*name = *value = *w;
	*is_bare = !sign;
	if (!sign)
		return;
	name->size = (size_t)(sign - w->text);
	value->text = sign + 1;
	value->size = w->size - name->size - 1;
	value->column = w->column + (uint32_t)name->size + 1;
}

/* ---- rules ----------------------------------------------------------------------------------------- */

static int find_point(struct parse *p, const struct word *w)
{
	for (unsigned int i = 0; i < INJECT_NR_POINTS; i++) {
		if (word_is(w, points[i])) {
			p->rule->point = (uint16_t)i;
			return 0;
		}
	}
	return word_problem(p, w, "expected one of %s", see_inject_points());
}

/* 1: there is a rule; 0: an empty one. */
static int parse_rule(struct parse *p, struct scanner *s)
{
	struct word first, w, name, value;
	bool is_bare;
	int err;

	if (!next_word(s, &first))
		return 0;
	*p->rule = (struct inject_rule){ .line = first.line,
					 .vcpu = INJECT_ANY_VCPU,
					 .slot = INJECT_ANY_SLOT };
	err = find_point(p, &first);
	while (!err && next_word(s, &w)) {
		split(&w, &name, &value, &is_bare);
		err = word_apply(p, &name, &value, is_bare);
	}
	if (!err)
		err = word_finish(p, &first);
	return err ? err : 1;
}

static int parse_all(struct scanner *s, const char *profile, struct inject_table *t,
		     struct see_inject_problem *problem)
{
	while (s->at < s->end) {
		struct word here = { .line = s->line, .column = s->column };
		struct inject_rule rule;
		struct parse p = { .profile = profile, .rule = &rule, .problem = problem };
		int ret = parse_rule(&p, s);

		if (ret < 0)
			return ret;
		if (ret && !p.is_left_out && t->nr == INJECT_MAX_RULES)
			return word_problem(&p, &here, "no more than %u rules", INJECT_MAX_RULES);
		if (ret && !p.is_left_out)
			t->rules[t->nr++] = rule;
		if (s->at < s->end)
			step(s);
	}
	return 0;
}

int see_inject_parse(const char *text, size_t size, const char *profile, struct inject_table *table,
		     struct see_inject_problem *problem)
{
	struct scanner s = { .at = text, .end = text + size, .line = 1, .column = 1 };
	struct inject_table *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	*problem = (struct see_inject_problem){ .text = "no memory" };
	if (t)
		err = parse_all(&s, profile, t, problem);
	if (!err) {
		table->nr = t->nr;
		memcpy(table->rules, t->rules, t->nr * sizeof(t->rules[0]));
	}
	free(t);
	return err;
}

/* ---- where they come from -------------------------------------------------------------------------------- */

static bool begins_a_rule(const char *argument)
{
	struct scanner s = { .at = argument, .end = argument + strlen(argument) };
	struct word w;

	next_word(&s, &w);
	for (unsigned int i = 0; i < INJECT_NR_POINTS; i++) {
		if (word_is(&w, points[i]))
			return true;
	}
	return false;
}

enum see_inject_source see_inject_source(const char *argument)
{
	if (*argument == '@')
		return SEE_INJECT_FILE;
	if (strpbrk(argument, "\n;"))
		return SEE_INJECT_RULES;
	if (begins_a_rule(argument))
		return access(argument, F_OK) ? SEE_INJECT_RULES : SEE_INJECT_BOTH;
	/* A rule whose first word is misspelt: it has a line and a column. */
	if (strchr(argument, ' ') && strchr(argument, '=') && access(argument, F_OK))
		return SEE_INJECT_RULES;
	return SEE_INJECT_FILE;
}

static int read_all(FILE *f, char **text, size_t *size)
{
	char *room = malloc(MAX_TEXT);
	int err;

	if (!room)
		return -ENOMEM;
	errno = 0;
	*size = fread(room, 1, MAX_TEXT, f);
	err = !ferror(f) ? -EFBIG : errno ? -errno : -EIO;
	if (ferror(f) || *size == MAX_TEXT) {
		free(room);
		return err;
	}
	*text = room;
	return 0;
}

int see_inject_read(const char *path, char **text, size_t *size)
{
	FILE *f = fopen(path, "re");
	int err = f ? read_all(f, text, size) : -errno;

	if (f)
		fclose(f);
	return err;
}

/* ---- what became of them ------------------------------------------------------------------------------------ */

void see_inject_tell(const struct inject_table *table, FILE *to)
{
	for (uint32_t i = 0; i < table->nr && i < INJECT_MAX_RULES; i++) {
		const struct inject_rule *r = &table->rules[i];
		const char *name = see_inject_point(r->point);

		fprintf(to, "%.*s:%u: %s: %llu of %llu\n", (int)sizeof(table->source),
			table->source, r->line, name ? name : "?",
			(unsigned long long)atomic_load(&r->made),
			(unsigned long long)atomic_load(&r->met));
	}
}
