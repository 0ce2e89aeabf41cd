/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * format: what printf() does, without locale, allocation or errno; callable in a signal handler.
 * Knows d i u x X c s p %, the flags 0 - #, width, precision of strings (also *), and the lengths
 * hh h l ll z j t.
 */
#ifndef GMEM_OS_FORMAT_H
#define GMEM_OS_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* Returns the length of what was put into buf, always ended by a zero: at the most size - 1. */
__attribute__((format(printf, 3, 4))) size_t os_format(char *buf, size_t size, const char *fmt,
						       ...);
__attribute__((format(printf, 3, 0))) size_t os_vformat(char *buf, size_t size, const char *fmt,
							va_list args);

#endif
