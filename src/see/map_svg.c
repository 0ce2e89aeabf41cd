/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/svg.h"
#include "see/map_draw.h"
#include "see/utf8.h"

#include <stdlib.h>

static void put_pattern(FILE *to, int class)
{
	const struct map_pattern *p = &map_patterns[class];

	fprintf(to,
		"<pattern id=\"c%d\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">"
		"<rect width=\"8\" height=\"8\" fill=\"#%06x\"/><path fill=\"#%06x\" d=\"",
		class, p->paper, p->ink);
	for (int y = 0; y < 8; y++)
		for (int x = 0; x < 8; x++)
			if (p->rows[y] >> x & 1)
				fprintf(to, "M%d %dh1v1h-1z", x, y);
	fputs("\"/></pattern>\n", to);
}

static void area(void *own, int x, int y, int width, int height, enum map_class class)
{
	fprintf(own, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"url(#c%d)\"/>\n", x,
		y, width, height, (int)class);
}

static void box(void *own, int x, int y, int width, int height, uint32_t colour)
{
	fprintf(own, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#%06x\"/>\n", x, y,
		width, height, colour);
}

static void text(void *own, int x, int y, bool from_right, uint32_t colour, const char *what)
{
	char *whole = utf8_repair(what);

	if (!whole || !what[0]) {
		free(whole);
		return;
	}
	fprintf(own, "<g fill=\"#%06x\">", colour);
	svg_text(own, x, y + 6, from_right ? SVG_END : SVG_START, 16, whole);
	fputs("</g>", own);
	free(whole);
}

bool map_svg(const struct map *m, const struct map_spaces *s, FILE *to)
{
	const struct map_pen pen = { .own = to, .area = area, .box = box, .text = text };
	struct map_size size = map_draw_size(s);

	svg_begin(to, size.width, size.height);
	fputs("<defs>\n", to);
	for (int i = 0; i < MAP_NR_CLASSES; i++)
		put_pattern(to, i);
	fputs("</defs>\n", to);
	map_draw(m, s, &pen);
	svg_end(to);
	return !ferror(to);
}
