/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pixels are numbers in a palette, which is made as colours come. */
#include "see/map_draw.h"

#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEIGHT 30000
#define SCALE 2

struct canvas {
	unsigned char *pixels;
	int width, height;
	uint32_t palette[256];
	int nr_colours;
};

static unsigned char number_of(struct canvas *c, uint32_t colour)
{
	int i = 0;

	while (i < c->nr_colours && c->palette[i] != colour)
		i++;
	if (i == c->nr_colours && i < 256)
		c->palette[c->nr_colours++] = colour;
	return (unsigned char)i;
}

static void set(struct canvas *c, int x, int y, unsigned char number)
{
	if (x >= 0 && y >= 0 && x < c->width && y < c->height)
		c->pixels[(size_t)y * (size_t)c->width + (size_t)x] = number;
}

static void area(void *own, int x, int y, int width, int height, enum map_class class)
{
	const struct map_pattern *p = &map_patterns[class];
	unsigned char paper = number_of(own, p->paper), ink = number_of(own, p->ink);

	for (int j = y; j < y + height; j++)
		for (int i = x; i < x + width; i++)
			set(own, i, j, p->rows[j & 7] >> (i & 7) & 1 ? ink : paper);
}

static void box(void *own, int x, int y, int width, int height, uint32_t colour)
{
	unsigned char number = number_of(own, colour);

	for (int j = y; j < y + height; j++)
		for (int i = x; i < x + width; i++)
			set(own, i, j, number);
}

static void text(void *own, int x, int y, bool from_right, uint32_t colour, const char *what)
{
	unsigned char number = number_of(own, colour);

	if (from_right)
		x -= (int)strlen(what) * MAP_LETTER_WIDTH;
	for (y -= 7 * SCALE / 2; *what; what++, x += MAP_LETTER_WIDTH) {
		const uint8_t *glyph = map_glyph((unsigned char)*what);

		for (int j = 0; j < MAP_LETTER_HEIGHT * SCALE; j++)
			for (int i = 0; i < 5 * SCALE; i++)
				if (glyph[j / SCALE] >> i / SCALE & 1)
					set(own, x + i, y + j, number);
	}
}

static void put_palette(png_structp png, png_infop info, const struct canvas *c)
{
	png_color colours[256];

	for (int i = 0; i < c->nr_colours; i++) {
		colours[i].red = (png_byte)(c->palette[i] >> 16);
		colours[i].green = (png_byte)(c->palette[i] >> 8);
		colours[i].blue = (png_byte)c->palette[i];
	}
	png_set_PLTE(png, info, colours, c->nr_colours);
}

static int write_png(const struct canvas *c, FILE *to)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;

	if (!info || setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		return info ? -EIO : -ENOMEM;
	}
	png_init_io(png, to);
	png_set_IHDR(png, info, (png_uint_32)c->width, (png_uint_32)c->height, 8,
		     PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	png_set_filter(png, 0, PNG_FILTER_NONE);
	put_palette(png, info, c);
	png_write_info(png, info);
	for (int y = 0; y < c->height; y++)
		png_write_row(png, c->pixels + (size_t)y * (size_t)c->width);
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
	return ferror(to) ? -EIO : 0;
}

int map_png(const struct map *m, const struct map_spaces *s, FILE *to)
{
	struct map_size size = map_draw_size(s);
	struct canvas c = { .width = size.width, .height = size.height };
	const struct map_pen pen = { .own = &c, .area = area, .box = box, .text = text };
	int err;

	if (size.height > MAX_HEIGHT)
		return -EFBIG;
	c.pixels = calloc((size_t)size.width, (size_t)size.height);
	if (!c.pixels)
		return -ENOMEM;
	number_of(&c, 0xffffff); /* 0: what is empty */
	map_draw(m, s, &pen);
	err = write_png(&c, to);
	free(c.pixels);
	return err;
}
