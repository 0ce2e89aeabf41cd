/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A snapshot is read as if it were made to do harm. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/range.h"
#include "lib/calls.h"
#include "lib/lib.h"
#include "lib/snapshot.h"
#include "obs/obs.h"
#include "os/disk.h"

static int refuse(struct snapshot_reader *r, enum obs_rule rule, const char *part, uint64_t at,
		  uint64_t size)
{
	r->fault = (struct snapshot_fault){ .part = part, .at = at, .size = size };
	return obs_refuse(rule);
}

static int read_at(struct snapshot_reader *r, uint64_t at, void *data, uint64_t size)
{
	int err = os_disk_read(r->fd, at, data, size);

	if (err == -ENODATA)
		return refuse(r, RULE_SNAPSHOT_UNFINISHED, "end", at, 0);
	return err ? obs_refuse_as(RULE_SNAPSHOT_READ, err) : 0;
}

static bool is_aligned(uint64_t x)
{
	return !(x % SNAPSHOT_PAGE);
}

/* ---- header and footer ------------------------------------------------------------------------- */

static bool is_magic(const char *magic, const char *expected)
{
	return !memcmp(magic, expected, 8);
}

/* Before its size is looked at: another version may have other pages. */
static int check_begin(struct snapshot_reader *r, uint64_t file_bytes)
{
	struct snapshot_header h = { 0 };
	int err = read_at(r, 0, &h, file_bytes < sizeof(h) ? file_bytes : sizeof(h));

	if (err)
		return err;
	if (!is_magic(h.magic, "gmemsnap"))
		return refuse(r, RULE_SNAPSHOT_OTHER, "header", 0, sizeof(h.magic));
	if (file_bytes < sizeof(h))
		return refuse(r, RULE_SNAPSHOT_UNFINISHED, "end", file_bytes, 0);
	if (h.version != SNAPSHOT_VERSION && h.version != SNAPSHOT_VERSION_OF_VM)
		return refuse(r, RULE_SNAPSHOT_VERSION, "header",
			      offsetof(struct snapshot_header, version), sizeof(h.version));
	if (file_bytes < 2 * SNAPSHOT_PAGE || !is_aligned(file_bytes))
		return refuse(r, RULE_SNAPSHOT_UNFINISHED, "end", file_bytes, 0);
	return 0;
}

/* What the page begins with; rest: whether the rest of it is zero, as it should be. */
static int read_page(struct snapshot_reader *r, uint64_t at, void *what, size_t size, bool *rest)
{
	char page[SNAPSHOT_PAGE];
	int err = read_at(r, at, page, sizeof(page));

	if (err)
		return err;
	memcpy(what, page, size);
	*rest = true;
	for (size_t i = size; i < sizeof(page); i++)
		*rest &= !page[i];
	return 0;
}

static int read_header(struct snapshot_reader *r)
{
	struct snapshot_header *h = &r->header;
	bool rest;
	int err = read_page(r, 0, h, sizeof(*h), &rest);

	if (err)
		return err;
	if (h->checksum != snapshot_checksum(h, offsetof(struct snapshot_header, checksum)) ||
	    !rest || !is_magic(h->magic, "gmemsnap") ||
	    h->version != snapshot_version_of(h->flags) || h->page_size != SNAPSHOT_PAGE ||
	    h->reserved || !h->size || !is_aligned(h->size) || h->size > INT64_MAX)
		return refuse(r, RULE_SNAPSHOT_DAMAGED, "header", 0, SNAPSHOT_PAGE);
	return 0;
}

static int read_footer(struct snapshot_reader *r, uint64_t file_bytes)
{
	struct snapshot_footer *f = &r->footer;
	uint64_t at = file_bytes - SNAPSHOT_PAGE;
	bool rest;
	int err = read_page(r, at, f, sizeof(*f), &rest);

	if (err)
		return err;
	if (!is_magic(f->magic, "gmemdone"))
		return refuse(r, RULE_SNAPSHOT_UNFINISHED, "footer", at, sizeof(f->magic));
	if (f->checksum != snapshot_checksum(f, offsetof(struct snapshot_footer, checksum)) ||
	    !rest || f->id[0] != r->header.id[0] || f->id[1] != r->header.id[1] ||
	    f->file_bytes != file_bytes)
		return refuse(r, RULE_SNAPSHOT_DAMAGED, "footer", at, SNAPSHOT_PAGE);
	return 0;
}

int snapshot_open(struct snapshot_reader *r, int fd)
{
	uint64_t file_bytes;
	int err = os_disk_size(fd, false, &file_bytes);

	memset(r, 0, sizeof(*r));
	r->fd = fd;
	if (err)
		return obs_refuse(RULE_SNAPSHOT_FD);
	err = check_begin(r, file_bytes);
	if (!err)
		err = read_header(r);
	return err ? err : read_footer(r, file_bytes);
}

/* ---- runs -------------------------------------------------------------------------------------- */

struct walk {
	struct snapshot_reader *r;
	snapshot_fn *fn;
	void *arg;
	void *data;   /* room for a piece; NULL: contents are not read */
	uint64_t end; /* of the guest memory: the run that comes next ends there */
	uint64_t nr_runs, data_bytes, private_bytes;
};

