/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file in huge pages of the pool, with two windows of all of it. */
#ifndef GMEM_TESTS_SWEEP_WINDOWS_2M_H
#define GMEM_TESTS_SWEEP_WINDOWS_2M_H

#include "world.h"

/* NULL: windows can have huge pages here; else why not. */
const char *windows_2m_lack(void);
/* world_look(), and every page of both windows. */
void windows_2m_look(struct world *w, struct text *t);

int windows_2m_map_again(struct world *w);
/* All but the first word of each page. */
int windows_2m_fill(struct world *w);
/* -EBADMSG: the block is not huge, or small, where nothing has failed that could excuse it. */
int windows_2m_huge(struct world *w);
int windows_2m_small(struct world *w);
/* What is refused while a pipe holds a page of the block; 0: it was, or could not even be tried. */
int windows_2m_convert_held(struct world *w);
int windows_2m_unmap(struct world *w);
int windows_2m_unmap_again(struct world *w);

#endif
