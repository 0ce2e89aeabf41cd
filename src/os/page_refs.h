/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * page_refs: how often the pages of a file in memory are referenced beyond what the page cache and page
 * tables do: by system calls under way, pipes, io_uring, devices, in whatever process. Read from the kernel's
 * own structures by a BPF program, so only where the process may (CAP_BPF and CAP_PERFMON), on kernels
 * whose type information names every field that is needed, and after a test on a page of our own.
 *
 *	task -> files -> fd -> file -> mapping -> i_pages (a tree of nodes with 64 slots)
 *	                                            └> folio: references - page tables - page cache
 */
#ifndef GMEM_OS_PAGE_REFS_H
#define GMEM_OS_PAGE_REFS_H

#include <stdint.h>

struct os_page_refs;

/* -EPERM, -ENOSYS: not here; -ENOTSUP: a kernel that is laid out otherwise; -EIO: the test failed;
 * -ENOMEM, -EAGAIN, -EMFILE: not now.
 * Takes a few milliseconds. Not for use in a child: it opens its own. */
int os_page_refs_open(struct os_page_refs **out);
void os_page_refs_close(struct os_page_refs *r);

/*
 * Tells fn of the pages among the nr from pgoff on of fd, a memfd, that have extra references, in order. A page
 * of a large folio has those of the whole folio. What only waits for the kernel to put it on its lists
 * is not told. -errno: it could not be looked at, and fn may have been told of some. One at a time: r locks.
 */
int os_page_refs_extra(struct os_page_refs *r, int fd, uint64_t pgoff, uint64_t nr,
		       void (*fn)(void *arg, uint64_t pgoff, uint64_t nr), void *arg);

#endif
