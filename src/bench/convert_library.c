/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The library's way to convert. */
#include "bench/convert.h"
#include "gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define NOWHERE ((uint64_t)1 << 45) /* far from everything, and 2 MiB aligned */

/* The hidden view is where huge pages are made: a window refuses it, as a guest_memfd does. */
static int make_huge(struct gmem *g, uint64_t size)
{
	int err = 0;

	for (uint64_t at = 0; !err && at < size; at += BENCH_2M) {
		void *view;

		err = gmem_fault_begin(g);
		if (err)
			return err;
		err = gmem_page(g, at, &view, NULL);
		if (!err)
			err = convert_collapse(view, BENCH_2M);
		gmem_fault_end(g);
	}
	return err;
}

static int map_window(struct convert_way *w, struct gmem *g, uint64_t size)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .flags = MAP_FIXED_NOREPLACE,
				      .prot = PROT_READ | PROT_WRITE,
				      .addr = NOWHERE,
				      .size = size };
	void *at;
	int err = gmem_map(g, &args, &at);

	if (!err)
		w->window = at;
	return err;
}

static int library_open(struct convert_way *w, const struct convert_row *row, uint64_t size)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED,
					 .size = size };
	struct gmem *g;
	int err;

	if (row->pool)
		args.flags = GMEM_INIT_SHARED | GMEM_HUGETLB | GMEM_HUGETLB_1G;
	if (row->moves)
		args.flags = GMEM_MMAP | GMEM_HUGETLB;
	err = gmem_create(&args, &g);
	if (err)
		return row->pool || row->moves ? -EOPNOTSUPP : err;
	w->size = size;
	w->own = g;
	if (row->huge)
		err = make_huge(g, size);
	if (row->pool || row->moves)
		err = gmem_allocate(g, 0, size);
	if (!err && !row->pool)
		err = map_window(w, g, size);
	if (err)
		gmem_put(g);
	return err;
}

static int library_convert(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private)
{
	return gmem_convert_simply(w->own, offset, size, to_private ? GMEM_ATTRIBUTE_PRIVATE : 0,
				   NULL);
}

static void library_close(struct convert_way *w)
{
	if (w->window)
		gmem_unmap(w->window, w->size);
	w->window = NULL;
	gmem_put(w->own);
}

struct convert_way convert_library = {
	.open = library_open,
	.convert = library_convert,
	.close = library_close,
};
