/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/svg.h"

#include <math.h>

void svg_begin(FILE *to, double width, double height)
{
	fprintf(to,
		"<!-- SPDX-License-"
		"Identifier: GPL-2.0-only OR MIT -->\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" font-family=\"DejaVu Sans, Helvetica, sans-serif\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		width, height, width, height);
}

void svg_end(FILE *to)
{
	fputs("</svg>\n", to);
}

static void put_escaped(FILE *to, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '&':
			fputs("&amp;", to);
			break;
		default:
			fputc(*text, to);
		}
	}
}

void svg_text(FILE *to, double x, double y, enum svg_anchor anchor, int size, const char *text)
{
	static const char *const anchors[] = { "start", "middle", "end" };

	fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">", x, y, size,
		anchors[anchor]);
	put_escaped(to, text);
	fputs("</text>\n", to);
}

void svg_line(FILE *to, double x1, double y1, double x2, double y2, double width,
	      const char *dashes)
{
	fprintf(to,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"black\" "
		"stroke-width=\"%.1f\"%s%s%s/>\n",
		x1, y1, x2, y2, width, dashes ? " stroke-dasharray=\"" : "", dashes ? dashes : "",
		dashes ? "\"" : "");
}

void svg_bar(FILE *to, double x, double y, double width, double height, const char *fill)
{
	fprintf(to,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" stroke=\"black\" "
		"stroke-width=\"0.7\"/>\n",
		x, y, width, height, fill);
}

void svg_mark(FILE *to, double x, double y, unsigned int shape)
{
	static const char *const paths[] = {
		"M-4,0 a4,4 0 1,0 8,0 a4,4 0 1,0 -8,0 Z",
		"M-4,0 a4,4 0 1,0 8,0 a4,4 0 1,0 -8,0 Z",
		"M-3.5,-3.5 H3.5 V3.5 H-3.5 Z",
		"M0,-4.5 L4,3.5 H-4 Z",
		"M0,-5 L5,0 L0,5 L-5,0 Z",
		"M-4,-4 L4,4 M4,-4 L-4,4",
	};

	fprintf(to,
		"<path transform=\"translate(%.1f,%.1f)\" d=\"%s\" fill=\"%s\" stroke=\"black\" "
		"stroke-width=\"1.2\"/>\n",
		x, y, paths[shape % 6], shape ? "white" : "black");
}

double svg_at(const struct svg_scale *s, double value)
{
	double part;

	if (!(value > s->low))
		return s->from;
	if (value >= s->high)
		return s->to;
	part = log(value / s->low) / log(s->high / s->low);
	return s->from + part * (s->to - s->from);
}

struct svg_scale svg_scale(double low, double high, double from, double to)
{
	struct svg_scale s = { .from = from, .to = to };

	s.low = pow(10, floor(log10(low > 0 ? low : 1)));
	s.high = pow(10, ceil(log10(high > 0 ? high : 1)));
	if (s.high < s.low * 10)
		s.high = s.low * 10;
	return s;
}
