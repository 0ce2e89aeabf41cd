/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* Surrogates are no characters, and XML has none of the last two of the first plane. */
static bool is_character(uint32_t c, size_t size)
{
	static const uint32_t first[] = { 0, 0, 0x80, 0x800, 0x10000 };

	return c >= first[size] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && c != 0xfffe &&
	       c != 0xffff;
}

/* How long the character is that text begins with; 0: it is none. */
static size_t size_of(const unsigned char *text)
{
	size_t size = *text < 0x80 ? 1 : *text < 0xc0 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
	uint32_t c = size > 1 ? *text & (0x7fu >> size) : *text;

	if (*text >= 0xf8)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	return size && is_character(c, size) ? size : 0;
}

char *utf8_repair(const char *text)
{
	char *copy = malloc(strlen(text) * (sizeof(REPLACEMENT) - 1) + 1), *to = copy;

	while (copy && *text) {
		size_t size = size_of((const unsigned char *)text);

		memcpy(to, size ? text : REPLACEMENT, size ? size : sizeof(REPLACEMENT) - 1);
		to += size ? size : sizeof(REPLACEMENT) - 1;
		text += size ? size : 1;
	}
	if (copy)
		*to = '\0';
	return copy;
}
