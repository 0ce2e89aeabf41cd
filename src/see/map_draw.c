/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/map_draw.h"
#include "see/text.h"

#include <inttypes.h>
#include <string.h>

#define CELL 13
#define PITCH 14
#define ROW 18
#define LEFT 188
#define RIGHT 384
#define EDGE 16
#define LINE 26
#define BLACK 0x000000u
#define GREY 0x606060u
#define LINES 0xb8b8b8u

const struct map_pattern map_patterns[MAP_NR_CLASSES] = {
	[MAP_SHARED_EMPTY] = { 0xfff6e3, 0xe0c890, { 0 } },
	[MAP_SHARED] = { 0xffcf70, 0x7a4a00, { 0x00, 0x22, 0x00, 0x00, 0x00, 0x88, 0x00, 0x00 } },
	[MAP_PRIVATE_EMPTY] = { 0xdbe7f8,
				0x5577aa,
				{ 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80 } },
	[MAP_PRIVATE] = { 0x1f4e9c, 0x1f4e9c, { 0 } },
	[MAP_SHARED_STRAY] = { 0xf4a95c,
			       0x5a2d00,
			       { 0xff, 0x00, 0x00, 0x00, 0xff, 0x00, 0x00, 0x00 } },
	[MAP_PRIVATE_STRAY] = { 0xb39ddb,
				0x2a1050,
				{ 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11 } },
	[MAP_SHARED_TWICE] = { 0xffb0a0,
			       0x000000,
			       { 0x81, 0x42, 0x24, 0x18, 0x18, 0x24, 0x42, 0x81 } },
	[MAP_PRIVATE_TWICE] = { 0x7a0018,
				0xffffff,
				{ 0x81, 0x42, 0x24, 0x18, 0x18, 0x24, 0x42, 0x81 } },
};

/* From left to right in a cell that has several. */
static const enum map_class order[MAP_NR_CLASSES] = {
	MAP_PRIVATE,	  MAP_PRIVATE_EMPTY, MAP_PRIVATE_STRAY, MAP_PRIVATE_TWICE,
	MAP_SHARED_TWICE, MAP_SHARED_STRAY,  MAP_SHARED,	MAP_SHARED_EMPTY,
};

/* Every kind that is there can be seen, however little it is. */
static void draw_cell(const struct map_pen *pen, int x, int y, const struct map_cell *c)
{
	uint64_t sum = c->none, done = 0;
	int at = 0;

	for (int i = 0; i < MAP_NR_CLASSES; i++)
		sum += c->bytes[i];
	for (int i = 0; i < MAP_NR_CLASSES; i++) {
		uint64_t bytes = c->bytes[order[i]];
		int end;

		if (!bytes)
			continue;
		done += bytes;
		end = (int)((double)done / (double)sum * CELL + 0.5);
		end = end > at ? end : at + 1;
		end = end < CELL ? end : CELL;
		if (end == at)
			at--;
		pen->area(pen->own, x + at, y, end - at, CELL, order[i]);
		at = end;
	}
	if (c->pinned) {
		pen->box(pen->own, x, y, 6, 6, 0xffffff);
		pen->box(pen->own, x + 1, y + 1, 4, 4, BLACK);
	}
}

/* Lines between the cells: pale ones are to be seen on paper, too. */
static void draw_grid(const struct map_pen *pen, const struct map_space *space, uint32_t row, int y)
{
	const struct map_cell *cells = space->rows[row].cells;
	uint32_t from = 0;

	for (uint32_t i = 0; i <= space->columns; i++) {
		if (i < space->columns && cells[i].none < space->block)
			continue;
		if (i > from)
			pen->box(pen->own, LEFT + (int)from * PITCH - 1, y - 1,
				 (int)(i - from) * PITCH + 1, CELL + 2, LINES);
		from = i + 1;
	}
}

