/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * btf: how the running kernel lays out its structures, from the description of its types that it carries
 * (/sys/kernel/btf/vmlinux). One thread at a time for one struct os_btf.
 */
#ifndef GMEM_OS_BTF_H
#define GMEM_OS_BTF_H

#include <stdint.h>

struct os_btf {
	void *file;
	uint64_t file_size;
	uint32_t *types; /* where each starts in the file, by number; 0 is none */
	uint64_t types_size;
	uint32_t nr_types;
	uint32_t names, names_end; /* in the file */
};

/* Some milliseconds and some MiB, until it is closed. -ENOENT: the kernel has none; -ENOTSUP: it has another
 * form; -ENOMEM. */
int os_btf_open(struct os_btf *b);
void os_btf_close(struct os_btf *b);

/* Bytes from the start of a structure to a member, also one in an unnamed structure or union inside.
 * -ENOENT. */
int os_btf_offset(const struct os_btf *b, const char *structure, const char *member,
		  uint32_t *offset);
int os_btf_enumerator(const struct os_btf *b, const char *enumeration, const char *name,
		      uint32_t *value);

#endif
