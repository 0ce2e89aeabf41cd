/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void text_add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->s + t->size, TEXT_MAX - t->size, fmt, args);
	va_end(args);
	if (n < 0 || t->size + (size_t)n >= TEXT_MAX) {
		fprintf(stderr, "a state that is longer than %d bytes\n", TEXT_MAX);
		abort();
	}
	t->size += (size_t)n;
}
