/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * svg: a drawing, piece by piece, in pixels from the upper left corner. Black, white and greys, so that it is as
 * good on paper. Text is escaped.
 */
#ifndef GMEM_BENCH_SVG_H
#define GMEM_BENCH_SVG_H

#include <stdbool.h>
#include <stdio.h>

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

void svg_begin(FILE *to, double width, double height);
void svg_end(FILE *to);
void svg_text(FILE *to, double x, double y, enum svg_anchor anchor, int size, const char *text);
/* dashes: as in stroke-dasharray; NULL: none. */
void svg_line(FILE *to, double x1, double y1, double x2, double y2, double width,
	      const char *dashes);
void svg_bar(FILE *to, double x, double y, double width, double height, const char *fill);
/* A mark of a way: shape 0 is a full circle, the others are open: a circle, a square, a triangle, a diamond, a cross. */
void svg_mark(FILE *to, double x, double y, unsigned int shape);

/* A logarithmic axis from low to high, between two pixels. What is outside is drawn at its end. */
struct svg_scale {
	double low, high, from, to;
};
double svg_at(const struct svg_scale *s, double value);
/* The nearest powers of ten around two values, at least one apart. */
struct svg_scale svg_scale(double low, double high, double from, double to);

#endif
