/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* text: lines that are made for a terminal or a file, and how numbers are written in them. */
#ifndef GMEM_SEE_TEXT_H
#define GMEM_SEE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_LINE_MAX 256

enum text_style { TEXT_PLAIN, TEXT_TITLE, TEXT_HEAD, TEXT_ALARM, TEXT_DIM };

struct text_line {
	enum text_style style;
	char text[TEXT_LINE_MAX]; /* cut; no newline */
};

struct text {
	struct text_line *lines;
	size_t nr, room;
};

/* Without memory a line is left out. */
__attribute__((format(printf, 3, 4))) void text_add(struct text *t, enum text_style style,
						    const char *fmt, ...);
void text_clear(struct text *t);
void text_free(struct text *t);
void text_print(const struct text *t, FILE *to);

enum text_unit { TEXT_AUTO, TEXT_KIB, TEXT_PAGES, TEXT_BYTES, TEXT_NR_UNITS };
const char *text_unit_name(enum text_unit unit);
#define TEXT_NUMBER_MAX 24
/* "16M", "1.5G", "-" of nothing. */
const char *text_size(uint64_t bytes, enum text_unit unit, char out[TEXT_NUMBER_MAX]);
/* The other way: "0x1000", "4096", "2M" (K to E); *end is behind it. */
bool text_read_size(const char *text, uint64_t *value, const char **end);
/* "1.2 us" */
const char *text_time(uint64_t ns, char out[TEXT_NUMBER_MAX]);
/* "12", "1.2k", "3.4M" */
const char *text_count(double nr, char out[TEXT_NUMBER_MAX]);

#endif
