/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * resident: which pages of this process's address range have memory of their own.
 *
 * Private memory, also over a file: a page of the process's own, in memory or swapped out; the zero page, where only
 * reads were, is none (a kernel before 6.7 does not tell it apart). Shared memory: the page is in its file's page
 * cache, whoever put it there, and whether or not it is in this process's page tables.
 *
 * Everything is opened by os_resident_open(); the others read, seek, and make ioctl() and mincore() calls. One
 * thread at a time. A mapping that changes meanwhile is seen as it was or as it is.
 */
#ifndef GMEM_OS_RESIDENT_H
#define GMEM_OS_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

struct os_resident;

/* -ENOMEM, -EMFILE; -ENOENT, -EACCES: a process without /proc. */
int os_resident_open(struct os_resident **out);
void os_resident_close(struct os_resident *r);

/* Looks up anew what is mapped where, before questions that belong together. -errno: what is shared is not known, and
 * all is taken for private memory. */
int os_resident_refresh(struct os_resident *r);

/* The first run of such pages in [*addr, end), both page aligned: where, and how many bytes; false: there is none. A
 * run that goes on behind what could be seen at once may be told in pieces. */
bool os_resident_next(struct os_resident *r, uint64_t *addr, uint64_t end, uint64_t *size);

/* mincore() looks each page of a file up, some 8 ms a GiB, also where there are none: of more shared memory than this
 * between two refreshes only what is in this process's page tables is told, and then this is true. */
#define OS_RESIDENT_CACHE_MAX ((uint64_t)4 << 30)
bool os_resident_was_cut(const struct os_resident *r);

#endif
