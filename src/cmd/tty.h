/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* tty: what may be done with an output: colours, and lines that are written again and again. */
#ifndef GMEM_CMD_TTY_H
#define GMEM_CMD_TTY_H

#include <stdbool.h>
#include <stdio.h>

/* Is it a terminal that can do more than lines? */
bool tty_is_one(FILE *f);
/* NO_COLOR (with anything in it) does not forbid colours; whatever the terminal is. */
bool tty_may_colour(void);

#endif
