/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/tty.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tty_is_one(FILE *f)
{
	const char *term = getenv("TERM");

	return isatty(fileno(f)) && term && *term && strcmp(term, "dumb");
}

bool tty_may_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return !no || !*no;
}
