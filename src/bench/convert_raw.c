/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The system calls alone: what hiding and showing cost whoever knows by himself what to hide,
 * in one process. Ranges are overlaid by an empty file; alternating pages are marked where no process may have
 * as many mappings as overlays of them need.
 */
#include "bench/convert.h"
#include "os/os.h"
#include "os/window.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOWHERE ((uintptr_t)3 << 44)
#define PROT (PROT_READ | PROT_WRITE)

struct raw {
	int store, empty, marks;
	bool marking;
};

static int overlay(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private)
{
	struct raw *r = w->own;
	uintptr_t at = (uintptr_t)w->window + offset;
	long ret = os_window_map(at, size, PROT, MAP_SHARED | MAP_FIXED,
				 to_private ? r->empty : r->store, offset);

	if (ret < 0 && ret > -4096)
		return (int)ret;
	/* The store must not be in a child: a new mapping of it has to be kept out anew. */
	return to_private ? 0 : (int)os_window_advise(at, size, MADV_DONTFORK);
}

static int mark(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private)
{
	struct raw *r = w->own;
	uintptr_t at = (uintptr_t)w->window + offset;
	uint64_t done;
	long ret = os_window_advise(at, size, MADV_DONTNEED);

	if (ret || !to_private)
		return (int)ret;
	return os_mark(r->marks, at, size, &done);
}

static int raw_convert(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private)
{
	struct raw *r = w->own;

	return r->marking ? mark(w, offset, size, to_private)
			  : overlay(w, offset, size, to_private);
}

/* Through a second mapping, as the hidden view is one. */
static int make_huge(int store, uint64_t size)
{
	char *view = mmap((void *)(NOWHERE + ((uintptr_t)1 << 43)), size, PROT,
			  MAP_SHARED | MAP_FIXED_NOREPLACE, store, 0);
	int err;

	if (view == MAP_FAILED)
		return -errno;
	err = convert_collapse(view, size);
	munmap(view, size);
	return err;
}

static int open_marks(struct convert_way *w, struct raw *r)
{
	int err = os_marks_open(&r->marks);

	if (err)
		return -EOPNOTSUPP;
	return os_marks_watch(r->marks, (uintptr_t)w->window, w->size);
}

static int open_files(struct raw *r, uint64_t size)
{
	int err = os_window_empty(&r->empty);

	if (err)
		return err;
	r->store = memfd_create("bench", MFD_CLOEXEC);
	if (r->store < 0 || ftruncate(r->store, (off_t)size))
		return -errno;
	return 0;
}

static int open_window(struct convert_way *w, struct raw *r, const struct convert_row *row)
{
	int err = open_files(r, w->size);

	if (!err && row->huge)
		err = make_huge(r->store, w->size);
	if (err)
		return err;
	w->window =
		mmap((void *)NOWHERE, w->size, PROT, MAP_SHARED | MAP_FIXED_NOREPLACE, r->store, 0);
	if (w->window == MAP_FAILED || madvise(w->window, w->size, MADV_DONTFORK))
		return -errno;
	/* Overlays of single pages take two mappings each; half of what there may be is the limit. */
	r->marking =
		row->shape == CONVERT_ALTERNATING && w->size / BENCH_PAGE > os_window_max() / 2;
	return r->marking ? open_marks(w, r) : 0;
}

static void raw_close(struct convert_way *w)
{
	struct raw *r = w->own;

	if (w->window && w->window != MAP_FAILED)
		munmap(w->window, w->size);
	if (r->store >= 0)
		close(r->store);
	if (r->empty >= 0)
		os_fd_close(r->empty);
	if (r->marks >= 0)
		os_fd_close(r->marks);
	free(r);
	w->own = NULL;
}

static int raw_open(struct convert_way *w, const struct convert_row *row, uint64_t size)
{
	struct raw *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->store = r->empty = r->marks = -1;
	w->own = r;
	w->window = NULL;
	w->size = size;
	err = open_window(w, r, row);
	if (err)
		raw_close(w);
	return err;
}

struct convert_way convert_raw = {
	.open = raw_open,
	.convert = raw_convert,
	.close = raw_close,
};
