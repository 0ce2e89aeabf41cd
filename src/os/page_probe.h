/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * page_probe: the part of page_refs that runs in the kernel, and what it knows of the kernel's structures.
 *
 * It reads, for up to 64 pages that one node of the tree has, the nodes on the way and the heads of the
 * folios, into memory that we share with it. It holds nothing still: judgement is page_refs.c's.
 */
#ifndef GMEM_OS_PAGE_PROBE_H
#define GMEM_OS_PAGE_PROBE_H

#include <linux/bpf.h>
#include <stdint.h>

#define SLOTS 64
#define FOLIO_BYTES 128 /* two of the kernel's page structures; all we need is there */

/* An entry of the tree that is neither a pointer nor nothing has bits set here; kernel: include/linux/xarray.h. */
#define ENTRY_KIND 3
#define ENTRY_INTERNAL 2
#define ENTRY_LAST_SIBLING ((SLOTS - 1) << 2 | ENTRY_INTERNAL)
#define ENTRY_LAST_RESERVED 4096

/* Nothing can come beyond it. */
#define SHIFT_ALL 63

struct look {
	uint64_t fd, index;   /* asked */
	uint64_t first, last; /* which folios of the node are wanted, by slot */
	uint64_t walked;      /* answered; 0: something could not be read */
	uint64_t mapping;
	uint64_t shift;	 /* slots[0] is what 2^shift pages have in common */
	uint64_t single; /* 1: only that; 0: slots are the pages of the node */
	uint64_t slots[SLOTS];
	uint8_t folios[SLOTS][FOLIO_BYTES];
};

struct page_layout {
	uint32_t task_files, files_fdt, fdt_fd, file_mapping, mapping_pages, pages_head;
	uint32_t node_shift, node_slots;
	uint32_t folio_flags, folio_mapping, folio_index, folio_mapcount, folio_refcount;
	uint32_t folio_large_mapcount, folio_nr_pages, head_bit;
};

/* The running kernel's. -ENOSYS: it does not tell; -ENOTSUP: it lacks something. */
int os_page_layout(struct page_layout *at);
/* Loads the program, which answers in the first value of map_fd, a struct look. -EPERM, -ENOTSUP; -ENOMEM, -EAGAIN. */
int os_page_probe_load(const struct page_layout *at, int map_fd, int *prog_fd);
/* bpf(2). */
long os_bpf(int cmd, union bpf_attr *attr);

#endif