static void draw_row(const struct map *m, const struct map_space *space, uint32_t row, int y,
		     const struct map_pen *pen)
{
	char text[96];

	snprintf(text, sizeof(text), "%" PRIx64, space->rows[row].gpa);
	pen->text(pen->own, LEFT - 10, y + CELL / 2, true, GREY, text);
	draw_grid(pen, space, row, y);
	for (uint32_t i = 0; i < space->columns; i++)
		draw_cell(pen, LEFT + (int)i * PITCH, y, &space->rows[row].cells[i]);
	map_row_label(m, space, row, text, sizeof(text));
	if (strlen(text) > (RIGHT - 10) / MAP_LETTER_WIDTH)
		strcpy(text + (RIGHT - 10) / MAP_LETTER_WIDTH - 2, "..");
	pen->text(pen->own, LEFT + (int)space->columns * PITCH + 10, y + CELL / 2, false, BLACK,
		  text);
}

static int draw_space(const struct map *m, const struct map_space *space, int y,
		      const struct map_pen *pen)
{
	char text[128], number[TEXT_NUMBER_MAX];

	snprintf(text, sizeof(text), "VM %u%s%s: each cell is %s", space->vm,
		 space->as_id ? ", SMM" : "", space->is_gone ? ", as it was at its end" : "",
		 text_size(space->block, TEXT_AUTO, number));
	pen->text(pen->own, EDGE, y + LINE / 2, false, BLACK, text);
	y += LINE + 4;
	for (uint32_t i = 0; i < space->nr_rows; i++) {
		if (space->rows[i].left_out) {
			snprintf(text, sizeof(text), "(%s without a slot)",
				 text_size(space->rows[i].left_out, TEXT_AUTO, number));
			pen->text(pen->own, LEFT, y + CELL / 2, false, GREY, text);
			y += ROW;
		}
		draw_row(m, space, i, y, pen);
		y += ROW;
	}
	return y + EDGE;
}

static void draw_legend(const struct map_spaces *s, int y, const struct map_pen *pen)
{
	char text[128], number[TEXT_NUMBER_MAX];

	for (int i = 0; i < MAP_NR_CLASSES; i++) {
		uint64_t bytes = 0;
		int x = i % 2 ? 760 : EDGE, line = y + i / 2 * LINE;

		for (uint32_t k = 0; k < s->nr; k++)
			bytes += s->list[k].total.bytes[i];
		pen->box(pen->own, x, line, 38, 22, GREY);
		pen->area(pen->own, x + 1, line + 1, 36, 20, (enum map_class)i);
		snprintf(text, sizeof(text), "%s %s", map_classes[i].name,
			 text_size(bytes, TEXT_AUTO, number));
		pen->text(pen->own, x + 50, line + 11, false, bytes ? BLACK : GREY, text);
	}
	y += MAP_NR_CLASSES / 2 * LINE;
	pen->box(pen->own, EDGE, y + 4, 14, 14, 0xffffff);
	pen->box(pen->own, EDGE + 2, y + 6, 10, 10, BLACK);
	pen->text(pen->own, EDGE + 50, y + 11, false, BLACK,
		  "in a corner: pinned; several in a cell: by their shares, from left to right");
}

struct map_size map_draw_size(const struct map_spaces *s)
{
	struct map_size size = { 0, 2 * EDGE + LINE + EDGE };

	for (uint32_t i = 0; i < s->nr; i++) {
		const struct map_space *space = &s->list[i];
		int width = LEFT + (int)space->columns * PITCH + RIGHT;

		size.width = width > size.width ? width : size.width;
		size.height += LINE + 4 + (int)space->nr_rows * ROW + EDGE;
		for (uint32_t k = 0; k < space->nr_rows; k++)
			size.height += space->rows[k].left_out ? ROW : 0;
	}
	size.height += (MAP_NR_CLASSES / 2 + 1) * LINE;
	return size;
}

void map_draw(const struct map *m, const struct map_spaces *s, const struct map_pen *pen)
{
	int y = EDGE;

	pen->text(pen->own, EDGE, y + LINE / 2, false, BLACK, m->title);
	y += LINE + EDGE;
	for (uint32_t i = 0; i < s->nr; i++)
		y = draw_space(m, &s->list[i], y, pen);
	draw_legend(s, y, pen);
}
