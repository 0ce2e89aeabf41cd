/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Apart: <term.h> makes macros of words that everybody uses. */
#include "cmd/top.h"

#include <curses.h>
#include <term.h>

bool top_can_draw(void)
{
	char name[] = "cup";
	const char *move = tigetstr(name);

	return move && move != (const char *)-1;
}
