/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where gmem's own mappings are. A program that has made a hole (munmap, mremap away) may fill it with MAP_FIXED and
 * trust that nothing has come there; were ours where the kernel chooses, one of them could be there, and be replaced.
 * So they have a part of the address space to themselves, in which the kernel puts nothing by itself and the program
 * is not:
 *
 *	  20 TiB                  28..32 TiB, by chance                 40 TiB
 *	    |          <---- large ----|---- small ---->                   |
 *
 * Each side is a cursor that goes on past what is taken, comes back over what is given back at its end, and starts
 * again at the middle when it has reached its end. What was there first stays, whoever's it is. Where the place
 * cannot be had (valgrind, a smaller address space), and with the thread sanitizer, whose places are fixed, it is the
 * kernel that chooses.
 *
 * Everything that gmem maps for itself comes from here; the program's windows do not. Async-signal-safe, no locks;
 * the child of a fork goes on where its parent was.
 */
#ifndef GMEM_OS_PLACE_H
#define GMEM_OS_PLACE_H

#include <stddef.h>
#include <stdint.h>

/* mmap(2), but of whole pages, without MAP_FIXED, and aligned (a power of two, at least a page). Its result: an
 * address, or -errno. A file of 2 MiB and more is aligned to that at least. */
long os_place_map(size_t size, size_t align, int prot, int flags, int fd, uint64_t offset);
/* Nothing of ours is there any more: a word to the cursors. Addresses of others change nothing. */
void os_place_left(uint64_t addr, uint64_t size);

#endif
