/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct text_line *new_line(struct text *t)
{
	size_t room = t->room ? t->room * 2 : 64;
	struct text_line *lines;

	if (t->nr == t->room) {
		lines = realloc(t->lines, room * sizeof(*lines));
		if (!lines)
			return NULL;
		t->lines = lines;
		t->room = room;
	}
	return &t->lines[t->nr++];
}

void text_add(struct text *t, enum text_style style, const char *fmt, ...)
{
	struct text_line *line = new_line(t);
	va_list args;

	if (!line)
		return;
	line->style = style;
	va_start(args, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, args);
	va_end(args);
	for (size_t n = strlen(line->text); n && line->text[n - 1] == ' ';)
		line->text[--n] = '\0';
}

void text_clear(struct text *t)
{
	t->nr = 0;
}

void text_free(struct text *t)
{
	free(t->lines);
	*t = (struct text){ 0 };
}

void text_print(const struct text *t, FILE *to)
{
	for (size_t i = 0; i < t->nr; i++)
		fprintf(to, "%s\n", t->lines[i].text);
}

/* ---- numbers ----------------------------------------------------------------------------------- */

const char *text_unit_name(enum text_unit unit)
{
	static const char *const names[] = { "auto", "KiB", "pages", "bytes" };

	return names[unit];
}

/* Three digits where there are more, and no ".0". */
static void scaled(double value, double step, const char *const *units, size_t nr_units, char *out)
{
	size_t unit = 0;

	while (value >= step && unit + 1 < nr_units) {
		value /= step;
		unit++;
	}
	if (value >= 99.95 || value == (double)(uint64_t)value)
		snprintf(out, TEXT_NUMBER_MAX, "%.0f%s", value, units[unit]);
	else
		snprintf(out, TEXT_NUMBER_MAX, "%.*f%s", value < 9.995 ? 2 : 1, value, units[unit]);
}

const char *text_size(uint64_t bytes, enum text_unit unit, char out[TEXT_NUMBER_MAX])
{
	static const char *const units[] = { "B", "K", "M", "G", "T", "P", "E" };

	if (!bytes)
		snprintf(out, TEXT_NUMBER_MAX, "-");
	else if (unit == TEXT_AUTO)
		scaled((double)bytes, 1024, units, 7, out);
	else
		snprintf(out, TEXT_NUMBER_MAX, "%" PRIu64,
			 unit == TEXT_KIB     ? bytes >> 10
			 : unit == TEXT_PAGES ? bytes >> 12
					      : bytes);
	return out;
}

const char *text_time(uint64_t ns, char out[TEXT_NUMBER_MAX])
{
	static const char *const units[] = { " ns", " us", " ms", " s" };

	scaled((double)ns, 1000, units, 4, out);
	return out;
}

const char *text_count(double nr, char out[TEXT_NUMBER_MAX])
{
	static const char *const units[] = { "", "k", "M", "G" };

	if (nr < 1000)
		snprintf(out, TEXT_NUMBER_MAX, nr == (double)(uint64_t)nr ? "%.0f" : "%.1f", nr);
	else
		scaled(nr, 1000, units, 4, out);
	return out;
}

bool text_read_size(const char *text, uint64_t *value, const char **end)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	char *after;

	errno = 0;
	*value = strtoull(text, &after, 0);
	if (errno || after == text || text[0] < '0' || text[0] > '9')
		return false;
	unit = *after ? strchr(units, *after) : NULL;
	if (unit) {
		int shift = 10 * (int)(unit - units + 1);

		if (*value > UINT64_MAX >> shift)
			return false;
		*value <<= shift;
		after++;
	}
	*end = after;
	return true;
}
