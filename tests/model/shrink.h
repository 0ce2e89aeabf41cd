/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* shrink: a small program that still shows a difference, or still kills. */
#ifndef GMEM_MODEL_SHRINK_H
#define GMEM_MODEL_SHRINK_H

#include "compare.h"

/* Makes *p smaller in place; each try in a child of this process. Returns how the last one that counts went: CANNOT
 * (a signal, in *status), DIFFERS, or SAME: not even all of it shows anything, alone. */
enum verdict shrink(const struct setting *s, struct program *p, struct difference *d, int *status);

#endif
