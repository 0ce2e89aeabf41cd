/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A letter for each cell; a digit where there is more than one kind in it. */
#include "see/map.h"
#include "see/text.h"

#include <inttypes.h>
#include <string.h>

/* Backgrounds of a terminal, by class; what is held twice stands out. */
static const char *const colours[MAP_NR_CLASSES] = {
	[MAP_SHARED_EMPTY] = "33",	[MAP_SHARED] = "30;43",
	[MAP_PRIVATE_EMPTY] = "34",	[MAP_PRIVATE] = "97;44",
	[MAP_SHARED_STRAY] = "30;45",	[MAP_PRIVATE_STRAY] = "97;45",
	[MAP_SHARED_TWICE] = "1;30;41", [MAP_PRIVATE_TWICE] = "1;97;41",
};

static bool is_private(int class)
{
	return class == MAP_PRIVATE_EMPTY || class == MAP_PRIVATE || class == MAP_PRIVATE_STRAY ||
	       class == MAP_PRIVATE_TWICE;
}

/* What is said of a cell that has several kinds. */
#define SOME_SHARED ':'
#define SOME_PRIVATE '+'
#define WRONG '!'
#define MIXED "0123456789:+!"

struct parts {
	uint64_t sum, of_private, of_wrong, most;
	int kinds, class; /* class of most; -1: nothing */
};

static struct parts parts_of(const struct map_cell *c)
{
	struct parts p = { .class = -1 };

	for (int i = 0; i < MAP_NR_CLASSES; i++) {
		p.sum += c->bytes[i];
		p.of_private += is_private(i) ? c->bytes[i] : 0;
		p.of_wrong += i >= MAP_SHARED_STRAY ? c->bytes[i] : 0;
		p.kinds += c->bytes[i] != 0;
		if (c->bytes[i] > p.most) {
			p.most = c->bytes[i];
			p.class = i;
		}
	}
	return p;
}

/* The letter, and whose colour it has; -1: nobody's. */
static char letter_of(const struct map_cell *c, int *class)
{
	struct parts p = parts_of(c);

	*class = p.class;
	if (!p.sum)
		return ' ';
	if (p.kinds == 1)
		return map_classes[p.class].letter;
	if (p.of_wrong) {
		*class = MAP_PRIVATE_TWICE;
		return WRONG;
	}
	if (!p.of_private || p.of_private == p.sum)
		return p.of_private ? SOME_PRIVATE : SOME_SHARED;
	/* 0 is less than a tenth; 9 is all but a tenth at most. */
	return (char)('0' + (int)((double)p.of_private / (double)p.sum * 9.999999));
}

static void put_row(const struct map *m, const struct map_space *space, uint32_t row,
		    const struct map_text_style *style, FILE *to)
{
	const struct map_row *r = &space->rows[row];
	char label[96];
	int last = -1, class;

	fprintf(to, "%14" PRIx64 "  ", r->gpa);
	for (uint32_t i = 0; i < space->columns; i++) {
		char letter = letter_of(&r->cells[i], &class);

		if (style->colour && class != last)
			fprintf(to, "\033[0%s%sm", class < 0 ? "" : ";",
				class < 0 ? "" : colours[class]);
		last = class;
		fputc(letter, to);
	}
	fputs(style->colour && last >= 0 ? "\033[0m" : "", to);
	map_row_label(m, space, row, label, sizeof(label));
	fprintf(to, "%s%s\n", label[0] ? "  " : "", label);
}

static void put_total(const struct map_space *space, FILE *to)
{
	char number[TEXT_NUMBER_MAX];

	for (int i = 0; i < MAP_NR_CLASSES; i++)
		if (space->total.bytes[i])
			fprintf(to, "  %c  %8s  %s\n", map_classes[i].letter,
				text_size(space->total.bytes[i], TEXT_AUTO, number),
				map_classes[i].name);
	if (space->total.pinned)
		fputs("  some pages are pinned\n", to);
}

static bool is_mixed(const struct map_space *space)
{
	int class;

	for (uint32_t i = 0; i < space->nr_rows; i++)
		for (uint32_t k = 0; k < space->columns; k++)
			if (strchr(MIXED, letter_of(&space->rows[i].cells[k], &class)))
				return true;
	return false;
}

static void put_space(const struct map *m, const struct map_space *space,
		      const struct map_text_style *style, FILE *to)
{
	char number[TEXT_NUMBER_MAX];

	fprintf(to, "VM %u%s%s: each cell is %s\n", space->vm,
		space->as_id ? ", system management memory" : "",
		space->is_gone ? ", as it was at its end" : "",
		text_size(space->block, TEXT_AUTO, number));
	for (uint32_t i = 0; i < space->nr_rows; i++) {
		if (space->rows[i].left_out)
			fprintf(to, "%14s  (%s without a slot)\n", "...",
				text_size(space->rows[i].left_out, TEXT_AUTO, number));
		put_row(m, space, i, style, to);
	}
	put_total(space, to);
	if (is_mixed(space))
		fputs("  Several kinds: 0-9 so many tenths are private; : shared and + private, some "
		      "has memory;\n  ! some is held twice, or on the wrong side\n",
		      to);
}

bool map_text(const struct map *m, const struct map_spaces *s, const struct map_text_style *style,
	      FILE *to)
{
	fprintf(to, "%s\n", m->title);
	for (uint32_t i = 0; i < s->nr; i++)
		put_space(m, &s->list[i], style, to);
	return !ferror(to);
}