static bool run_is_right(const struct walk *w, const struct snapshot_run *run, uint64_t index_at)
{
	const struct snapshot_header *h = &w->r->header;

	if (!run->size || !is_aligned(run->offset) || !is_aligned(run->size) ||
	    run->size > w->end || run->offset != w->end - run->size)
		return false;
	if (run->attributes & ~GMEM_ATTRIBUTE_PRIVATE || run->flags & ~SNAPSHOT_RUN_LOST)
		return false;
	if (h->flags & GMEM_SNAPSHOT_OF_VM &&
	    run->attributes != (h->flags & GMEM_INIT_SHARED ? 0 : GMEM_ATTRIBUTE_PRIVATE))
		return false;
	if (run->flags & SNAPSHOT_RUN_LOST && run->data)
		return false;
	if (!run->data)
		return !run->checksum;
	return run->size <= SNAPSHOT_PIECE && is_aligned(run->data) &&
	       range_inside(run->data, run->size, index_at);
}

static int read_data(struct walk *w, const struct snapshot_run *run)
{
	int err = read_at(w->r, run->data, w->data, run->size);

	if (err || snapshot_checksum(w->data, run->size) == run->checksum)
		return err;
	err = refuse(w->r, RULE_SNAPSHOT_DAMAGED, "contents", run->data, run->size);
	w->r->fault.offset = run->offset;
	w->r->fault.is_contents = true;
	return err;
}

static int walk_run(struct walk *w, const struct snapshot_run *run, uint64_t index_at)
{
	bool reads = w->data && run->data;
	int err;

	if (!run_is_right(w, run, index_at))
		return refuse(w->r, RULE_SNAPSHOT_DAMAGED, "index", index_at, SNAPSHOT_PAGE);
	w->end = run->offset;
	w->nr_runs++;
	w->data_bytes += run->data ? run->size : 0;
	w->private_bytes += run->attributes ? run->size : 0;
	w->r->lost_bytes += run->flags & SNAPSHOT_RUN_LOST ? run->size : 0;
	err = reads ? read_data(w, run) : 0;
	if (!err && w->fn)
		err = w->fn(w->arg, run, reads ? w->data : NULL);
	return err;
}

static int walk_index(struct walk *w, uint64_t *at, uint64_t *checksum)
{
	struct snapshot_index i;
	int err = read_at(w->r, *at, &i, sizeof(i));

	if (err)
		return err;
	if (snapshot_checksum(&i, sizeof(i)) != *checksum || !is_magic(i.magic, "gmemindx") ||
	    !i.nr || i.nr > SNAPSHOT_RUNS || i.before >= *at || !is_aligned(i.before) || i.reserved)
		return refuse(w->r, RULE_SNAPSHOT_DAMAGED, "index", *at, sizeof(i));
	for (uint32_t n = i.nr; !err && n; n--)
		err = walk_run(w, &i.runs[n - 1], *at);
	*at = i.before;
	*checksum = i.before_checksum;
	return err;
}

static int walk_all(struct walk *w)
{
	const struct snapshot_footer *f = &w->r->footer;
	uint64_t at = f->last, checksum = f->last_checksum;
	uint64_t footer = f->file_bytes - SNAPSHOT_PAGE;
	int err = 0;

	if (!at || !is_aligned(at) || !range_inside(at, SNAPSHOT_PAGE, f->file_bytes))
		return refuse(w->r, RULE_SNAPSHOT_DAMAGED, "footer", footer, SNAPSHOT_PAGE);
	while (!err && at)
		err = walk_index(w, &at, &checksum);
	if (!err && (w->end || w->nr_runs != f->nr_runs || w->data_bytes != f->data_bytes ||
		     w->private_bytes != f->private_bytes))
		return refuse(w->r, RULE_SNAPSHOT_DAMAGED, "footer", footer, SNAPSHOT_PAGE);
	return err;
}

int snapshot_walk(struct snapshot_reader *r, bool with_data, snapshot_fn *fn, void *arg)
{
	struct walk w = { .r = r, .fn = fn, .arg = arg, .end = r->header.size };
	int err;

	r->lost_bytes = 0;
	if (with_data) {
		w.data = os_alloc(SNAPSHOT_PIECE);
		if (!w.data)
			return obs_refuse(RULE_NO_MEMORY);
	}
	err = walk_all(&w);
	if (w.data)
		os_free(w.data, SNAPSHOT_PIECE);
	return err;
}

/* ---- the library's ------------------------------------------------------------------------------ */

int lib_snapshot_check(int fd, uint32_t flags, struct gmem_snapshot_info *info)
{
	struct gmem_snapshot_info i = { 0 };
	struct snapshot_reader r;
	int err;

	if (flags & ~GMEM_CHECK_CONTENTS)
		return obs_refuse(RULE_SNAPSHOT_FLAGS);
	err = snapshot_open(&r, fd);
	if (!err)
		err = snapshot_walk(&r, flags & GMEM_CHECK_CONTENTS, NULL, NULL);
	if (err || !info)
		return err;
	i.version = r.header.version;
	i.flags = r.header.flags;
	i.size = r.header.size;
	i.data_bytes = r.footer.data_bytes;
	i.private_bytes = r.footer.private_bytes;
	i.nr_runs = r.footer.nr_runs;
	i.file_bytes = r.footer.file_bytes;
	i.lost_bytes = r.lost_bytes;
	return lib_args_out(info, &i, sizeof(i), LIB_MIN_OF(struct gmem_snapshot_info, file_bytes));
}
