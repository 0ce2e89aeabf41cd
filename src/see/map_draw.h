/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * map_draw: a map as a picture, in pixels from the upper left corner, drawn with a pen of some format.
 *
 * A class is told by its pattern as well as by its colour: two that are alike in grey have patterns that differ.
 */
#ifndef GMEM_SEE_MAP_DRAW_H
#define GMEM_SEE_MAP_DRAW_H

#include "see/map.h"

/* A tile of 8 x 8 pixels that is repeated: ink where a bit is set (the lowest is the leftmost), else paper. 0xRRGGBB. */
struct map_pattern {
	uint32_t paper, ink;
	uint8_t rows[8];
};
extern const struct map_pattern map_patterns[MAP_NR_CLASSES];

/* y of a text is its middle. size: of the letters, in pixels. */
struct map_pen {
	void *own;
	void (*area)(void *own, int x, int y, int width, int height, enum map_class class);
	void (*box)(void *own, int x, int y, int width, int height, uint32_t colour);
	void (*text)(void *own, int x, int y, bool from_right, uint32_t colour, const char *text);
};

#define MAP_LETTER_WIDTH 12 /* of one letter, at most */

struct map_size {
	int width, height;
};
struct map_size map_draw_size(const struct map_spaces *s);
void map_draw(const struct map *m, const struct map_spaces *s, const struct map_pen *pen);

#define MAP_LETTER_HEIGHT 9 /* two of them below the line */
/* A letter 5 pixels wide, row by row, the lowest bit leftmost; what is not there looks like a box. */
const uint8_t *map_glyph(unsigned char letter);

#endif
