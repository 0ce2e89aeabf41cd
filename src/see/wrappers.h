/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * wrappers: functions that only pass a call on, as a VMM's vm_ioctl() around ioctl(): what is meant is where they are
 * called. Some that everybody has are known; more are added at the start, by patterns as a shell's.
 */
#ifndef GMEM_SEE_WRAPPERS_H
#define GMEM_SEE_WRAPPERS_H

#include <stdbool.h>

/* Of a function's name, or of its file: the whole path or the end of it. It stays where it is. -ENOSPC. */
int see_wrappers_add(const char *pattern);
/* NULL: not known. Of code without debug information file is its library. */
bool see_is_wrapper(const char *function, const char *file);

#endif
