/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* utf8: JSON, XML and protobuf take text in UTF-8 alone; arguments and paths are whatever bytes the program had. */
#ifndef GMEM_SEE_UTF8_H
#define GMEM_SEE_UTF8_H

/* A copy for free() in which each byte that is no part of a character XML may have is U+FFFD. NULL: no memory. */
char *utf8_repair(const char *text);

#endif
