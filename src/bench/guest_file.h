/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * guest_file: a file of pages in each way that there is one, for cases about files and their mappings. Offsets and sizes are
 * bytes, of whole pages; results 0 or -errno. One of a process.
 *
 *	guest_file_kvm	    a guest_memfd of /dev/kvm: gmem's in a program under gmem run, else the host's
 *	guest_file_library  libgmem
 *	guest_file_memfd    a plain memfd
 */
#ifndef GMEM_BENCH_GUEST_FILE_H
#define GMEM_BENCH_GUEST_FILE_H

#include "bench/bench.h"

struct guest_file {
	int (*open)(struct bench_run *r, uint64_t size);
	void (*close)(void);
	int (*punch)(uint64_t offset, uint64_t size);
	int (*allocate)(uint64_t offset, uint64_t size);
	/* All of it, shared, readable and writable. */
	int (*map)(uint64_t size, char **out);
	int (*unmap)(char *at, uint64_t size);
	int (*advise)(char *at, uint64_t size, int advice);
};

extern const struct guest_file guest_file_kvm, guest_file_library, guest_file_memfd;

/* The ways of a case over files: gmem, library, host, memfd. */
#define GUEST_FILE_WAYS(ops_)                                                          \
	{                                                                              \
		{ .name = "gmem",                                                      \
		  .ours = true,                                                        \
		  .ops = (ops_),                                                       \
		  .data = &guest_file_kvm,                                             \
		  .place = BENCH_UNDER_GMEM },                                         \
			{ .name = "library",                                           \
			  .ours = true,                                                \
			  .ops = (ops_),                                               \
			  .data = &guest_file_library },                               \
			{ .name = "host", .ops = (ops_), .data = &guest_file_kvm },    \
			{ .name = "memfd", .ops = (ops_), .data = &guest_file_memfd }, \
	}

static inline const struct guest_file *guest_file_of(const struct bench_run *r)
{
	return r->way->data;
}

#endif
